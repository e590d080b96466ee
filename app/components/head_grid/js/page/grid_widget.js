/** The head grid as a widget of a notebook. */
import { inNotebook } from "../../../js/notebook.js";
import { HeadGrid } from "./grid.js";

export default inNotebook((component) => new HeadGrid(component));
