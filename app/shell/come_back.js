/**
 * Runs the page when the browser is connected anew: the process that had the session may be gone,
 * and another one knows nothing of this page before it has drawn it.
 *
 * @import { ComponentArguments } from "../components/js/mount.js"
 *
 * @typedef {{ connectionObserver: MutationObserver }} Kept
 */

/** @param {ComponentArguments<{}, Kept>} component */
export default function comeBack({ parentElement, setTriggerValue }) {
  const page = document.querySelector('[data-testid="stApp"]');
  if (!page) throw new Error("Streamlit's page is not where it was");
  let connected = true;
  let count = 0;

  /** @param {Element} app */
  function look(app) {
    const before = connected;
    connected = app.getAttribute("data-test-connection-state") === "CONNECTED";
    if (connected && !before) setTriggerValue("back", (count += 1));
  }

  parentElement.connectionObserver?.disconnect();
  const observer = new MutationObserver(() => look(page));
  parentElement.connectionObserver = observer;
  observer.observe(page, { attributeFilter: ["data-test-connection-state"] });
  return () => observer.disconnect();
}
