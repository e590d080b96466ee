/**
 * Runs the page again when it is not in the theme that its figures were drawn for: they have
 * colours of their own for each theme, and Streamlit only repaints what is its own.
 *
 * @import { ComponentArguments } from "../components/js/mount.js"
 *
 * @typedef {{ askedFor: string, themeObserver: MutationObserver }} Kept
 */

/** @param {ComponentArguments<{ drawn: string }, Kept>} component */
export default function watchTheme({ parentElement, data, setTriggerValue }) {
  const page = document.querySelector('[data-testid="stApp"]');
  if (!page) throw new Error("Streamlit's page is not where it was");

  /** @param {Element} app */
  function look(app) {
    const { backgroundColor } = getComputedStyle(app);
    const red = Number(backgroundColor.match(/\d+/)?.[0]);
    const shown = red < 128 ? "dark" : "light";
    // For the style sheet, which has to follow at once.
    document.documentElement.style.setProperty("--hs-background", backgroundColor);
    document.documentElement.dataset.drawnFor = data.drawn;
    if (shown === data.drawn) {
      parentElement.askedFor = undefined;
    } else if (shown !== parentElement.askedFor) {
      // Once: if the server is told of another theme than is shown, it stays at that.
      parentElement.askedFor = shown;
      setTriggerValue("theme", shown);
    }
  }

  parentElement.themeObserver?.disconnect();
  const observer = new MutationObserver(() => look(page));
  parentElement.themeObserver = observer;
  observer.observe(page, { attributeFilter: ["class"] });
  look(page);
  return () => observer.disconnect();
}
