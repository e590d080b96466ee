/**
 * Has the server hand the key of this visitor's room to the browser as a cookie that no script
 * reads: after a reload the visitor can go on presenting.
 *
 * @import { ComponentArguments } from "../components/js/mount.js"
 */

/** @param {ComponentArguments<{ key: string }, { keptKey: string }>} component */
export default function keepRoom({ parentElement, data }) {
  if (parentElement.keptKey === data.key) return;
  parentElement.keptKey = data.key;
  const address = new URL("room-key", window.location.href);
  // Without the network the room lasts as long as this page does.
  fetch(address, { method: "POST", headers: { "X-Room-Key": data.key } }).catch(() => {});
}
