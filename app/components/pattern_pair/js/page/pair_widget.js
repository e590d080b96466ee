/** The pair of patterns as a widget of a notebook. */
import { inNotebook } from "../../../js/notebook.js";
import { PatternPair } from "./pair.js";

export default inNotebook((component) => new PatternPair(component));
