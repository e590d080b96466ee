/**
 * What is said of a cell of two patterns. Labels are hostile and stay plain text.
 *
 * @import { Pair, PointedCell } from "./pair_data.js"
 */
import { cellIndex } from "../../js/cells.js";

const LABEL = 9; // characters of a token on an axis

/** @param {string} text */
export const cut = (text) => (text.length > LABEL ? `${text.slice(0, LABEL - 1)}…` : text);

/**
 * @param {number} value
 * @param {number} digits
 */
export function signed(value, digits) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;
}

/**
 * What to do, while nothing is pointed at.
 *
 * @param {Pair} pair
 */
export function hint({ a, b, same }) {
  return same
    ? "Point at a cell, or use the arrow keys: it is marked in every pane."
    : `A has ${a.n} tokens and B has ${b.n}: their cells do not correspond, so there is ` +
        "no difference map and each side is pointed at by itself.";
}

/**
 * Names and values of a cell, on both sides if they correspond.
 *
 * @param {Pair} pair
 * @param {PointedCell} cell
 * @returns {[string, string][]}
 */
export function cellParts({ a, b, same, eitherSign }, { dest, src, key }) {
  const panes = same ? [a, b] : [key === "a" ? a : b];
  /** @param {number} place */
  const token = (place) => [...new Set(panes.map((pane) => pane.labels[place]))].join(" / ");
  const index = cellIndex(dest, src);
  /** @type {[string, string][]} */
  const parts = [
    ["destination", `${dest} ${token(dest)}`],
    ["source", `${src} ${token(src)}`],
  ];
  /** @param {number} value */
  const text = (value) => (eitherSign ? signed(value, 4) : value.toFixed(4));
  if (same || key === "a") parts.push(["A", text(a.values[index])]);
  if (same || key === "b") parts.push(["B", text(b.values[index])]);
  if (same) parts.push(["B − A", signed(b.values[index] - a.values[index], 4)]);
  return parts;
}
