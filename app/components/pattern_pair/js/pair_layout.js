/** Sizes of the panes, in CSS pixels, and what lies under a point of one. */

const WIDE = 760; // px from which the difference stands beside the two patterns
const TICK = 13; // px a token label needs
const SIDE = 66; // px for the labels left of a picture
const FOOT = 66; // px for the labels below it
const NUMBERS = { side: 22, foot: 24 }; // px where numbers stand in their place
const FEW = 64; // tokens up to which names are worth more than a larger picture
const GAP = 18; // px between panes

/**
 * @param {number} width
 * @param {number} count Of maps.
 * @param {number} longest Most tokens of a map.
 * @param {number} [scale] Of the type.
 */
export function paneLayout(width, count, longest, scale = 1) {
  const columns = width >= WIDE ? count : 2;
  const room = (width - GAP * (columns - 1)) / columns;
  // Where room is short, numbers stand on the axes and the readout names the tokens.
  const named = room > 300 || (longest <= FEW && room > 200);
  const side = scale * (named ? SIDE : NUMBERS.side);
  const size = Math.max(80, Math.min(Math.floor(room - side), 460 * scale));
  return { columns, named, side, size, scale, foot: scale * (named ? FOOT : NUMBERS.foot) };
}

/**
 * Every how many tokens one stands on an axis.
 *
 * @param {number} pitch
 * @param {boolean} named
 * @param {number} [scale] Of the type.
 */
export function labelStep(pitch, named, scale = 1) {
  return Math.max(1, Math.ceil((scale * (named ? TICK : 2 * TICK)) / pitch));
}

/**
 * The token at a place of an axis; the nearest one beyond its ends.
 *
 * @param {number} place
 * @param {number} length
 * @param {number} n Tokens.
 */
export function tokenAt(place, length, n) {
  return Math.min(n - 1, Math.max(0, Math.floor((place / length) * n)));
}

/**
 * Where a cell's frame and its two lines stand in a picture of `size` px.
 *
 * @param {number} dest
 * @param {number} src
 * @param {number} size
 * @param {number} n Tokens.
 */
export function marksOf(dest, src, size, n) {
  const pitch = size / n;
  const [x, y] = [(src + 0.5) * pitch, (dest + 0.5) * pitch];
  const wide = Math.max(pitch, 7); // a cell of 2 px could not be seen
  return {
    frame: { left: x - wide / 2, top: y - wide / 2, width: wide, height: wide },
    row: { left: 0, top: y, width: size, height: 1 },
    column: { left: x, top: 0, width: 1, height: size },
  };
}
