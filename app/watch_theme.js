/**
 * Runs the page again when its theme changes: figures have colours of their own for each theme,
 * and Streamlit only repaints what is its own.
 */

export default function watchTheme({ parentElement, setTriggerValue }) {
  const page = document.querySelector('[data-testid="stApp"]');
  const background = () => getComputedStyle(page).backgroundColor;
  let before = background();
  parentElement.themeObserver?.disconnect();
  const observer = new MutationObserver(() => {
    const now = background();
    if (now === before) return;
    before = now;
    setTriggerValue("background", now);
  });
  parentElement.themeObserver = observer;
  observer.observe(page, { attributeFilter: ["class"] });
  return () => observer.disconnect();
}
