/** What is looked at: whose view counts, what a click locks, what Python hears. */
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  NOTHING, activeTokens, adoptedView, afterHeadLock, lockedAfter, reportOf, shownHeads,
} from "../../app/components/head_grid/js/view.js";
import { gridOf } from "./grids.js";

const ONE = [[1], [0.5, 0.5], [0.5, 0.25, 0.25]];
const data = gridOf([ONE, ONE, ONE], {
  command: { number: 4, focus: "L0H1", locked: ["L0H1", "L9H9"], tokens: [2, 3], direction: "src" },
});
/** @type {import("../../app/components/head_grid/js/view.js").Command} */
const mine = { number: 4, focus: "L0H2", locked: [], tokens: [1], direction: "dest" };

test("a new grid opens with what Python asks for, as far as it is there", () => {
  const view = adoptedView(data, undefined, true);
  assert.deepEqual(view, { focus: 1, locked: [1], tokens: [2], direction: "src" });
});

test("the visitor's view stays until Python asks for another", () => {
  assert.equal(adoptedView(data, mine, true).focus, 2);
  assert.deepEqual(adoptedView(data, mine, true).tokens, [1]);
  assert.equal(adoptedView(data, { ...mine, number: 3 }, true).focus, 1);
});

test("positions of another text are let go of, those that Python asks for are not", () => {
  assert.deepEqual(adoptedView(data, mine, false).tokens, []);
  assert.deepEqual(adoptedView(data, { ...mine, number: 3 }, false).tokens, [2]);
});

test("a head that is gone gives way to the first", () => {
  assert.equal(adoptedView(data, { ...mine, focus: "L7H7" }, true).focus, 0);
});

test("what is reported is what was taken over", () => {
  const two = { ...mine, locked: ["L0H2", "L0H0"] };
  const { focus, locked, tokens, direction } = two;
  const report = reportOf(data, adoptedView(data, two, true));
  assert.deepEqual(report, { focus, locked, tokens, direction });
});

test("a click locks alone, a second lets go, adding keeps the others and drops the oldest", () => {
  assert.deepEqual(lockedAfter([], 3, false, 2), [3]);
  assert.deepEqual(lockedAfter([3], 3, false, 2), []);
  assert.deepEqual(lockedAfter([3, 4], 3, false, 2), [3]);
  assert.deepEqual(lockedAfter([3, 4], 3, true, 2), [4]);
  assert.deepEqual(lockedAfter([3, 4], 5, true, 2), [4, 5]);
});

test("the focus goes to a head that is locked, to the last one when it was taken away", () => {
  /** @type {import("../../app/components/head_grid/js/view.js").View} */
  const view = { focus: 0, locked: [0, 1], tokens: [2], direction: "dest" };
  assert.deepEqual(afterHeadLock(view, 2, true, 6), { ...view, focus: 2, locked: [0, 1, 2] });
  assert.deepEqual(afterHeadLock(view, 0, true, 6), { ...view, focus: 1, locked: [1] });
  assert.deepEqual(afterHeadLock({ ...view, locked: [0] }, 0, false, 6), { ...view, locked: [] });
});

test("pointing counts before locking", () => {
  /** @type {import("../../app/components/head_grid/js/view.js").View} */
  const view = { focus: 0, locked: [0, 1], tokens: [2], direction: "src" };
  assert.deepEqual(shownHeads(view, NOTHING), [0, 1]);
  assert.deepEqual(shownHeads({ ...view, focus: 2 }, NOTHING), [2]);
  assert.deepEqual(shownHeads(view, { ...NOTHING, head: 0 }), [0]);
  assert.deepEqual(activeTokens(view, NOTHING), [2]);
  assert.deepEqual(activeTokens(view, { ...NOTHING, token: 0 }), [0]);
  assert.deepEqual(activeTokens(view, { ...NOTHING, cell: { dest: 5, src: 4 } }), [4]);
});
