/**
 * A card for each word that leads to the glossary: what it means, where it stands. A click opens
 * its entry in the same tab, where Streamlit would open another; with Ctrl it still does.
 *
 * @import { ComponentArguments } from "../components/js/mount.js"
 *
 * @typedef {{ stopExplaining: () => void }} Kept
 */

const LINK = 'a[href*="glossary?term="]';
const ROOM = 8; // pixels between a card, its word and the window

/** @param {EventTarget | null} target */
function linkAt(target) {
  const found = target instanceof Element ? target.closest(LINK) : null;
  return found instanceof HTMLAnchorElement ? found : null;
}

/** @param {HTMLAnchorElement} link */
function wordOf(link) {
  return new URL(link.href).searchParams.get("term") ?? "";
}

/** @param {ComponentArguments<{ words: Record<string, string> }, Kept>} component */
export default function explainWords({ parentElement, data, setTriggerValue }) {
  parentElement.stopExplaining?.();
  const card = document.createElement("div");
  card.className = "hs-word";
  card.id = "hs-word";
  card.setAttribute("role", "tooltip");
  card.hidden = true;
  /** @type {HTMLAnchorElement | null} */
  let explained = null;

  function hide() {
    explained?.removeAttribute("aria-describedby");
    explained = null;
    card.hidden = true;
  }

  /** @param {HTMLAnchorElement} link */
  function show(link) {
    const word = wordOf(link);
    if (link === explained || !(word in data.words)) return;
    hide();
    const app = document.querySelector('[data-testid="stApp"]');
    if (!app) return;
    // Colours of the theme that is shown, which Streamlit keeps to itself.
    const { backgroundColor, color } = getComputedStyle(app);
    const name = document.createElement("strong");
    name.textContent = word;
    card.replaceChildren(name, ` · ${data.words[word]}`);
    Object.assign(card.style, { backgroundColor, color, left: "0", top: "0" });
    app.append(card);
    card.hidden = false;
    link.setAttribute("aria-describedby", card.id);
    explained = link;
    place(link);
  }

  /** @param {HTMLAnchorElement} link */
  function place(link) {
    const at = link.getBoundingClientRect();
    const { width, height } = card.getBoundingClientRect();
    const left = Math.min(at.left, window.innerWidth - width - ROOM);
    const below = at.bottom + ROOM + height < window.innerHeight;
    card.style.left = `${Math.max(ROOM, left)}px`;
    card.style.top = `${below ? at.bottom + ROOM : Math.max(ROOM, at.top - height - ROOM)}px`;
  }

  // What moves under a pointer that rests tells it nothing: the word is looked for.
  function moved() {
    const link = linkAt(document.querySelector(`${LINK}:hover`));
    if (link && link === explained) place(link);
    else hide();
  }

  /** @param {PointerEvent} event */
  function over(event) {
    const link = linkAt(event.target);
    if (link && event.pointerType !== "touch") show(link);
    else if (event.pointerType !== "touch" && !card.contains(/** @type {Node} */ (event.target))) hide();
  }

  /** @param {FocusEvent} event */
  function focus(event) {
    const link = linkAt(event.target);
    if (link?.matches(":focus-visible")) show(link);
    else hide();
  }

  /** @param {MouseEvent} event */
  function click(event) {
    const link = linkAt(event.target);
    if (!link) return hide();
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    // A finger cannot hover: the first tap shows the card, the second opens the entry.
    const touch = event instanceof PointerEvent && event.pointerType === "touch";
    if (touch && link !== explained && wordOf(link) in data.words) return show(link);
    hide();
    setTriggerValue("word", wordOf(link));
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    if (event.key === "Escape") hide();
  }

  document.addEventListener("pointerover", over);
  document.addEventListener("focusin", focus);
  document.addEventListener("click", click, true);
  document.addEventListener("keydown", key);
  document.addEventListener("scroll", moved, true);
  parentElement.stopExplaining = () => {
    document.removeEventListener("pointerover", over);
    document.removeEventListener("focusin", focus);
    document.removeEventListener("click", click, true);
    document.removeEventListener("keydown", key);
    document.removeEventListener("scroll", moved, true);
    card.remove();
  };
  // A page that runs again mounts this anew while its reader may be reading.
  const rested = linkAt(document.querySelector(`${LINK}:hover`));
  if (rested) show(rested);
  return parentElement.stopExplaining;
}
