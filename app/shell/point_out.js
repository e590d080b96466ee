/**
 * Tells the room what its presenter points at: at most three times a second, and only what is new.
 *
 * @import { ComponentArguments } from "../components/js/mount.js"
 *
 * @typedef {{ stopPointing: () => void }} Kept
 */
import { placeUnder } from "../components/js/pointing.js";

const POINT_EVERY = 300; // milliseconds

/** @param {ComponentArguments<{ key: string }, Kept>} component */
export default function pointOut({ parentElement, data }) {
  parentElement.stopPointing?.();
  const address = new URL("room-pointer", window.location.href);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let told = "";
  let now = "";

  function tell() {
    timer = undefined;
    if (now === told) return;
    told = now;
    timer = setTimeout(tell, POINT_EVERY);
    const headers = { "X-Room-Key": data.key };
    // Without the network nobody sees it anyway.
    fetch(address, { method: "POST", headers, body: now }).catch(() => {});
  }

  /** @param {PointerEvent} event */
  function look(event) {
    const place = placeUnder(event);
    now = place ? JSON.stringify(place) : "";
    if (timer === undefined) tell();
  }

  document.addEventListener("pointermove", look);
  parentElement.stopPointing = () => {
    clearTimeout(timer);
    document.removeEventListener("pointermove", look);
  };
  return parentElement.stopPointing;
}
