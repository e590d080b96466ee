/**
 * Two patterns as they came from Python, and the maps drawn of them.
 *
 * @import { Cell } from "../../js/cells.js"
 *
 * @typedef {object} PaneHeader
 * @property {string} title
 * @property {string} note
 * @property {string[]} labels One text per token; hostile.
 *
 * @typedef {object} PairHeader What `payload.py` sends before the numbers.
 * @property {string} id Changes when anything drawn does.
 * @property {[PaneHeader, PaneHeader]} panes
 * @property {{ unit: string, top: number, signed: boolean }} values What cells are, and what the
 *   ends of both scales stand for.
 * @property {Colours} colours
 * @property {Colours | null} on_dark Those for a dark ground, where they are others.
 *
 * @typedef {object} Colours As `#rrggbb`.
 * @property {string[]} sequential From 0 to 1.
 * @property {string[]} diverging
 * @property {string} accent
 *
 * @typedef {PaneHeader & { n: number, values: Float32Array }} Pane Sources 0..dest by destination.
 *
 * @typedef {object} Pair
 * @property {Pane} a
 * @property {Pane} b
 * @property {boolean} same Whether their cells correspond.
 * @property {number} most What the ends of the difference scale stand for.
 * @property {boolean} eitherSign Whether cells may lie below 0.
 *
 * @typedef {object} PatternMap
 * @property {"a" | "b" | "d"} key
 * @property {string} name
 * @property {string} title
 * @property {string} note
 * @property {number} n
 * @property {string[]} labels
 * @property {string[]} scale
 * @property {[string, string]} ends What the ends of the scale stand for.
 * @property {(index: number) => number} value Place on the scale, 0..1.
 *
 * @typedef {Cell & { key: "a" | "b" | "d" }} PointedCell A cell and the map it is pointed at in.
 */
import { cellIndex } from "../../js/cells.js";
import { signed } from "./pair_words.js";

// The difference scale never ends below this share of the others' end: trifles must not look like
// news.
const QUIET = 0.1;

/**
 * @param {PairHeader} header
 * @param {ArrayBuffer} body
 * @returns {Pair}
 */
export function makePair(header, body) {
  const [first, second] = header.panes;
  const a = paneOf(first, body, 0);
  const b = paneOf(second, body, a.values.byteLength);
  const same = a.n === b.n;
  const { top } = header.values;
  const most = same ? mostDifference(a, b, QUIET * top) : QUIET * top;
  return { a, b, same, most, eitherSign: header.values.signed };
}

/**
 * @param {PaneHeader} pane
 * @param {ArrayBuffer} body
 * @param {number} start
 * @returns {Pane}
 */
function paneOf(pane, body, start) {
  const n = pane.labels.length;
  return { ...pane, n, values: new Float32Array(body, start, cellIndex(n, 0)) };
}

/**
 * @param {Pane} a
 * @param {Pane} b
 * @param {number} least
 */
function mostDifference(a, b, least) {
  let most = least;
  a.values.forEach((value, i) => {
    most = Math.max(most, Math.abs(b.values[i] - value));
  });
  return most;
}

/**
 * A, B, and their difference where their cells correspond.
 *
 * @param {PairHeader} header
 * @param {Colours} colours
 * @param {Pair} pair
 * @returns {PatternMap[]}
 */
export function mapsOf({ values }, { sequential, diverging }, { a, b, same, most, eitherSign }) {
  const { unit, top } = values;
  const end = unit === "attention" ? "1" : `${top.toFixed(2)} ${unit}`;
  /** @type {Pick<PatternMap, "scale" | "ends">} */
  const plain = eitherSign
    ? { scale: diverging, ends: [signed(-top, 2), `+${end}`] }
    : { scale: sequential, ends: ["0", end] };
  /** @param {number} value */
  const place = (value) => (eitherSign ? 0.5 + value / (2 * top) : value / top);
  /** @type {PatternMap[]} */
  const maps = [
    { ...a, ...plain, key: "a", name: "A", value: (i) => place(a.values[i]) },
    { ...b, ...plain, key: "b", name: "B", value: (i) => place(b.values[i]) },
  ];
  if (!same) return maps;
  return [
    ...maps,
    {
      ...a,
      key: "d",
      name: "B − A",
      title: "Difference",
      note: "B − A, cell by cell",
      scale: diverging,
      ends: [signed(-most, 2), signed(most, 2)],
      value: (i) => 0.5 + (b.values[i] - a.values[i]) / (2 * most),
    },
  ];
}
