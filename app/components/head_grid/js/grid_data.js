/**
 * The patterns of the head grid as they came from Python. A head is known by its index in the
 * payload.
 *
 * @import { Command } from "./view.js"
 *
 * @typedef {"show" | "hide" | "discount"} Sink What is done with attention to the first token.
 *
 * @typedef {object} GridHeader What `payload.py` sends before the numbers.
 * @property {string} id Changes when anything drawn does.
 * @property {string} key The component's key in the page.
 * @property {[number, number][]} heads Layer and head of each.
 * @property {string[]} labels One text per token; hostile.
 * @property {Record<string, (number | null)[]>} scores Per head; null where unknown.
 * @property {Record<string, number>} marks Score name to threshold.
 * @property {string} note What is not shown; empty if all is.
 * @property {number} height Pixels for the grid and the large picture.
 * @property {boolean} report Whether Python wants to hear of the view.
 * @property {"none" | "ready" | "playing"} player Whether the text can be played token by token,
 *   and whether that begins by itself; with a player there are no settings.
 * @property {{ locked: number, tokens: number }} limits Most locked heads and tokens.
 * @property {Command} command The view to open with.
 *
 * @typedef {object} GridHead
 * @property {number} layer
 * @property {number} head
 * @property {string} label
 * @property {number} hue Degrees.
 *
 * @typedef {object} Numbers
 * @property {number} n Tokens.
 * @property {number} stride Cells of one head.
 * @property {Float32Array} first Attention to the first token, by head and destination.
 * @property {Float32Array} most The most of the other sources: what `TOP` stands for in that row.
 * @property {Uint16Array} cells Sources 1..dest by head and destination, in steps of `most`.
 * @property {GridHead[]} heads
 * @property {Map<string | null, number>} indexOf Index of a head by its label.
 *
 * @typedef {Omit<GridHeader, "heads"> & Numbers} GridData
 */

import { cellIndex } from "../../js/cells.js";

/** The largest cell: it stands for the most in its row. */
export const TOP = 65535;
/** A row of which the first token leaves less than this is not rescaled: it would be noise. */
const MIN_REST = 0.05;

/**
 * @param {GridHeader} header
 * @param {ArrayBuffer} body
 * @returns {GridData}
 */
export function makeData(header, body) {
  const n = header.labels.length;
  const rows = header.heads.length * n;
  const heads = headsOf(header.heads);
  return {
    ...header,
    n,
    first: new Float32Array(body, 0, rows),
    most: new Float32Array(body, 4 * rows, rows),
    cells: new Uint16Array(body, 8 * rows),
    heads,
    stride: (n * (n - 1)) / 2,
    indexOf: new Map(heads.map((head, index) => [head.label, index])),
  };
}

/**
 * @param {[number, number][]} pairs
 * @returns {GridHead[]}
 */
function headsOf(pairs) {
  const width = Math.max(...pairs.map(([, head]) => head)) + 1;
  const depth = Math.max(...pairs.map(([layer]) => layer)) + 1;
  return pairs.map(([layer, head]) => ({
    layer,
    head,
    label: `L${layer}H${head}`,
    // Its place in the layer, drifting a little from layer to layer; 255 starts with blue.
    hue: (255 + (360 * (head + layer / depth)) / width) % 360,
  }));
}

/**
 * Attention of `dest` to `src` in one head, 0..1.
 *
 * @param {GridData} data
 * @param {number} head
 * @param {number} dest
 * @param {number} src
 */
export function attention(data, head, dest, src) {
  if (src > dest) return 0;
  const row = head * data.n + dest;
  if (src === 0) return data.first[row];
  const cell = head * data.stride + cellIndex(dest - 1, src - 1);
  return (data.cells[cell] / TOP) * data.most[row];
}

/**
 * What a row is multiplied by: 1 unless the first token is discounted; 0 blanks the row.
 *
 * @param {GridData} data
 * @param {number} head
 * @param {number} dest
 * @param {Sink} sink
 */
export function rowFactor(data, head, dest, sink) {
  if (sink !== "discount") return 1;
  const rest = 1 - data.first[head * data.n + dest];
  return rest < MIN_REST ? 0 : 1 / rest;
}

/**
 * Attention as drawn, with the first token as the visitor wants it.
 *
 * @param {GridData} data
 * @param {number} head
 * @param {number} dest
 * @param {number} src
 * @param {Sink} sink
 */
export function shownAttention(data, head, dest, src, sink) {
  if (sink !== "show" && src === 0) return 0;
  return Math.min(1, attention(data, head, dest, src) * rowFactor(data, head, dest, sink));
}

/**
 * For each position, its share in what the active tokens attend to, or are attended by.
 *
 * @param {GridData} data
 * @param {number} head
 * @param {number[]} active
 * @param {"dest" | "src"} direction
 * @param {Sink} sink
 */
export function tokenWeights(data, head, active, direction, sink) {
  const weights = new Float32Array(data.n);
  for (const token of active) {
    for (let other = 0; other < data.n; other++) {
      const [dest, src] = direction === "dest" ? [token, other] : [other, token];
      weights[other] += shownAttention(data, head, dest, src, sink) / active.length;
    }
  }
  return weights;
}
