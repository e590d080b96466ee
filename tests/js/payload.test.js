/** Bytes become headers and numbers; those that Python writes are in tests/unit/test_payloads.py. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { readBody, readHeader } from "../../app/components/js/payload.js";

/** @param {object} header @param {number[]} numbers */
function payload(header, numbers) {
  let text = JSON.stringify(header);
  while (Buffer.byteLength(text) % 4) text += " ";
  const length = Buffer.alloc(4);
  length.writeUInt32LE(Buffer.byteLength(text));
  // Copied out of the memory that node shares among its buffers.
  return Uint8Array.from(Buffer.concat([length, Buffer.from(text), Buffer.from(numbers)]));
}

test("a header is read as text of any alphabet, and the numbers begin after it", () => {
  const header = { labels: ["é↵", "</script>", "日本"] };
  const bytes = payload(header, [1, 2, 3]);
  const read = readHeader(bytes);
  assert.deepEqual(read.header, header);
  assert.deepEqual([...new Uint8Array(readBody(bytes, read.start))], [1, 2, 3]);
});

test("numbers are copied, so that they may begin anywhere in the message", () => {
  const bytes = payload({}, [1, 2, 3, 4]);
  const message = new Uint8Array(bytes.length + 1);
  message.set(bytes, 1);
  const { start } = readHeader(message.subarray(1));
  const body = readBody(message.subarray(1), start);
  assert.deepEqual([...new Uint16Array(body)], [0x0201, 0x0403]);
  message.fill(0);
  assert.equal(new Uint8Array(body)[0], 1);
});
