/**
 * What lies under the mouse, and where the keys lead.
 *
 * @import { Cell } from "../../js/cells.js"
 * @import { GridData } from "./grid_data.js"
 */
import { arrowStep } from "../../js/cells.js";
import { cellValue, lastSource } from "./grid_data.js";
import { rasterSize } from "./painting.js";

/**
 * The tokens that fall into one row or column of pixels: [first, end).
 *
 * @param {number} pixel
 * @param {number} n
 * @param {number} size
 * @returns {[number, number]}
 */
export function tokensOfPixel(pixel, n, size) {
  return [Math.ceil((pixel * n) / size), Math.ceil(((pixel + 1) * n) / size)];
}

/**
 * The cell under a point of the large picture, null beside the pattern; of cells that share a
 * pixel, the strongest.
 *
 * @param {GridData} data
 * @param {number} head
 * @param {{ side: number, size: number }} picture Its side on the page, and the most pixels of one.
 * @param {number} x
 * @param {number} y
 * @returns {Cell | null}
 */
export function cellAt(data, head, { side, size }, x, y) {
  if (x < 0 || y < 0) return null;
  const { n, m } = data;
  const { width, height } = rasterSize(data, size);
  /** @param {number} at @param {number} pixels */
  const pixel = (at, pixels) => Math.floor((at / side) * pixels);
  const [firstDest, endDest] = tokensOfPixel(pixel(y, height), n, height);
  const [firstSrc, endSrc] = tokensOfPixel(pixel(x, width), m, width);
  let best = null;
  let most = -1;
  for (let dest = firstDest; dest < Math.min(n, endDest); dest++) {
    for (let src = firstSrc; src < Math.min(lastSource(data, dest) + 1, endSrc); src++) {
      const value = Math.abs(cellValue(data, head, dest, src));
      if (value > most) [best, most] = [{ dest, src }, value];
    }
  }
  return best;
}

/**
 * The place that a key leads to among `count` pictures in rows of `perRow`: the same where there
 * is none, undefined for a key that leads nowhere.
 *
 * @param {string} key
 * @param {number} place
 * @param {number} count
 * @param {number} perRow
 * @returns {number | undefined}
 */
export function placeAfter(key, place, count, perRow) {
  if (key === "Home") return 0;
  if (key === "End") return count - 1;
  const step = arrowStep(key);
  if (!step) return undefined;
  const next = place + step[0] + step[1] * perRow;
  return next < 0 || next >= count ? place : next;
}
