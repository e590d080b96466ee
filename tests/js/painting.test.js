/** Patterns as pixels. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { EMPTY, drawLevels, enlarge, paint } from "../../app/components/head_grid/js/painting.js";
import { makeRamp } from "../../app/components/head_grid/js/ramps.js";
import { placesOf } from "../../app/components/js/cells.js";
import { SMALL, gridOf } from "./grids.js";

const theme = { dark: false, zero: [1, 1, 1], key: "" };
const ramp = makeRamp(theme.zero, [0.4, 0, 0], "linear");

const NO = EMPTY;

test("each cell is a pixel as strong as its attention, and none above the diagonal", () => {
  const levels = [...drawLevels(gridOf(SMALL), 0, 3, "show")];
  assert.deepEqual(levels, [255, NO, NO, 64, 191, NO, 128, 32, 96]);
});

test("weights have their sign, end at the top, and the larger size counts", () => {
  const values = { name: "Answer-weighted pattern", unit: "logits", top: 2, signed: true };
  const rows = [[-0.5], [4, -1], [0, 0.5, -3]];
  const data = gridOf([rows], { values });
  assert.deepEqual([...drawLevels(data, 0, 3, "show")], [-64, NO, NO, 255, -127, NO, 0, 64, -255]);
  assert.deepEqual([...drawLevels(data, 0, 1, "show")], [255]);
  // As a share of 1 they have no rest.
  assert.deepEqual(drawLevels(data, 0, 3, "discount").at(-1), -255);
  const both = makeRamp(theme.zero, [0.4, 0, 0], "linear", [0.4, 0.1, 0]);
  const { pixels } = paint(data, [0], 3, "show", [both], theme);
  assert.equal(pixels[0], both.pixels[255 - 64]);
  assert.equal(pixels[3], both.pixels[510]);
  assert.equal(both.pixels[255], ramp.pixels[0]);
  assert.notEqual(both.pixels[0], both.pixels[510]);
});

test("the second head begins where the first one ends", () => {
  assert.deepEqual([...drawLevels(gridOf(SMALL), 1, 3, "show")].slice(6), [242, 0, 13]);
});

test("without the first token its column is empty, and the rest is as it is or rescaled", () => {
  const data = gridOf(SMALL);
  assert.deepEqual([...drawLevels(data, 0, 3, "hide")], [0, NO, NO, 0, 191, NO, 0, 32, 96]);
  assert.deepEqual([...drawLevels(data, 0, 3, "discount")], [0, NO, NO, 0, 255, NO, 0, 64, 191]);
  assert.deepEqual([...drawLevels(data, 1, 3, "discount")].slice(3), [0, 0, NO, 0, 9, 246]);
});

test("of cells that share a pixel the strongest counts", () => {
  const pattern = [[1], [0.4, 0.6], [0.1, 0.1, 0.8], [0, 0.2, 0, 0.8]];
  assert.deepEqual([...drawLevels(gridOf([pattern]), 0, 2, "show")], [255, NO, 51, 204]);
});

test("a number that is none is not drawn", () => {
  const data = gridOf(SMALL);
  data.most[1] = NaN;
  assert.equal(drawLevels(data, 0, 3, "show")[4], NO);
});

test("one head has the colours of its ramp, two have them laid over each other", () => {
  const data = gridOf(SMALL);
  const one = paint(data, [0], 3, "show", [ramp], theme);
  assert.equal(one.pixels[0], ramp.pixels[255]);
  assert.equal(one.pixels[1], 0);
  const two = paint(data, [0, 1], 3, "show", [ramp, ramp], theme);
  assert.equal(two.pixels[1], 0);
  const [once, twice] = [one, two].map(({ pixels }) => new Uint8Array(pixels.buffer)[0]);
  assert.ok(twice < once, `${twice} is no darker than ${once}`);
});

test("a picture is made larger without mixing its pixels", () => {
  const raster = { width: 2, height: 2, pixels: Uint32Array.from([1, 2, 3, 4]) };
  assert.equal(enlarge(raster, 2), raster);
  assert.deepEqual([...enlarge(raster, 3).pixels], [1, 1, 2, 1, 1, 2, 3, 3, 4]);
  assert.deepEqual([...placesOf(5, 2)], [0, 0, 0, 1, 1]);
});

test("where tokens attend both ways no pixel stays empty", () => {
  const rows = [[0.5, 0.25, 0.25], [0.125, 0.5, 0.375], [0.2, 0.6, 0.2]];
  const levels = drawLevels(gridOf([rows], { bidirectional: true }), 0, 3, "show");
  assert.deepEqual([...levels], rows.flat().map((value) => Math.round(255 * value)));
});
