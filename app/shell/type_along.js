/**
 * Hands on what is typed into the prompt on this page once its writer pauses, as if they had
 * pressed the keys for it: Streamlit waits for these.
 */

const PAUSE = 700; // ms

export default function typeAlong() {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /** @param {Event} event */
  function typed({ target, isTrusted }) {
    if (!isTrusted || !(target instanceof HTMLTextAreaElement)) return;
    if (!target.closest('[data-testid="stMain"]')) return;
    clearTimeout(timer);
    const keys = { key: "Enter", ctrlKey: true, bubbles: true, cancelable: true };
    timer = setTimeout(() => target.dispatchEvent(new KeyboardEvent("keydown", keys)), PAUSE);
  }

  document.addEventListener("input", typed);
  return () => {
    clearTimeout(timer);
    document.removeEventListener("input", typed);
  };
}
