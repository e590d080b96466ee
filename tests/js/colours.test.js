/** Scales of colours: their ends, their middle, and numbers that are none. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { apart, safe, vivid } from "../../app/components/head_grid/js/hues.js";
import { css, fromOklab, inkOn, mix, toOklab } from "../../app/components/head_grid/js/oklab.js";
import { blend, makeRamp, rampStops } from "../../app/components/head_grid/js/ramps.js";
import { hexBytes } from "../../app/components/js/hex.js";
import { paintMap, rampAlong } from "../../app/components/pattern_pair/js/pair_colours.js";

const WHITE = [1, 1, 1];
const BLUE = toOklab([0, 0, 1]);
const light = { dark: false, zero: WHITE, key: "" };
const dark = { dark: true, zero: [0, 0, 0], key: "" };

/** @param {Uint32Array} pixels @param {number} i */
const rgba = (pixels, i) => [...new Uint8Array(pixels.buffer, 4 * i, 4)];

/** @param {number[]} a @param {number[]} b @param {number} within */
function near(a, b, within) {
  a.forEach((value, i) => assert.ok(Math.abs(value - b[i]) <= within, `${a} for ${b}`));
}

test("OKLab goes there and back, and grey has no colour", () => {
  for (const rgb of [WHITE, [0, 0, 0], [0.2, 0.5, 0.9], [1, 0, 0]]) {
    near(fromOklab(toOklab(rgb)), rgb, 1e-3);
  }
  near(toOklab(WHITE), [1, 0, 0], 1e-3);
  near(toOklab([0.5, 0.5, 0.5]).slice(1), [0, 0], 1e-3);
});

test("a ramp begins with no attention and ends with the head's colour", () => {
  const ramp = makeRamp(WHITE, BLUE, "linear");
  assert.deepEqual(rgba(ramp.pixels, 0), [255, 255, 255, 255]);
  near(rgba(ramp.pixels, 255), [0, 0, 255, 255], 1);
  assert.equal(rampStops(ramp).length, 17);
  assert.equal(rampStops(ramp)[0], "rgb(255 255 255)");
  assert.equal(rampStops(ramp)[16], ramp.full);
});

test("the middle of a ramp looks half as strong, and the square root lifts small values", () => {
  // Not all the way to blue: halfway there is a colour that no screen has.
  const end = toOklab([0.3, 0.3, 0.5]);
  const linear = makeRamp(WHITE, end, "linear");
  const middle = toOklab([...linear.colours.slice(3 * 128, 3 * 129)]);
  near(middle, mix(toOklab(WHITE), end, 128 / 255), 0.002);
  const root = makeRamp(WHITE, end, "sqrt");
  near(rgba(root.pixels, 64), rgba(linear.pixels, 128), 1);
  assert.deepEqual(rgba(root.pixels, 255), rgba(linear.pixels, 255));
});

test("inks darken each other on paper, lamps brighten each other in the dark", () => {
  const [red, blue] = [[1, 0, 0], [0, 0, 1]].map((end) => makeRamp(WHITE, toOklab(end), "linear"));
  near(blend([red, blue], [255, 255], light), [0, 0, 0], 0.01);
  near(blend([red, blue], [0, 0], light), WHITE, 0.01);
  const lamps = [[1, 0, 0], [0, 0, 1]].map((end) => makeRamp([0, 0, 0], toOklab(end), "linear"));
  near(blend(lamps, [255, 255], dark), [1, 0, 1], 0.01);
  near(blend(lamps, [255, 0], dark), [1, 0, 0], 0.01);
});

test("text on a colour is dark on light and light on dark", () => {
  assert.equal(inkOn(WHITE), "#000000");
  assert.equal(inkOn([0, 0, 0.4]), "#ffffff");
  // White on #648bbe has a contrast of 3.5, black 6.
  assert.deepEqual([0.5, 0.7].map((grey) => inkOn([grey, grey, grey])), ["#000000", "#000000"]);
  assert.deepEqual(mix([0, 1, 2], [1, 1, 0], 0.25), [0.25, 1, 1.5]);
  assert.equal(css([0, 0.5, 1]), "rgb(0 128 255)");
});

test("heads laid over each other are told apart", () => {
  assert.deepEqual(apart([10, 100]), [10, 100]);
  const [first, second, third] = apart([10, 12, 350]);
  assert.equal(first, 10);
  for (const [a, b] of [[first, second], [first, third], [second, third]]) {
    assert.ok(180 - Math.abs(180 - Math.abs(a - b)) >= 40, `${a} and ${b}`);
  }
});

test("a hue is as light as the theme needs; safe colours follow the place", () => {
  assert.ok(vivid(255, true)[0] > 0.8);
  assert.ok(vivid(255, false)[0] < 0.5);
  assert.deepEqual(safe(-1, false), safe(0, false));
  assert.deepEqual(safe(6, true), safe(0, true));
  assert.notDeepEqual(safe(1, true), safe(0, true));
});

test("a scale of three colours has them at its ends and in its middle", () => {
  assert.deepEqual(hexBytes("#0a80ff"), [10, 128, 255]);
  const scale = rampAlong(["#ff0000", "#ffffff", "#0000ff"]);
  assert.equal(scale.length, 256);
  assert.deepEqual(rgba(scale, 0), [255, 0, 0, 255]);
  assert.deepEqual(rgba(scale, 255), [0, 0, 255, 255]);
  near(rgba(scale, 127), [255, 255, 255, 255], 1);
  near(rgba(scale, 128), [255, 255, 255, 255], 1);
});

test("a value that is no number has no colour, and nothing is drawn above the diagonal", () => {
  /** @type {import("../../app/components/pattern_pair/js/pair_data.js").PatternMap} */
  const map = {
    key: "a", name: "A", title: "", note: "", n: 2, labels: ["x", "y"],
    scale: ["#ffffff", "#000000"], ends: ["0", "1"], value: (i) => [1, NaN, 0][i],
  };
  const pixels = paintMap(map, 2);
  assert.deepEqual(rgba(pixels, 0), [0, 0, 0, 255]);
  assert.deepEqual(rgba(pixels, 1), [0, 0, 0, 0]);
  assert.deepEqual(rgba(pixels, 2), [0, 0, 0, 0]);
  assert.deepEqual(rgba(pixels, 3), [255, 255, 255, 255]);
  assert.equal(paintMap({ ...map, value: () => 1 }, 2)[1], 0);
});
