/**
 * Keeps a visitor's findings in their own browser: tells the server once what is kept there, and
 * again where another tab has changed it, and writes what the session has made of it.
 *
 * @import { ComponentArguments } from "../components/js/mount.js"
 */

const KEPT = "headscope.findings";

/** @param {ComponentArguments<{ loaded: boolean, text: string }>} component */
export default function keepFindings({ data, setTriggerValue }) {
  try {
    const kept = localStorage.getItem(KEPT) ?? "";
    // Of this tab alone: what it has last read there or written.
    const known = sessionStorage.getItem(KEPT);
    if (!data.loaded || kept !== known) {
      sessionStorage.setItem(KEPT, kept);
      setTriggerValue("found", { text: kept, blocked: false });
    } else if (data.text !== kept) {
      localStorage.setItem(KEPT, data.text);
      sessionStorage.setItem(KEPT, data.text);
    }
  } catch {
    // A browser may be told to keep nothing, or have no room left.
    if (!data.loaded) setTriggerValue("found", { text: "", blocked: true });
  }
}
