/** The played pass as the component that Streamlit calls. */
import { mounted } from "../../../js/mount.js";
import { PlayedPass } from "./played_pass.js";

export default mounted((component) => new PlayedPass(component));
