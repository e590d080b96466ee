/**
 * Windows as they came from Python: of each row its largest keys, made into a pattern of one head.
 *
 * @import { GridData } from "../../head_grid/js/grid_data.js"
 *
 * @typedef {object} StripHeader One window, as `component.py` sends it.
 * @property {string} title Hostile, as all that follows.
 * @property {string} note
 * @property {string[]} labels
 * @property {number} start The query that is active at first.
 *
 * @typedef {object} WindowsHeader
 * @property {string} id Changes when anything drawn does.
 * @property {string} key
 * @property {[number, number]} head
 * @property {number} width Keys of each row.
 * @property {StripHeader[]} strips
 */
import { ATTENTION, makeData, WHOLE } from "../../head_grid/js/grid_data.js";
import { cellIndex } from "../../js/cells.js";

/**
 * The pattern of each window; a source that is not among the keys of its row has 0.
 *
 * @param {WindowsHeader} header
 * @param {ArrayBuffer} body
 * @returns {GridData[]}
 */
export function patternsOf(header, body) {
  const { width, strips } = header;
  const rows = strips.reduce((sum, { labels }) => sum + labels.length, 0);
  const keys = new Uint16Array(body, 0, rows * width);
  const shares = new Uint16Array(body, 2 * rows * width, rows * width);
  let row = 0;
  return strips.map(({ labels }) => {
    const n = labels.length;
    const bytes = new ArrayBuffer(8 * n + n * (n - 1));
    const first = new Float32Array(bytes, 0, n);
    new Float32Array(bytes, 4 * n, n).fill(1); // the share that ends each row's scale
    const cells = new Uint16Array(bytes, 8 * n);
    for (let dest = 0; dest < n; dest++, row++) {
      for (let at = row * width; at < (row + 1) * width; at++) {
        if (shares[at] === 0) continue;
        if (keys[at] === 0) first[dest] = shares[at] / WHOLE.plain;
        else cells[cellIndex(dest - 1, keys[at] - 1)] = shares[at];
      }
    }
    return makeData(
      {
        id: header.id,
        key: header.key,
        heads: [header.head],
        labels,
        scores: {},
        marks: {},
        values: ATTENTION,
        bidirectional: false,
        sources: null,
      note: "",
        height: 0,
        report: false,
        player: "none",
        limits: { locked: 1, tokens: 16 },
        command: { number: 0, focus: null, locked: [], tokens: [], direction: "dest" },
      },
      bytes,
    );
  });
}
