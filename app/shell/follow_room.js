/**
 * Asks now and then whether a room has moved, and tells the app once for each move.
 *
 * The question goes past Streamlit: no script runs on the server while nothing happens, and a
 * page that is just being changed is not disturbed.
 *
 * @import { ComponentArguments } from "../components/js/mount.js"
 *
 * @typedef {{ followTimer: ReturnType<typeof setInterval> }} Kept
 *
 * @typedef {object} Followed
 * @property {string} code Of the room.
 * @property {string} who The follower.
 * @property {number} seen The version that is shown.
 * @property {boolean} away Whether the follower looks at something else.
 */

const EVERY = 800; // milliseconds
const AGAIN = 4000; // after which a move that was told and not taken is told again

/** @param {ComponentArguments<Followed, Kept>} component */
export default function followRoom({ parentElement, data, setTriggerValue }) {
  clearInterval(parentElement.followTimer);
  const address = new URL("room-version", window.location.href);
  address.search = String(new URLSearchParams({ code: data.code, who: data.who }));
  let told = { version: "", at: 0 };

  async function look() {
    let version;
    try {
      const answer = await fetch(address, { cache: "no-store" });
      version = answer.ok ? await answer.text() : answer.status === 410 ? "closed" : undefined;
    } catch {
      return; // the network is gone for a moment
    }
    if (version === undefined || version === String(data.seen)) return;
    if (data.away && version !== "closed") return;
    if (told.version === version && performance.now() - told.at < AGAIN) return;
    told = { version, at: performance.now() };
    setTriggerValue("moved", version);
  }

  const timer = setInterval(look, EVERY);
  parentElement.followTimer = timer;
  look();
  return () => clearInterval(timer);
}
