/**
 * Keeps a visitor's findings in their own browser: tells the server once what is kept there, and
 * again where another tab has changed it, and writes what the session has made of it. A quiet
 * one says nothing of a browser that keeps nothing.
 *
 * @import { ComponentArguments } from "../components/js/mount.js"
 */

const KEPT = "headscope.findings";

/** @param {ComponentArguments<{ loaded: boolean, quiet: boolean, text: string }>} component */
export default function keepFindings({ data, setTriggerValue }) {
  try {
    const kept = localStorage.getItem(KEPT) ?? "";
    // Of this tab alone: what it has last read there or written.
    const known = sessionStorage.getItem(KEPT);
    if (data.quiet && !data.loaded && !kept) return;
    if (!data.loaded || kept !== known) {
      sessionStorage.setItem(KEPT, kept);
      setTriggerValue("found", { text: kept, blocked: false });
    } else if (data.text !== kept) {
      localStorage.setItem(KEPT, data.text);
      sessionStorage.setItem(KEPT, data.text);
    }
  } catch {
    // A browser may be told to keep nothing, or have no room left.
    if (!data.loaded && !data.quiet) setTriggerValue("found", { text: "", blocked: true });
  }
}
