/** What is said, with labels that try to be more than text. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { tokenWeights } from "../../app/components/head_grid/js/grid_data.js";
import {
  badgesOf, cellSentence, headsOfKind, shortNames, statusParts, thumbWords, valueText,
} from "../../app/components/head_grid/js/words.js";
import { el } from "../../app/components/js/elements.js";
import { makePair, mapsOf } from "../../app/components/pattern_pair/js/pair_data.js";
import { cellParts, cut, hint, signed } from "../../app/components/pattern_pair/js/pair_words.js";
import { SMALL, gridOf } from "./grids.js";

const HOSTILE = ['<img src=x onerror="canary=1">', "</b><script>canary=1</script>", "${canary=1}"];
const [name] = HOSTILE;

test("names are as short as they can be told apart", () => {
  assert.deepEqual(shortNames(["previous", "induction"]), ["P", "I"]);
  assert.deepEqual(shortNames(["previous", "prefix"]), ["1", "2"]);
  assert.deepEqual(shortNames(["previous", "plain"]), ["PR", "PL"]);
  assert.deepEqual(shortNames([]), []);
});

test("a head is marked above the threshold of a score, not at it or without one", () => {
  const one = [[1]];
  const scores = { [name]: [0.5, 0.4, null] };
  const data = gridOf([one, one, one], { scores, marks: { [name]: 0.4 } });
  const badges = badgesOf(data);
  assert.deepEqual(badges, [[{ name, short: "<", score: 0.5, kind: 0 }], [], []]);
  assert.deepEqual(badgesOf({ ...data, marks: { [name]: -1 } })[2], []);
  const { spoken, tooltip } = thumbWords(data, 0, badges[0]);
  assert.equal(spoken, `Layer 0 head 0, marked ${name}, ${name} 0.50`);
  assert.equal(tooltip, `L0H0\n${name} 0.50`);
  assert.equal(thumbWords(data, 2, badges[2]).tooltip, "L0H2");
});

test("what is rare comes first, and a word leads to its strongest head", () => {
  const one = [[1]];
  const scores = { first: [0.9, 0.8, 0.7], induction: [0.5, 0.1, 0.6] };
  const data = gridOf([one, one, one], { scores, marks: { first: 0.4, induction: 0.4 } });
  const badges = badgesOf(data);
  const names = badges.map((own) => own.map(({ name: kind }) => kind));
  assert.deepEqual(names, [["induction", "first"], ["first"], ["induction", "first"]]);
  assert.deepEqual(headsOfKind(badges, 1), [2, 0]);
  assert.deepEqual(headsOfKind(badges, 2), []);
});

test("a value is read with four decimals, and what is drawn beside it", () => {
  const data = gridOf(SMALL);
  assert.equal(valueText(data, 1, { dest: 2, src: 1 }, "show"), "0.0019");
  assert.equal(valueText(data, 1, { dest: 2, src: 1 }, "discount"), "0.0019 (0.04 of the rest)");
  assert.equal(valueText(data, 1, { dest: 2, src: 2 }, "discount"), "0.0499 (0.96 of the rest)");
  assert.equal(valueText(data, 1, { dest: 2, src: 0 }, "discount"), "0.9482");
  assert.match(valueText(data, 1, { dest: 1, src: 1 }, "discount"), /too little left to rescale/);
});

test("a cell is read out with its tokens, as they are", () => {
  const data = gridOf(SMALL, { labels: HOSTILE });
  const text = cellSentence(data, [0, 1], { dest: 2, src: 1 }, "show");
  assert.equal(text, `${HOSTILE[2]} at 2 to ${HOSTILE[1]} at 1: 0.1250, 0.0019`);
});

test("a sentence names the strongest three tokens, and labels are parts of their own", () => {
  const data = gridOf(SMALL, { labels: HOSTILE });
  const parts = statusParts(data, 0, [2], "dest", tokenWeights(data, 0, [2], "dest", "show"));
  assert.deepEqual(parts, [
    "L0H0: ", { strong: HOSTILE[2] }, " at 2", " attends to ",
    "", { strong: HOSTILE[0] }, " at 0 (0.50)", ", ", { strong: HOSTILE[2] }, " at 2 (0.38)",
    ", ", { strong: HOSTILE[1] }, " at 1 (0.13)",
  ]);
});

test("nothing pointed at is a hint, nothing attended to is said", () => {
  const data = gridOf(SMALL);
  const none = new Float32Array(3);
  assert.match(String(statusParts(data, 0, [], "src", none)[0]), /what attends to it/);
  const parts = statusParts(data, 0, [1, 2], "dest", none);
  assert.equal(parts[1], "2 tokens, on average");
  assert.equal(parts.at(-1), "nothing that is shown.");
});

test("an element takes text as text and attributes as attributes, never as HTML", () => {
  const calls = /** @type {unknown[]} */ ([]);
  const element = {
    setAttribute: (/** @type {unknown[]} */ ...what) => calls.push(["attribute", ...what]),
    append: (/** @type {unknown[]} */ ...what) => calls.push(["append", ...what]),
    set innerHTML(/** @type {string} */ text) {
      assert.fail(`HTML: ${text}`);
    },
  };
  const before = globalThis.document;
  Object.assign(globalThis, { document: { createElement: () => element } });
  try {
    el("b", { title: name, "data-n": 3 }, name, HOSTILE[1]);
  } finally {
    Object.assign(globalThis, { document: before });
  }
  assert.deepEqual(calls, [
    ["attribute", "title", name], ["attribute", "data-n", "3"], ["append", name, HOSTILE[1]],
  ]);
});

const COLOURS = {
  accent: "", sequential: ["#ffffff", "#000000"], diverging: ["#ff0000", "#0000ff"],
};
const SHARES = { unit: "attention", top: 1, signed: false };

/** @param {string[]} first @param {string[]} second @param {number[]} values */
function pairOf(first, second, values, cells = SHARES) {
  /** @type {import("../../app/components/pattern_pair/js/pair_data.js").PairHeader} */
  const header = {
    id: "", colours: COLOURS, on_dark: null,
    values: cells,
    panes: [{ title: "a", note: "", labels: first }, { title: "b", note: "", labels: second }],
  };
  const pair = makePair(header, Float32Array.from(values).buffer);
  return { pair, maps: mapsOf(header, COLOURS, pair) };
}

test("two patterns of as many tokens have a difference, and its largest ends the scale", () => {
  const { pair, maps } = pairOf(["x", name], ["x", "y"], [1, 0.25, 0.75, 1, 0.75, 0.25]);
  assert.deepEqual(maps.map(({ key }) => key), ["a", "b", "d"]);
  assert.equal(pair.most, 0.5);
  assert.deepEqual(maps[2].ends, ["−0.50", "+0.50"]);
  assert.deepEqual([0, 1, 2].map(maps[2].value), [0.5, 1, 0]);
  assert.deepEqual(cellParts(pair, { key: "d", dest: 1, src: 0 }), [
    ["destination", `1 ${name} / y`], ["source", "0 x"],
    ["A", "0.2500"], ["B", "0.7500"], ["B − A", "+0.5000"],
  ]);
});

test("a trifle of a difference does not fill the scale", () => {
  assert.equal(pairOf(["x"], ["x"], [1, 0.999]).pair.most, 0.1);
});

test("weights are read with their sign on a scale that ends where both sides end", () => {
  const cells = { unit: "logits", top: 4, signed: true };
  const { pair, maps } = pairOf(["x"], ["x"], [-2, 4], cells);
  assert.deepEqual(maps.map(({ ends }) => ends[1]), ["+4.00 logits", "+4.00 logits", "+6.00"]);
  assert.deepEqual(maps.map(({ value }) => value(0)), [0.25, 1, 1]);
  assert.deepEqual(cellParts(pair, { key: "d", dest: 0, src: 0 }).slice(2), [
    ["A", "−2.0000"], ["B", "+4.0000"], ["B − A", "+6.0000"],
  ]);
  assert.equal(pairOf(["x"], ["x"], [4, 4], cells).pair.most, 0.4);
});

test("patterns of other lengths have no difference and are read one by one", () => {
  const { pair, maps } = pairOf(["x"], ["x", "y"], [1, 1, 0.5, 0.5]);
  assert.deepEqual(maps.map(({ key }) => key), ["a", "b"]);
  assert.match(hint(pair), /A has 1 tokens and B has 2/);
  assert.deepEqual(cellParts(pair, { key: "b", dest: 1, src: 1 }), [
    ["destination", "1 y"], ["source", "1 y"], ["B", "0.5000"],
  ]);
});

test("labels are cut and differences have a sign", () => {
  assert.equal(cut("123456789"), "123456789");
  assert.equal(cut("1234567890"), "12345678…");
  assert.deepEqual([signed(0.5, 2), signed(-0.5, 2)], ["+0.50", "−0.50"]);
});
