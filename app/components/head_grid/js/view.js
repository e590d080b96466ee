/**
 * What a visitor looks at: which head and tokens, what is pointed at, and what Python hears of it.
 *
 * @import { Cell } from "../../js/cells.js"
 * @import { GridData, Sink } from "./grid_data.js"
 *
 * @typedef {"dest" | "src"} Direction
 *
 * @typedef {object} Report The view as Python knows it (`view.py`).
 * @property {string | null} focus
 * @property {string[]} locked
 * @property {number[]} tokens
 * @property {Direction} direction
 *
 * @typedef {Report & { number: number }} Command A view that Python asks for; new ones count up.
 *
 * @typedef {object} View
 * @property {number} focus
 * @property {number[]} locked
 * @property {number[]} tokens
 * @property {Direction} direction
 *
 * @typedef {object} Hover
 * @property {number | null} head
 * @property {number | null} token
 * @property {Cell | null} cell
 * @property {number | null} kind A word of the legend: one of the thresholds.
 *
 * @typedef {object} Settings
 * @property {string} sort A score's name; empty for the order of the payload.
 * @property {"linear" | "sqrt"} scale
 * @property {Sink} sink
 * @property {"hue" | "safe"} palette
 * @property {boolean} overlay Whether a click adds a head instead of replacing the others.
 */
import { textOf } from "./grid_data.js";

/** @type {Readonly<Hover>} */
export const NOTHING = { head: null, token: null, cell: null, kind: null };

/**
 * What Python asks for, if that is new; else the visitor's own view, as far as it still fits.
 *
 * @param {GridData} data
 * @param {Command | undefined} mine What the visitor looked at when Python last asked.
 * @param {boolean} sameText Positions mean nothing in another text.
 * @returns {View}
 */
export function adoptedView(data, mine, sameText) {
  const own = mine?.number === data.command.number ? mine : undefined;
  const view = own ?? data.command;
  return {
    focus: data.indexOf.get(view.focus) ?? 0,
    locked: view.locked.flatMap((label) => data.indexOf.get(label) ?? []),
    tokens:
      own && !sameText
        ? []
        : view.tokens.filter((token) => token < textOf(data, view.direction).length),
    direction: view.direction,
  };
}

/**
 * @param {GridData} data
 * @param {View} view
 * @returns {Report}
 */
export function reportOf(data, { focus, locked, tokens, direction }) {
  /** @param {number} head */
  const label = (head) => data.heads[head].label;
  return { focus: label(focus), locked: locked.map(label), tokens, direction };
}

/**
 * The heads in the large picture.
 *
 * @param {View} view
 * @param {Hover} hover
 */
export function shownHeads({ focus, locked }, hover) {
  if (hover.head !== null) return [hover.head];
  return locked.includes(focus) ? locked : [focus];
}

/**
 * The tokens that the text is coloured for.
 *
 * @param {View} view
 * @param {Hover} hover
 */
export function activeTokens(view, hover) {
  if (hover.token !== null) return [hover.token];
  if (hover.cell) return [hover.cell[view.direction]];
  return view.tokens;
}

/**
 * The locked things after a click on one: alone it is locked or let go of; adding puts it beside
 * the others or takes it away from them, and the oldest give way.
 *
 * @param {number[]} locked
 * @param {number} item
 * @param {boolean} adding
 * @param {number} most
 */
export function lockedAfter(locked, item, adding, most) {
  if (!adding) return locked.length === 1 && locked[0] === item ? [] : [item];
  if (locked.includes(item)) return locked.filter((other) => other !== item);
  return [...locked, item].slice(-most);
}

/**
 * The view in another direction: of two texts, positions in one mean nothing in the other.
 *
 * @param {GridData} data
 * @param {View} view
 * @param {Direction} direction
 * @returns {View}
 */
export function inDirection({ two }, view, direction) {
  return { ...view, direction, tokens: two && direction !== view.direction ? [] : view.tokens };
}

/**
 * The view after a click on a head: the one locked last has the focus.
 *
 * @param {View} view
 * @param {number} head
 * @param {boolean} adding
 * @param {number} most
 * @returns {View}
 */
export function afterHeadLock(view, head, adding, most) {
  const locked = lockedAfter(view.locked, head, adding, most);
  return { ...view, locked, focus: locked.at(-1) ?? head };
}
