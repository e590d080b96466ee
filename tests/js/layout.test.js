/** Sizes and places on the page. */
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  cellFrame, columnBand, flowThumb, headOrder, isSplit, pictureSize, rowBand, sheetRatio, tableOf,
  tableThumb, thumbRoom, tickStep,
} from "../../app/components/head_grid/js/layout.js";
import {
  labelStep, marksOf, paneLayout,
} from "../../app/components/pattern_pair/js/pair_layout.js";
import { gridOf } from "./grids.js";

test("a wide view puts the large picture beside the small ones", () => {
  assert.deepEqual([719, 720].map(isSplit), [false, true]);
  assert.deepEqual([700, 1000].map(thumbRoom), [700, 480]);
});

test("heads stand by falling score, those without one last and as they came", () => {
  assert.deepEqual(headOrder(3, undefined), [0, 1, 2]);
  assert.deepEqual(headOrder(5, [null, 0.2, null, 0.9, 0.2]), [3, 1, 4, 0, 2]);
});

test("whole layers are a table, anything else is not", () => {
  /** @param {[number, number][]} heads */
  const table = (heads) => tableOf(gridOf(heads.map(() => [[1]]), { heads }).heads);
  assert.deepEqual(table([[0, 0], [0, 1], [2, 0], [2, 1]]), { layers: [0, 2], numbers: [0, 1] });
  assert.equal(table([[0, 0], [0, 1], [1, 1]]), null);
  assert.equal(table([[0, 1], [1, 0]]), null);
});

test("pictures of a table fill the narrower side, within bounds", () => {
  assert.deepEqual(tableThumb(12, 12, 614, 560), { size: 40, gap: 4, stacks: 1 });
  assert.deepEqual(tableThumb(2, 8, 2000, 560), { size: 92, gap: 4, stacks: 1 });
  assert.deepEqual(tableThumb(99, 16, 300, 560), { size: 14, gap: 2, stacks: 1 }); // scrolls
});

test("many layers stand in stacks side by side, so that all are in sight", () => {
  assert.deepEqual(tableThumb(30, 9, 740, 640), { size: 33, gap: 4, stacks: 2 });
  const { size, gap, stacks } = tableThumb(30, 9, 378, 560);
  assert.ok(size >= 15 && Math.ceil(30 / stacks) * (size + gap) + 26 <= 560);
  assert.ok(stacks * (34 + 9 * (size + gap)) <= 378);
});

test("pictures in a row shrink until all are in sight, as long as captions fit", () => {
  assert.deepEqual(flowThumb(4, 614, 560), { size: 92, perRow: 4 });
  assert.deepEqual(flowThumb(144, 614, 560), { size: 62, perRow: 9 });
  assert.equal(flowThumb(3, 10, 560).perRow, 1);
});

test("a sheet is never higher than browsers draw", () => {
  assert.equal(sheetRatio(800, 2), 2);
  assert.equal(sheetRatio(32000, 2), 0.5);
});

test("cells of the large picture are whole device pixels while there are enough", () => {
  const named = pictureSize(30, 600, 560, 60, 1);
  assert.deepEqual(named, { named: true, gutter: 60, side: 480, size: 30 });
  const dense = pictureSize(700, 600, 560, 60, 1);
  assert.deepEqual(dense, { named: false, gutter: 34, side: 526, size: 526 });
  assert.equal(pictureSize(700, 600, 560, 60, 2).side, 350);
  assert.equal(pictureSize(5, 20, 560, 60, 1).side, 60); // never below 64, in whole cells
});

test("ticks leave room for their labels", () => {
  assert.equal(tickStep(40, 32), 1);
  assert.equal(tickStep(3, 32), 20);
  assert.equal(tickStep(0.01, 32), 1000);
});

test("bands reach the diagonal, and frames are large enough to be seen", () => {
  assert.deepEqual(rowBand(3, 10, 3), { left: 0, top: 30, width: 40, height: 10 });
  assert.deepEqual(columnBand(3, 10, 100, 3), { left: 30, top: 30, width: 10, height: 70 });
  assert.deepEqual(cellFrame(3, 1, 10), { left: 10, top: 30, width: 10, height: 10 });
  assert.deepEqual(cellFrame(3, 1, 2), { left: 0, top: 4, width: 6, height: 6 });
});

test("panes stand in line where there is room, and name tokens where they can be read", () => {
  const wide = paneLayout(1200, 3, 100);
  assert.deepEqual(wide, { columns: 3, named: true, side: 66, size: 322, foot: 66, scale: 1 });
  const few = paneLayout(500, 3, 64);
  assert.deepEqual(few, { columns: 2, named: true, side: 66, size: 175, foot: 66, scale: 1 });
  const many = paneLayout(500, 3, 65);
  assert.deepEqual(many, { columns: 2, named: false, side: 22, size: 219, foot: 24, scale: 1 });
  assert.equal(paneLayout(100, 2, 5).size, 80);
  assert.deepEqual([labelStep(14, true), labelStep(5, true), labelStep(14, false)], [1, 3, 2]);
});

test("twice the type takes twice the room beside a picture, and half the labels", () => {
  const { side, size, foot, scale } = paneLayout(1900, 3, 50, 2);
  assert.deepEqual({ side, size, foot, scale }, { side: 132, size: 489, foot: 132, scale: 2 });
  assert.deepEqual([labelStep(14, true, 2), labelStep(14, false, 2)], [2, 4]);
  const large = pictureSize(30, 900, 800, 300, 1, 24);
  assert.deepEqual([large.named, large.gutter], [false, 73]); // rows of 24 px have no room
  assert.equal(pictureSize(20, 900, 800, 300, 1, 24).named, true);
});

test("a cell's frame and lines meet in its middle", () => {
  const { frame, row, column } = marksOf(2, 1, 100, 10);
  assert.deepEqual(frame, { left: 10, top: 20, width: 10, height: 10 });
  assert.deepEqual([row.top, column.left], [25, 15]);
});
