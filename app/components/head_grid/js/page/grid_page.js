/** The head grid in a page of its own, which needs no server: all that it shows is in the page. */
import { el } from "../../../js/elements.js";
import { HeadGrid } from "./grid.js";

/**
 * @param {string} id Of the element that it stands in.
 * @param {string} styles
 * @param {string} payload What Python would send, in base64.
 */
export default function standAlone(id, styles, payload) {
  const place = document.getElementById(id);
  if (!place) throw new Error("the viewer has no place in this page");
  const root = place.attachShadow({ mode: "open" });
  root.replaceChildren(el("style", {}, styles));
  const data = Uint8Array.from(atob(payload), (sign) => sign.charCodeAt(0));
  new HeadGrid({ parentElement: root, data, setStateValue() {}, setTriggerValue() {} });
  // The still pictures are for paper, and for where nothing runs.
  place.classList.add("hs-live");
}
