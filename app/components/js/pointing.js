/**
 * Places in the figures of a page, named so that another browser finds the same one there.
 *
 * @typedef {object} Place
 * @property {string} figure Its key on the page.
 * @property {number} part Which of its plots.
 * @property {number} x How far from the plot's left edge, 0 to 1.
 * @property {number} y And from its top.
 */

// What is drawn in cells: Plotly's plots, the large picture of the grid, the pair of patterns.
const PLOTS = ".nsewdrag, .hg-picture, .pp-picture";

/** @param {Element} element */
function keyOf(element) {
  return [...element.classList].find((name) => name.startsWith("st-key-"))?.slice(7);
}

/**
 * The plots of a figure; components draw in a shadow of their own.
 *
 * @param {ParentNode} root
 * @returns {Element[]}
 */
function plotsIn(root) {
  const inside = [...root.querySelectorAll("*")].flatMap(({ shadowRoot }) =>
    shadowRoot ? plotsIn(shadowRoot) : [],
  );
  return [...root.querySelectorAll(PLOTS), ...inside];
}

/**
 * What an event of the mouse is about, if that is a place in a figure.
 *
 * @param {MouseEvent} event
 * @returns {Place | null}
 */
export function placeUnder(event) {
  const path = event.composedPath().filter((node) => node instanceof Element);
  const plot = path.find((element) => element.matches(PLOTS));
  const figure = path.find((element) => keyOf(element));
  if (!plot || !figure) return null;
  const box = plot.getBoundingClientRect();
  /** @param {number} share */
  const within = (share) => Math.min(1, Math.max(0, share));
  return {
    figure: keyOf(figure) ?? "",
    part: plotsIn(figure).indexOf(plot),
    x: within((event.clientX - box.left) / box.width),
    y: within((event.clientY - box.top) / box.height),
  };
}

/**
 * Where that place is on this page, and in which plot; null if it is not drawn.
 *
 * @param {Place} place
 * @returns {{ plot: Element, left: number, top: number } | null}
 */
export function spotOf({ figure, part, x, y }) {
  const element = document.querySelector(`.st-key-${CSS.escape(figure)}`);
  const plot = element && plotsIn(element)[part];
  if (!plot) return null;
  const box = plot.getBoundingClientRect();
  return { plot, left: box.left + x * box.width, top: box.top + y * box.height };
}
