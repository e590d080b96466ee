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
 * @property {Values} values What the cells are.
 * @property {boolean} bidirectional Whether tokens attend to later ones too, as in an encoder.
 * @property {string[] | null} sources The text that is attended to, where it is another one; then
 *   every token attends to all of it. Hostile as `labels`.
 * @property {string} note What is not shown; empty if all is.
 * @property {number} height Pixels for the grid and the large picture.
 * @property {boolean} report Whether Python wants to hear of the view.
 * @property {"none" | "ready" | "playing"} player Whether the text can be played token by token,
 *   and whether that begins by itself; with a player there are no settings.
 * @property {{ locked: number, tokens: number }} limits Most locked heads and tokens.
 * @property {Command} command The view to open with.
 *
 * @typedef {object} Values
 * @property {string} name Such as "Attention pattern".
 * @property {string} unit What a cell is; "attention": rows are shares of 1.
 * @property {number} top What full colour stands for.
 * @property {boolean} signed Whether cells may lie below 0.
 *
 * @typedef {object} GridHead
 * @property {number} layer
 * @property {number} head
 * @property {string} label
 * @property {number} hue Degrees.
 *
 * @typedef {object} Numbers
 * @property {number} n Tokens that attend.
 * @property {number} m Tokens that are attended to.
 * @property {boolean} two Whether these are two texts.
 * @property {string[]} sources One text per token that is attended to; hostile.
 * @property {number} stride Cells of one head.
 * @property {Float32Array} first Attention to the first token, by head and destination.
 * @property {Float32Array} most The largest size of the others: what `whole` stands for in that row.
 * @property {Uint16Array | Int16Array} cells Sources 1..dest, or all but the first where tokens
 *   attend both ways, by head and destination, in steps of `most`.
 * @property {boolean} plain Whether cells are attention.
 * @property {number} whole The largest cell.
 * @property {GridHead[]} heads
 * @property {Map<string | null, number>} indexOf Index of a head by its label.
 *
 * @typedef {Omit<GridHeader, "heads" | "sources"> & Numbers} GridData
 */

import { cellIndex } from "../../js/cells.js";

/** The largest cell of attention, and of what may have a sign. */
export const WHOLE = { plain: 65535, weighted: 32767 };
/** What a pattern holds that is not weighted. @type {Readonly<Values>} */
export const ATTENTION = { name: "Attention pattern", unit: "attention", top: 1, signed: false };
/** A row of which the first token leaves less than this is not rescaled: it would be noise. */
const MIN_REST = 0.05;

/**
 * @param {GridHeader} header
 * @param {ArrayBuffer} body
 * @returns {GridData}
 */
export function makeData(header, body) {
  const n = header.labels.length;
  const sources = header.sources ?? header.labels;
  const m = sources.length;
  const rows = header.heads.length * n;
  const heads = headsOf(header.heads);
  const plain = header.values.unit === "attention";
  return {
    ...header,
    n,
    m,
    two: header.sources !== null,
    sources,
    first: new Float32Array(body, 0, rows),
    most: new Float32Array(body, 4 * rows, rows),
    cells: plain ? new Uint16Array(body, 8 * rows) : new Int16Array(body, 8 * rows),
    plain,
    whole: plain ? WHOLE.plain : WHOLE.weighted,
    heads,
    stride: (n * (m - 1)) / (header.bidirectional ? 1 : 2),
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
 * The last source of a destination.
 *
 * @param {GridData} data
 * @param {number} dest
 */
export const lastSource = ({ bidirectional, m }, dest) => (bidirectional ? m - 1 : dest);

/**
 * The text that tokens are chosen from in a direction.
 *
 * @param {GridData} data
 * @param {"dest" | "src"} direction
 */
export const textOf = ({ labels, sources }, direction) => (direction === "dest" ? labels : sources);

/**
 * The cell of `dest` and `src` in one head: attention, 0..1, or what weighs it.
 *
 * @param {GridData} data
 * @param {number} head
 * @param {number} dest
 * @param {number} src
 */
export function cellValue(data, head, dest, src) {
  if (src > lastSource(data, dest)) return 0;
  const row = head * data.n + dest;
  if (src === 0) return data.first[row];
  const cell = data.bidirectional ? dest * (data.m - 1) + src - 1 : cellIndex(dest - 1, src - 1);
  return (data.cells[head * data.stride + cell] / data.whole) * data.most[row];
}

/**
 * What a row is multiplied by: 1 unless the first token is discounted; 0 blanks the row. What is
 * no share of 1 cannot be shared out anew.
 *
 * @param {GridData} data
 * @param {number} head
 * @param {number} dest
 * @param {Sink} sink
 */
export function rowFactor(data, head, dest, sink) {
  if (sink !== "discount" || !data.plain) return 1;
  const rest = 1 - data.first[head * data.n + dest];
  return rest < MIN_REST ? 0 : 1 / rest;
}

/**
 * A cell as drawn, with the first token as the visitor wants it.
 *
 * @param {GridData} data
 * @param {number} head
 * @param {number} dest
 * @param {number} src
 * @param {Sink} sink
 */
export function shownValue(data, head, dest, src, sink) {
  if (sink !== "show" && src === 0) return 0;
  const value = cellValue(data, head, dest, src) * rowFactor(data, head, dest, sink);
  return data.plain ? Math.min(1, value) : value;
}

/**
 * The place of a value on the scale of colours, in whole steps: -255..255.
 *
 * @param {GridData} data
 * @param {number} value
 */
export function levelOf({ values }, value) {
  const level = Math.round((255 * value) / values.top);
  return Math.max(values.signed ? -255 : 0, Math.min(255, level));
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
  const count = direction === "dest" ? data.m : data.n;
  const weights = new Float32Array(count);
  for (const token of active) {
    for (let other = 0; other < count; other++) {
      const [dest, src] = direction === "dest" ? [token, other] : [other, token];
      weights[other] += shownValue(data, head, dest, src, sink) / active.length;
    }
  }
  return weights;
}
