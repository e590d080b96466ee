/** The numbers of a head grid, and what is computed from them. */
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  cellValue, rowFactor, shownValue, tokenWeights,
} from "../../app/components/head_grid/js/grid_data.js";
import { SMALL, gridOf } from "./grids.js";

/** @param {number} value @param {number} expected */
function near(value, expected) {
  assert.ok(Math.abs(value - expected) < 1e-5, `${value} for ${expected}`);
}

test("every cell of every head is where it was written, and nothing lies ahead", () => {
  const data = gridOf(SMALL);
  SMALL.forEach((pattern, head) =>
    pattern.forEach((row, dest) => {
      row.forEach((value, src) => near(cellValue(data, head, dest, src), value));
      for (let src = dest + 1; src < 3; src++) assert.equal(cellValue(data, head, dest, src), 0);
    }),
  );
});

test("a single token is a pattern", () => {
  assert.equal(cellValue(gridOf([[[1]]]), 0, 0, 0), 1);
});

test("what the first token leaves is shared out from exact values", () => {
  const data = gridOf(SMALL);
  near(shownValue(data, 1, 2, 1, "discount"), 0.0019 / 0.0518);
  near(shownValue(data, 1, 2, 2, "discount"), 0.0499 / 0.0518);
  assert.equal(shownValue(data, 1, 2, 0, "discount"), 0);
});

test("a row that the first token leaves almost nothing of is blank and not noise", () => {
  const data = gridOf([[[1], [0.96, 0.04]], [[1], [0.94, 0.06]]]);
  assert.equal(rowFactor(data, 0, 1, "discount"), 0);
  near(rowFactor(data, 1, 1, "discount"), 1 / 0.06);
  assert.equal(rowFactor(data, 0, 1, "hide"), 1);
});

test("a hidden first token takes nothing from the others", () => {
  const data = gridOf(SMALL);
  assert.equal(shownValue(data, 0, 1, 0, "hide"), 0);
  near(shownValue(data, 0, 1, 1, "hide"), 0.75);
});

test("weights of tokens are averages over the active ones, either way", () => {
  const data = gridOf(SMALL);
  const from = tokenWeights(data, 0, [1, 2], "dest", "show");
  [0.375, 0.4375, 0.1875].forEach((value, position) => near(from[position], value));
  const to = tokenWeights(data, 0, [1], "src", "show");
  [0, 0.75, 0.125].forEach((value, position) => near(to[position], value));
});

test("hues go around the circle within a layer and drift a little between layers", () => {
  const wide = gridOf([[[1]], [[1]], [[1]], [[1]]], { heads: [[0, 0], [0, 1], [1, 0], [1, 1]] });
  assert.deepEqual(wide.heads.map(({ hue }) => hue), [255, 75, 345, 165]);
  assert.deepEqual(wide.heads.map(({ label }) => label), ["L0H0", "L0H1", "L1H0", "L1H1"]);
  assert.equal(wide.indexOf.get("L1H0"), 2);
});

test("where tokens attend both ways every cell is where it was written", () => {
  const pattern = [[0.5, 0.25, 0.25], [0.125, 0.5, 0.375], [0.2, 0.7, 0.1]];
  const data = gridOf([pattern, pattern.toReversed()], { bidirectional: true });
  [pattern, pattern.toReversed()].forEach((rows, head) =>
    rows.forEach((row, dest) =>
      row.forEach((value, src) => near(cellValue(data, head, dest, src), value)),
    ),
  );
  const from = tokenWeights(data, 0, [0], "dest", "show");
  [0.5, 0.25, 0.25].forEach((value, position) => near(from[position], value));
});
