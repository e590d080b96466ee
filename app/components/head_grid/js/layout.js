/**
 * Sizes and places of the small pictures and of the large one; CSS pixels unless said otherwise.
 *
 * @import { GridHead } from "./grid_data.js"
 *
 * @typedef {{ left: number, top: number, width: number, height: number }} Box
 *
 * @typedef {object} PictureSize
 * @property {boolean} named Whether tokens stand on the axes, not numbers.
 * @property {number} gutter Room for the axes.
 * @property {number} side Of the picture on the page.
 * @property {number} size Of the picture in its own pixels.
 */

const LABEL_PITCH = 11; // px per row below which token labels would overlap
const SPLIT_WIDTH = 720; // px from which the large picture stands beside the small ones
const SPLIT_SHARE = 0.48; // of the width, for the small pictures, as in the style sheet
// Below `lettered` a badge's letter would hide the picture; `captioned` fits "L11H11 0.98".
const THUMB = { min: 14, max: 92, gap: 4, close: 2, lettered: 36, captioned: 62 };
const TABLE = { rowNames: 34, columnNames: 26, most: 4 }; // px; stacks of layers side by side
const SHEET_LIMIT = 16000; // px; browsers refuse canvases that are higher

/** @param {number} width */
export const isSplit = (width) => width >= SPLIT_WIDTH;

/** @param {number} size */
export const isTiny = (size) => size < THUMB.lettered;

/**
 * Room for the small pictures.
 *
 * @param {number} width
 */
export function thumbRoom(width) {
  return isSplit(width) ? Math.floor(width * SPLIT_SHARE) : width;
}

/**
 * The heads by falling score, those without one last; as they came if there are no scores.
 *
 * @param {number} count
 * @param {(number | null)[] | undefined} scores
 * @returns {number[]}
 */
export function headOrder(count, scores) {
  const order = [...Array(count).keys()];
  if (!scores) return order;
  /** @param {number} head */
  const score = (head) => scores[head] ?? -Infinity;
  // Two heads without a score differ by NaN, which the index then decides.
  return order.sort((a, b) => score(b) - score(a) || a - b);
}

/**
 * Rows of layers and columns of heads, if that is what was given; else null: one after another.
 *
 * @param {GridHead[]} heads
 * @returns {{ layers: number[], numbers: number[] } | null}
 */
export function tableOf(heads) {
  const layers = [...new Set(heads.map(({ layer }) => layer))];
  const numbers = [...new Set(heads.map(({ head }) => head))];
  const labels = layers.flatMap((layer) => numbers.map((number) => `L${layer}H${number}`));
  const isTable = labels.join() === heads.map(({ label }) => label).join();
  return isTable ? { layers, numbers } : null;
}

/**
 * The side of a small picture in a table, and in how many stacks its layers stand side by side:
 * as many as make the pictures largest while all of them are in sight.
 *
 * @param {number} layers
 * @param {number} numbers
 * @param {number} room
 * @param {number} height
 * @returns {{ size: number, gap: number, stacks: number }}
 */
export function tableThumb(layers, numbers, room, height) {
  let best = { size: THUMB.min, gap: THUMB.close, stacks: 1 };
  for (let stacks = 1; stacks <= Math.min(TABLE.most, layers); stacks += 1) {
    const across = Math.floor((room / stacks - TABLE.rowNames) / numbers);
    const down = Math.floor((height - TABLE.columnNames) / Math.ceil(layers / stacks));
    const pitch = Math.min(across, down);
    const gap = isTiny(pitch) ? THUMB.close : THUMB.gap;
    const size = Math.min(THUMB.max, pitch - gap);
    // Of pictures that are tiny anyway, a lower table is seen at once.
    const better = isTiny(size) ? size >= best.size : size > best.size;
    if (better) best = { size, gap, stacks };
  }
  return best;
}

/**
 * The side of a small picture, and how many stand in a row, one after another with captions.
 *
 * @param {number} count
 * @param {number} room
 * @param {number} height
 */
export function flowThumb(count, room, height) {
  let size = THUMB.max;
  const perRow = () => Math.max(1, Math.floor(room / (size + THUMB.gap)));
  while (size > THUMB.captioned && Math.ceil(count / perRow()) * (size + 24) > height) size -= 2;
  return { size, perRow: Math.min(count, perRow()) };
}

/**
 * Device pixels per CSS pixel on the canvas of all small pictures.
 *
 * @param {number} height
 * @param {number} ratio Of the screen.
 */
export function sheetRatio(height, ratio) {
  return Math.min(ratio, SHEET_LIMIT / height);
}

/**
 * @param {number} n Tokens.
 * @param {number} room Width for picture and axis.
 * @param {number} height Height for both.
 * @param {number} longest Room that the longest label needs.
 * @param {number} ratio Device pixels per CSS pixel.
 * @param {number} [type] Size of the axes' type.
 * @returns {PictureSize}
 */
export function pictureSize(n, room, height, longest, ratio, type = LABEL_PITCH) {
  const wanted = Math.min(9 * type - 3, longest);
  const named = Math.min(room - wanted, height - wanted) / n >= type;
  const gutter = named ? wanted : 3 * type + 1;
  const free = Math.max(64, Math.min(room - gutter, height - gutter));
  // Whole device pixels per cell keep every cell the same size; longer texts share pixels.
  const perCell = Math.floor((free * ratio) / n);
  const pixels = perCell >= 1 ? perCell * n : Math.floor(free * ratio);
  return { named, gutter, side: pixels / ratio, size: perCell >= 1 ? n : pixels };
}

/**
 * A spacing for ticks that leaves at least `room` between them.
 *
 * @param {number} pitch
 * @param {number} room
 */
export function tickStep(pitch, room) {
  return [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500].find((step) => step * pitch >= room) ?? 1000;
}

/**
 * The part of a destination's row that has cells.
 *
 * @param {number} dest
 * @param {number} pitch
 * @param {number} last Its last source.
 * @param {number} [across] The pitch of columns, where it is another.
 * @returns {Box}
 */
export function rowBand(dest, pitch, last, across = pitch) {
  return { left: 0, top: dest * pitch, width: (last + 1) * across, height: Math.max(pitch, 2) };
}

/**
 * The part of a source's column that has cells.
 *
 * @param {number} src
 * @param {number} pitch
 * @param {number} side
 * @param {number} first Its first destination.
 * @returns {Box}
 */
export function columnBand(src, pitch, side, first) {
  const top = first * pitch;
  return { left: src * pitch, top, width: Math.max(pitch, 2), height: side - top };
}

/**
 * A frame around a cell, large enough to be seen.
 *
 * @param {number} dest
 * @param {number} src
 * @param {number} pitch
 * @param {number} [across] The pitch of columns, where it is another.
 * @returns {Box}
 */
export function cellFrame(dest, src, pitch, across = pitch) {
  const [width, height] = [Math.max(across, 6), Math.max(pitch, 6)];
  const left = (src + 0.5) * across - width / 2;
  const top = (dest + 0.5) * pitch - height / 2;
  return { left, top, width, height };
}
