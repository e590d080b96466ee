/**
 * What is said of heads, cells and tokens. Labels and names are hostile and stay plain text.
 *
 * @import { Cell } from "../../js/cells.js"
 * @import { GridData, Sink } from "./grid_data.js"
 * @import { Direction } from "./view.js"
 *
 * @typedef {string | { strong: string }} Part Of a sentence.
 *
 * @typedef {object} Badge A score of a head above its threshold.
 * @property {string} name
 * @property {string} short
 * @property {number} score
 * @property {number} kind Which of the thresholds.
 */
import { cellValue, rowFactor, shownValue, textOf } from "./grid_data.js";

const DIGITS = 4; // of attention as exact as the values come, and more than is ever asked

/**
 * The shortest starts of the names that differ, upper case: P and I, or PR and PO.
 *
 * @param {string[]} names
 */
export function shortNames(names) {
  for (let length = 1; length < 4; length++) {
    const short = names.map((name) => name.slice(0, length).toUpperCase());
    if (new Set(short).size === names.length) return short;
  }
  return names.map((_, index) => String(index + 1));
}

/**
 * The badges of every head: of each the kind that fewest heads have first, as it says most.
 *
 * @param {GridData} data
 * @returns {Badge[][]}
 */
export function badgesOf({ heads, marks, scores }) {
  const names = Object.keys(marks);
  const short = shortNames(names);
  const every = heads.map((_, head) =>
    names.flatMap((name, kind) => {
      const score = scores[name][head];
      const marked = score !== null && score > marks[name];
      return marked ? [{ name, short: short[kind], score, kind }] : [];
    }),
  );
  const counts = names.map((_, kind) => headsOfKind(every, kind).length);
  return every.map((badges) => badges.sort((a, b) => counts[a.kind] - counts[b.kind]));
}

/**
 * The heads with a badge of a kind, the strongest first.
 *
 * @param {Badge[][]} badges By head.
 * @param {number} kind
 * @returns {number[]}
 */
export function headsOfKind(badges, kind) {
  return badges
    .flatMap((own, head) => own.filter((badge) => badge.kind === kind).map(({ score }) => ({ head, score })))
    .sort((a, b) => b.score - a.score)
    .map(({ head }) => head);
}

/**
 * What a small picture is called, aloud and when it is pointed at.
 *
 * @param {GridData} data
 * @param {number} head
 * @param {Badge[]} badges
 */
export function thumbWords(data, head, badges) {
  const { layer, head: number, label } = data.heads[head];
  const scores = Object.entries(data.scores).flatMap(([name, values]) => {
    const value = values[head];
    return value === null ? [] : [`${name} ${value.toFixed(2)}`];
  });
  const marks = badges.map(({ name }) => `marked ${name}`);
  return {
    spoken: [`Layer ${layer} head ${number}`, ...marks, ...scores].join(", "),
    tooltip: [label, ...scores].join("\n"),
  };
}

/**
 * A number with as many digits, and its sign where it may have either.
 *
 * @param {GridData} data
 * @param {number} value
 * @param {number} digits
 */
export function numberText({ values }, value, digits) {
  const text = Math.abs(value).toFixed(digits);
  if (!values.signed) return text;
  return (value < 0 ? "\u2212" : "+") + text;
}

/**
 * Digits behind the point that a row's cells are exact in.
 *
 * @param {GridData} data
 * @param {number} head
 * @param {number} dest
 */
function digitsOf({ plain, n, most, whole }, head, dest) {
  if (plain) return DIGITS;
  const step = most[head * n + dest] / whole;
  return step > 0 ? Math.max(0, Math.min(DIGITS, Math.floor(-Math.log10(step)))) : DIGITS;
}

/**
 * The value as it is in the model; what is drawn too, if that differs.
 *
 * @param {GridData} data
 * @param {number} head
 * @param {Cell} cell
 * @param {Sink} sink
 */
export function valueText(data, head, { dest, src }, sink) {
  const text = numberText(data, cellValue(data, head, dest, src), digitsOf(data, head, dest));
  if (sink !== "discount" || !data.plain || src === 0) return text;
  if (!rowFactor(data, head, dest, sink)) return `${text} (too little left to rescale)`;
  return `${text} (${shownValue(data, head, dest, src, sink).toFixed(2)} of the rest)`;
}

/**
 * @param {GridData} data
 * @param {number[]} heads
 * @param {Cell} cell
 * @param {Sink} sink
 */
export function cellSentence(data, heads, cell, sink) {
  const { dest, src } = cell;
  const values = heads.map((head) => valueText(data, head, cell, sink)).join(", ");
  return `${data.labels[dest]} at ${dest} to ${data.sources[src]} at ${src}: ${values}`;
}

/**
 * One sentence on what the active tokens attend to most.
 *
 * @param {GridData} data
 * @param {number} head
 * @param {number[]} active
 * @param {Direction} direction
 * @param {Float32Array} weights
 * @returns {Part[]}
 */
export function statusParts(data, head, active, direction, weights) {
  const { heads, plain, values } = data;
  const looking = direction === "dest";
  const [own, others] = [textOf(data, direction), textOf(data, looking ? "src" : "dest")];
  if (!active.length) {
    const what = plain
      ? looking ? "it attends to" : "attends to it"
      : looking ? "is read there" : "reads it";
    return [`Point at a token to see what ${what}; click to lock it.`];
  }
  const strongest = [...weights.keys()]
    .filter((position) => Math.abs(weights[position]) >= 0.005 * values.top)
    .sort((a, b) => Math.abs(weights[b]) - Math.abs(weights[a]))
    .slice(0, 3)
    .flatMap((position, i) => [
      i ? ", " : "",
      { strong: others[position] },
      ` at ${position} (${numberText(data, weights[position], 2)})`,
    ]);
  const who =
    active.length === 1
      ? [{ strong: own[active[0]] }, ` at ${active[0]}`]
      : [`${active.length} tokens, on average`];
  return [
    `${heads[head].label}: `,
    ...who,
    plain
      ? looking ? " attends to " : " is attended to by "
      : looking ? " reads from " : " is read by ",
    ...(strongest.length ? strongest : ["nothing that is shown."]),
  ];
}
