/** Colours written as `#rrggbb`. */

/**
 * Red, green and blue, 0..255 each.
 *
 * @param {string} hex
 * @returns {number[]}
 */
export function hexBytes(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}
