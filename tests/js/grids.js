/**
 * Grids made by hand, for the tests.
 *
 * @import { GridData, GridHeader } from "../../app/components/head_grid/js/grid_data.js"
 */
import { ATTENTION, WHOLE, makeData } from "../../app/components/head_grid/js/grid_data.js";

/**
 * A grid of patterns given as rows: [head][dest][src]. Heads are L0H0, L0H1, ...
 *
 * @param {number[][][]} patterns
 * @param {Partial<GridHeader>} [header]
 * @returns {GridData}
 */
export function gridOf(patterns, header = {}) {
  const n = patterns[0].length;
  const rows = patterns.flat();
  const most = rows.map((row) => Math.max(0, ...row.slice(1).map(Math.abs)));
  const plain = (header.values ?? ATTENTION).unit === "attention";
  const whole = plain ? WHOLE.plain : WHOLE.weighted;
  const cells = rows.flatMap((row, i) => row.slice(1).map((value) => (whole * value) / most[i]));
  const body = new ArrayBuffer(8 * rows.length + 2 * cells.length);
  new Float32Array(body, 0, rows.length).set(rows.map((row) => row[0]));
  new Float32Array(body, 4 * rows.length, rows.length).set(most);
  new (plain ? Uint16Array : Int16Array)(body, 8 * rows.length).set(cells.map((cell) => Math.round(cell || 0)));
  return makeData(
    {
      id: "id",
      key: "grid",
      heads: patterns.map((_, head) => [0, head]),
      labels: Array.from({ length: n }, (_, position) => `t${position}`),
      scores: {},
      marks: {},
      values: ATTENTION,
      bidirectional: false,
      sources: null,
      note: "",
      height: 560,
      report: true,
      player: "none",
      limits: { locked: 6, tokens: 16 },
      command: { number: 0, focus: "L0H0", locked: [], tokens: [], direction: "dest" },
      ...header,
    },
    body,
  );
}

/** Three tokens, two heads. */
export const SMALL = [
  [[1], [0.25, 0.75], [0.5, 0.125, 0.375]],
  [[1], [1, 0], [0.9482, 0.0019, 0.0499]],
];
