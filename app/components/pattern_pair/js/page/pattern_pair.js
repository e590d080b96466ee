/** The pair of patterns as the component that Streamlit calls. */
import { mounted } from "../../../js/mount.js";
import { PatternPair } from "./pair.js";

export default mounted((component) => new PatternPair(component));
