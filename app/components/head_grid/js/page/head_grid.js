/** The head grid as the component that Streamlit calls. */
import { mounted } from "../../../js/mount.js";
import { HeadGrid } from "./grid.js";

export default mounted((component) => new HeadGrid(component));
