/** What lies under the mouse, and where keys lead. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { cellAt, placeAfter, tokensOfPixel } from "../../app/components/head_grid/js/hits.js";
import { arrowStep, cellBeside } from "../../app/components/js/cells.js";
import { tokenAt } from "../../app/components/pattern_pair/js/pair_layout.js";
import { SMALL, gridOf } from "./grids.js";

const picture = { side: 300, size: 3 };
const data = gridOf(SMALL);

test("corners of the picture are the corners of the pattern", () => {
  assert.deepEqual(cellAt(data, 0, picture, 0, 0), { dest: 0, src: 0 });
  assert.deepEqual(cellAt(data, 0, picture, 0, 299.9), { dest: 2, src: 0 });
  assert.deepEqual(cellAt(data, 0, picture, 299.9, 299.9), { dest: 2, src: 2 });
});

test("each side of an edge is its own cell", () => {
  assert.deepEqual(cellAt(data, 0, picture, 99.9, 250), { dest: 2, src: 0 });
  assert.deepEqual(cellAt(data, 0, picture, 100, 250), { dest: 2, src: 1 });
});

test("above the diagonal and outside there is no cell", () => {
  assert.equal(cellAt(data, 0, picture, 299, 0), null);
  assert.equal(cellAt(data, 0, picture, 300, 299), null);
  assert.equal(cellAt(data, 0, picture, 10, 300), null);
  assert.equal(cellAt(data, 1, picture, -0.1, 299), null);
  assert.equal(cellAt(data, 1, picture, 10, -0.1), null);
});

test("of cells that share a pixel the strongest is found", () => {
  const dense = gridOf([[[1], [0.4, 0.6], [0.1, 0.1, 0.8], [0.3, 0.2, 0.1, 0.4]]]);
  const two = { side: 2, size: 2 };
  assert.deepEqual(cellAt(dense, 0, two, 0.5, 1.5), { dest: 3, src: 0 });
  assert.deepEqual(cellAt(dense, 0, two, 1.5, 1.5), { dest: 2, src: 2 });
});

test("every token falls into one pixel, and each pixel has its tokens", () => {
  const shared = [0, 1, 2].map((pixel) => tokensOfPixel(pixel, 7, 3));
  assert.deepEqual(shared, [[0, 3], [3, 5], [5, 7]]);
});

test("a point beyond an axis is its nearest token", () => {
  assert.deepEqual([-5, 0, 99, 100, 130].map((x) => tokenAt(x, 100, 10)), [0, 0, 9, 9, 9]);
});

test("arrows go from picture to picture and stop at the edges", () => {
  const places = ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "Home", "End"];
  assert.deepEqual(places.map((key) => placeAfter(key, 0, 8, 3)), [1, 3, 0, 0, 0, 7]);
  assert.deepEqual(places.map((key) => placeAfter(key, 7, 8, 3)), [7, 7, 6, 4, 0, 7]);
  assert.equal(placeAfter("Tab", 0, 8, 3), undefined);
});

test("arrows go from cell to cell below the diagonal", () => {
  /** @param {string} key @param {number} dest @param {number} src */
  const next = (key, dest, src) => {
    const step = arrowStep(key);
    assert.ok(step);
    return cellBeside({ dest, src }, step, 5);
  };
  assert.deepEqual(next("ArrowUp", 3, 1), { dest: 2, src: 1 });
  assert.deepEqual(next("ArrowUp", 3, 3), { dest: 2, src: 2 });
  assert.deepEqual(next("ArrowRight", 3, 3), { dest: 3, src: 3 });
  assert.deepEqual(next("ArrowLeft", 3, 0), { dest: 3, src: 0 });
  assert.deepEqual(next("ArrowDown", 4, 2), { dest: 4, src: 2 });
  assert.equal(arrowStep("toString"), undefined);
});

test("where tokens attend both ways there are cells ahead, and keys lead there", () => {
  const rows = [[0.5, 0.25, 0.25], [0.125, 0.5, 0.375], [0.2, 0.7, 0.1]];
  const both = gridOf([rows], { bidirectional: true });
  assert.deepEqual(cellAt(both, 0, { side: 300, size: 3 }, 299, 0), { dest: 0, src: 2 });
  assert.deepEqual(cellBeside({ dest: 0, src: 0 }, [1, 0], 3, true), { dest: 0, src: 1 });
  assert.deepEqual(cellBeside({ dest: 0, src: 0 }, [1, 0], 3), { dest: 0, src: 0 });
});
