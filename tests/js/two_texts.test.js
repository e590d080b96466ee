/** Patterns from one text to another, which are not as high as wide. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { cellValue, tokenWeights } from "../../app/components/head_grid/js/grid_data.js";
import { cellAt } from "../../app/components/head_grid/js/hits.js";
import { cellFrame, rowBand } from "../../app/components/head_grid/js/layout.js";
import { drawLevels, enlarge, rasterSize } from "../../app/components/head_grid/js/painting.js";
import { adoptedView, inDirection } from "../../app/components/head_grid/js/view.js";
import { cellSentence, statusParts } from "../../app/components/head_grid/js/words.js";
import { cellBeside } from "../../app/components/js/cells.js";
import { gridOf } from "./grids.js";

const ROWS = [[0.5, 0.25, 0, 0.25], [0, 0, 1, 0]];
const SOURCES = ["le", "chat", "dort", "ici"];
const HEADS = [ROWS, [ROWS[1], ROWS[0]]];
const data = gridOf(HEADS, { bidirectional: true, sources: SOURCES });

/** @param {number} value */
const level = (value) => Math.round(255 * value);

test("every cell is read, of every head", () => {
  HEADS.forEach((rows, head) =>
    rows.forEach((row, dest) =>
      row.forEach((value, src) => {
        assert.ok(Math.abs(cellValue(data, head, dest, src) - value) < 1e-4);
      }),
    ),
  );
});

test("a picture has a pixel for each cell, and a small one is a square of them", () => {
  assert.deepEqual(rasterSize(data, 100), { width: 4, height: 2 });
  assert.deepEqual([...drawLevels(data, 0, 4, "show")], ROWS.flat().map(level));
  assert.deepEqual(rasterSize(data, 3), { width: 3, height: 2 });
  // Of the two cells that share a pixel the strongest counts.
  assert.deepEqual([...drawLevels(data, 0, 3, "show")], [0.5, 0, 0.25, 0, 1, 0].map(level));
  const raster = { width: 2, height: 1, pixels: Uint32Array.from([1, 2]) };
  assert.deepEqual([...enlarge(raster, 2).pixels], [1, 2, 1, 2]);
});

test("tokens of one text are looked at, and those of the other weighed", () => {
  const weights = tokenWeights(data, 0, [1], "dest", "show");
  assert.deepEqual([...weights], ROWS[1]);
  assert.deepEqual([...tokenWeights(data, 0, [2], "src", "show")], [0, 1]);
  const said = statusParts(data, 0, [1], "dest", weights);
  const words = said.map((part) => (typeof part === "string" ? part : part.strong)).join("");
  assert.equal(words, "L0H0: t1 at 1 attends to dort at 2 (1.00)");
  assert.equal(cellSentence(data, [0], { dest: 0, src: 1 }, "show"), "t0 at 0 to chat at 1: 0.2500");
});

test("a locked token is one of the text that the direction says, and goes with it", () => {
  /** @param {"dest" | "src"} direction */
  const opened = (direction) => {
    const command = { ...data.command, tokens: [1, 3], direction };
    return adoptedView({ ...data, command }, undefined, true);
  };
  assert.deepEqual(opened("src").tokens, [1, 3]);
  assert.deepEqual(opened("dest").tokens, [1]);
  assert.deepEqual(inDirection(data, opened("dest"), "src").tokens, []);
  assert.deepEqual(inDirection(data, opened("dest"), "dest").tokens, [1]);
});

test("the pointer and the keys find cells beyond the diagonal", () => {
  const picture = { side: 400, size: 4 };
  assert.deepEqual(cellAt(data, 0, picture, 399, 0), { dest: 0, src: 3 });
  assert.deepEqual(cellAt(data, 0, picture, 0, 399), { dest: 1, src: 0 });
  assert.deepEqual(cellBeside({ dest: 1, src: 2 }, [1, 0], 2, true, 4), { dest: 1, src: 3 });
  assert.deepEqual(rowBand(1, 200, 3, 100), { left: 0, top: 200, width: 400, height: 200 });
  assert.deepEqual(cellFrame(1, 3, 200, 100), { left: 300, top: 200, width: 100, height: 200 });
});
