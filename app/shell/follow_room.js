/**
 * Asks now and then whether a room has moved, and tells the app once for each move; shows what the
 * presenter points at.
 *
 * The question goes past Streamlit: no script runs on the server while nothing happens, and a
 * page that is just being changed is not disturbed.
 *
 * @import { ComponentArguments } from "../components/js/mount.js"
 *
 * @typedef {{ stopFollowing: () => void }} Kept
 *
 * @typedef {object} Followed
 * @property {string} code Of the room.
 * @property {string} who The follower.
 * @property {number} seen The version that is shown.
 * @property {boolean} away Whether the follower looks at something else.
 */
import { spotOf } from "../components/js/pointing.js";

const EVERY = 800; // milliseconds
const AGAIN = 4000; // after which a move that was told and not taken is told again

/** @param {ComponentArguments<Followed, Kept>} component */
export default function followRoom({ parentElement, data, setTriggerValue }) {
  parentElement.stopFollowing?.();
  const address = new URL("room-version", window.location.href);
  address.search = String(new URLSearchParams({ code: data.code, who: data.who }));
  let told = { version: "", at: 0 };
  const ring = document.createElement("div");
  ring.className = "hs-pointed";
  ring.hidden = true;
  document.body.append(ring);
  /** @type {Element | null} */
  let pointed = null;
  let place = ""; // what the presenter points at, as it was told

  async function look() {
    let version;
    try {
      const answer = await fetch(address, { cache: "no-store" });
      version = answer.ok ? await answer.text() : answer.status === 410 ? "closed" : undefined;
      const same = version === String(data.seen) && !data.away;
      place = (same && answer.headers.get("X-Room-Pointed")) || "";
    } catch {
      return; // the network is gone for a moment
    }
    show();
    if (version === undefined || version === String(data.seen)) return;
    if (data.away && version !== "closed") return;
    if (told.version === version && performance.now() - told.at < AGAIN) return;
    told = { version, at: performance.now() };
    setTriggerValue("moved", version);
  }

  /** A ring around the place, and there what the follower's own mouse would show. */
  function show() {
    const spot = place ? spotOf(JSON.parse(place)) : null;
    ring.hidden = !spot;
    if (spot) {
      ring.style.left = `${spot.left}px`;
      ring.style.top = `${spot.top}px`;
    }
    if (pointed && pointed !== spot?.plot) act(pointed, ["pointerleave", "mouseout"], 0, 0);
    pointed = spot?.plot ?? null;
    if (spot) act(spot.plot, ["pointermove", "mousemove"], spot.left, spot.top);
  }

  /**
   * @param {Element} plot
   * @param {string[]} kinds
   * @param {number} clientX
   * @param {number} clientY
   */
  function act(plot, kinds, clientX, clientY) {
    if (plot.matches(":hover")) return; // the follower's own mouse is there
    for (const kind of kinds) {
      plot.dispatchEvent(new PointerEvent(kind, { clientX, clientY, pointerType: "mouse" }));
    }
  }

  const timer = setInterval(look, EVERY);
  document.addEventListener("scroll", show, true);
  look();
  parentElement.stopFollowing = () => {
    clearInterval(timer);
    document.removeEventListener("scroll", show, true);
    ring.remove();
  };
  return parentElement.stopFollowing;
}
