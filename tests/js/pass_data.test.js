/** A forward pass: arcs as they come, and which of them are drawn. */
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  adoptedView, arcPath, arcsOfLayers, depthName, drawnArcs,
} from "../../app/components/forward_pass/js/pass_data.js";

const HEADER = {
  id: "a", labels: ["a", "b", "c"], inks: [], heads: 2, arcs: [2, 0, 1], position: 2, off: [],
  guesses: [[], [], [], []], key: "pass",
  command: { number: 3, depth: 1, least: 0.2, toFirst: true },
};

test("arcs of every layer are read, of a layer without any none", () => {
  const body = Uint16Array.from([1, 2, 0, 65535, 0, 2, 1, 26214, 1, 1, 0, 6554]).buffer;
  const layers = arcsOfLayers(HEADER, body);
  assert.deepEqual(layers[0][0], { head: 1, dest: 2, src: 0, attention: 1 });
  assert.deepEqual(layers[0][1], { head: 0, dest: 2, src: 1, attention: 0.4 });
  assert.deepEqual(layers.map((arcs) => arcs.length), [2, 0, 1]);
});

test("weak arcs are left out, those to the first token only where they are wanted", () => {
  const arcs = [
    { head: 0, dest: 2, src: 0, attention: 0.9 },
    { head: 0, dest: 2, src: 1, attention: 0.5 },
    { head: 1, dest: 2, src: 1, attention: 0.2 },
  ];
  assert.deepEqual(drawnArcs(arcs, { least: 0.4, toFirst: false }), { drawn: [arcs[1]], resting: 1 });
  assert.deepEqual(drawnArcs(arcs, { least: 0.4, toFirst: true }), { drawn: arcs.slice(0, 2), resting: 0 });
});

test("an arc leads from token to token and stays below the edge", () => {
  const path = arcPath({ head: 0, dest: 30, src: 0, attention: 1 }, 20, 100);
  assert.equal(path, "M10 100A300 94 0 0 1 610 100");
  assert.equal(arcPath({ head: 0, dest: 1, src: 0, attention: 1 }, 20, 100), "M10 100A10 10 0 0 1 30 100");
});

test("the first depth is the embedding, and each other is named by its layer", () => {
  assert.deepEqual([0, 1, 30].map(depthName), ["Embedding", "After layer 0", "After layer 29"]);
});

test("the visitor's view stays until Python asks for another, and the end is the last depth", () => {
  const mine = { number: 3, depth: null, least: 0.5, toFirst: false };
  assert.deepEqual(adoptedView(HEADER, undefined), { depth: 1, least: 0.2, toFirst: true });
  assert.deepEqual(adoptedView(HEADER, mine), { depth: 3, least: 0.5, toFirst: false });
  assert.deepEqual(adoptedView(HEADER, { ...mine, number: 2 }).depth, 1);
  assert.deepEqual(adoptedView(HEADER, { ...mine, depth: 30 }).depth, 3);
});
