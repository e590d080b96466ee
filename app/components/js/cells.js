/**
 * Cells of a pattern. Words: dest is the token that attends (row), src the one attended to
 * (column); src lies after dest only where tokens attend both ways.
 *
 * @typedef {{ dest: number, src: number }} Cell
 */

/** What an arrow key adds to column and row. @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * The step of a key, or undefined if it is no arrow.
 *
 * @param {string} key
 * @returns {[number, number] | undefined}
 */
export function arrowStep(key) {
  return Object.hasOwn(ARROWS, key) ? ARROWS[key] : undefined;
}

/**
 * The cell one step on; at an edge it stays, and the diagonal is such an edge unless tokens attend
 * both ways.
 *
 * @param {Cell} cell
 * @param {[number, number]} step
 * @param {number} n Tokens.
 * @param {boolean} [bidirectional]
 * @param {number} [m] Tokens that are attended to, where they are others.
 * @returns {Cell}
 */
export function cellBeside(cell, [right, down], n, bidirectional = false, m = n) {
  const dest = Math.min(n - 1, Math.max(0, cell.dest + down));
  return { dest, src: Math.min(bidirectional ? m - 1 : dest, Math.max(0, cell.src + right)) };
}

/**
 * Where a cell stands when the rows are written one after another, each up to its diagonal.
 *
 * @param {number} dest
 * @param {number} src
 */
export const cellIndex = (dest, src) => (dest * (dest + 1)) / 2 + src;

/**
 * Of `n` things in a row of `size` places, the place that each falls into.
 *
 * @param {number} n
 * @param {number} size
 * @returns {Uint16Array}
 */
export function placesOf(n, size) {
  const places = new Uint16Array(n);
  for (let i = 0; i < n; i++) places[i] = Math.floor((i * size) / n);
  return places;
}
