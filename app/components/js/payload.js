/** The bytes of `app/components/head_grid/packing.py`: a header of JSON, then numbers. */

/**
 * The header alone; the numbers after it are copied only when they are new.
 *
 * @template Header
 * @param {Uint8Array} bytes
 * @returns {{ header: Header, start: number }} `start` is where the numbers begin.
 */
export function readHeader(bytes) {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const text = new TextDecoder().decode(bytes.subarray(4, 4 + length));
  return { header: JSON.parse(text), start: 4 + length };
}

/**
 * What follows the header, copied because typed arrays need aligned memory.
 *
 * @param {Uint8Array} bytes
 * @param {number} start
 * @returns {ArrayBuffer}
 */
export function readBody(bytes, start) {
  return new Uint8Array(bytes.subarray(start)).buffer;
}
