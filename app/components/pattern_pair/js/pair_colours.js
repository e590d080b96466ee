/**
 * The colours of a map along its scale.
 *
 * @import { PatternMap } from "./pair_data.js"
 */
import { cellIndex, placesOf } from "../../js/cells.js";
import { hexBytes } from "../../js/hex.js";

/**
 * 256 colours, as pixels, along a scale of hex colours at equal distances.
 *
 * @param {string[]} colours
 */
export function rampAlong(colours) {
  const stops = colours.map(hexBytes);
  const bytes = new Uint8ClampedArray(256 * 4).fill(255);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (stops.length - 1);
    const below = Math.min(stops.length - 2, Math.floor(at));
    for (let c = 0; c < 3; c++) {
      bytes[4 * i + c] = stops[below][c] + (stops[below + 1][c] - stops[below][c]) * (at - below);
    }
  }
  return new Uint32Array(bytes.buffer);
}

/**
 * A map as `size` x `size` pixels; transparent above the diagonal.
 *
 * @param {PatternMap} map
 * @param {number} size
 */
export function paintMap(map, size) {
  const pixels = new Uint32Array(size * size);
  const colours = rampAlong(map.scale);
  const token = placesOf(size, map.n);
  for (let y = 0; y < size; y++) {
    const row = cellIndex(token[y], 0);
    for (let x = 0; x < size && token[x] <= token[y]; x++) {
      pixels[y * size + x] = colours[Math.round(255 * map.value(row + token[x]))];
    }
  }
  return pixels;
}
