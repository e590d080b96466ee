/**
 * What the browser makes of a payload of Python, as JSON: `node decoded.js grid|pair < payload`.
 * For tests/unit/test_payloads.py.
 *
 * @import { GridHeader } from "../../app/components/head_grid/js/grid_data.js"
 * @import { PairHeader } from "../../app/components/pattern_pair/js/pair_data.js"
 */
import { readFileSync } from "node:fs";

import { cellValue, makeData } from "../../app/components/head_grid/js/grid_data.js";
import { adoptedView, reportOf } from "../../app/components/head_grid/js/view.js";
import { valueText } from "../../app/components/head_grid/js/words.js";
import { readBody, readHeader } from "../../app/components/js/payload.js";
import { makePair, mapsOf } from "../../app/components/pattern_pair/js/pair_data.js";

/** @param {Uint8Array} bytes */
function gridIn(bytes) {
  /** @type {{ header: GridHeader, start: number }} */
  const { header, start } = readHeader(bytes);
  const data = makeData(header, readBody(bytes, start));
  /** @param {(head: number, dest: number, src: number) => unknown} of */
  const cells = (of) =>
    data.heads.map((_, head) =>
      data.labels.map((__, dest) => data.labels.map((___, src) => of(head, dest, src))),
    );
  return {
    labels: data.labels,
    heads: data.heads.map(({ label }) => label),
    patterns: cells((head, dest, src) => cellValue(data, head, dest, src)),
    discounted: cells((head, dest, src) => valueText(data, head, { dest, src }, "discount")),
    view: reportOf(data, adoptedView(data, undefined, true)),
  };
}

/** @param {Uint8Array} bytes */
function pairIn(bytes) {
  /** @type {{ header: PairHeader, start: number }} */
  const { header, start } = readHeader(bytes);
  const pair = makePair(header, readBody(bytes, start));
  const { a, b, most } = pair;
  const maps = mapsOf(header, header.colours, pair);
  return {
    labels: [a.labels, b.labels],
    values: [[...a.values], [...b.values]],
    titles: maps.map(({ title }) => title),
    most,
  };
}

const read = process.argv[2] === "pair" ? pairIn : gridIn;
process.stdout.write(JSON.stringify(read(readFileSync(0))));
