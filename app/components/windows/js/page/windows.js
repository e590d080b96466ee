/** The windows as the component that Streamlit calls. */
import { mounted } from "../../../js/mount.js";
import { Windows } from "./strips.js";

export default mounted((component) => new Windows(component));
