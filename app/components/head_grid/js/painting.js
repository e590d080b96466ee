/**
 * Patterns as pixels, without a canvas.
 *
 * @import { GridData, Sink } from "./grid_data.js"
 * @import { Ramp, Theme } from "./ramps.js"
 *
 * @typedef {object} Raster
 * @property {number} width
 * @property {number} height
 * @property {Uint32Array<ArrayBuffer>} pixels As a canvas holds them; 0 is transparent.
 */
import { placesOf } from "../../js/cells.js";
import { lastSource, levelOf, rowFactor } from "./grid_data.js";
import { blendChannel } from "./ramps.js";

/** Where there is no cell. */
export const EMPTY = -256;

/**
 * The pixels of a picture that has `size` of them at most across and down: one a token where that
 * does. Of two texts each side has its own number.
 *
 * @param {GridData} data
 * @param {number} size
 */
export function rasterSize({ n, m }, size) {
  return { width: Math.min(m, size), height: Math.min(n, size) };
}

/**
 * One head as levels -255..255, `EMPTY` where there is no cell, in the pixels of `rasterSize`. Where
 * several cells share a pixel the strongest one counts: an average would wash a one-token stripe out.
 *
 * @param {GridData} data
 * @param {number} head
 * @param {number} size
 * @param {Sink} sink
 * @param {number} [upto] Destinations that are drawn: all, or the first ones.
 */
export function drawLevels(data, head, size, sink, upto = data.n) {
  const { width, height } = rasterSize(data, size);
  const levels = new Int16Array(width * height).fill(EMPTY);
  const rows = placesOf(data.n, height);
  const pixel = placesOf(data.m, width);
  const { signed, top } = data.values;
  let cell = head * data.stride;
  for (let dest = 0; dest < upto; dest++) {
    const line = rows[dest] * width;
    const row = head * data.n + dest;
    const first = sink === "show" ? levelOf(data, data.first[row]) : 0;
    levels[line] = stronger(first, levels[line]);
    const scale = 255 / (data.whole * top);
    const step = scale * data.most[row] * rowFactor(data, head, dest, sink);
    const last = lastSource(data, dest);
    for (let src = 1; src <= last; src++, cell++) {
      // `levelOf`, written out: this is done a million times for one view.
      const level = Math.min(255, Math.round(data.cells[cell] * step));
      const at = line + pixel[src];
      if (signed) levels[at] = stronger(Math.max(-255, level), levels[at]);
      else if (level > levels[at]) levels[at] = level;
    }
  }
  return levels;
}

/**
 * The one of two levels that counts: what is no number does not.
 *
 * @param {number} level
 * @param {number} other
 */
function stronger(level, other) {
  const counts = other === EMPTY ? level > EMPTY : Math.abs(level) > Math.abs(other);
  return counts ? level : other;
}

/**
 * One or several heads, laid over each other.
 *
 * @param {GridData} data
 * @param {number[]} heads
 * @param {number} size
 * @param {Sink} sink
 * @param {Ramp[]} ramps One per head.
 * @param {Theme} theme
 * @param {number} [upto] Destinations that are drawn: all, or the first ones.
 * @returns {Raster}
 */
export function paint(data, heads, size, sink, ramps, theme, upto = data.n) {
  const { width, height } = rasterSize(data, size);
  const pixels = new Uint32Array(width * height);
  const layers = heads.map((head) => drawLevels(data, head, size, sink, upto));
  if (layers.length === 1) paintOne(pixels, layers[0], ramps[0]);
  else paintSeveral(new Uint8ClampedArray(pixels.buffer), layers, ramps, theme);
  return { width, height, pixels };
}

/**
 * A picture made a larger square without smoothing; canvases would blur, and their count costs time.
 *
 * @param {Raster} raster
 * @param {number} size
 * @returns {Raster}
 */
export function enlarge(raster, size) {
  const { width, height } = raster;
  if (width === size && height === size) return raster;
  const pixels = new Uint32Array(size * size);
  const [columns, rows] = [placesOf(size, width), placesOf(size, height)];
  for (let y = 0; y < size; y++) {
    const line = rows[y] * width;
    for (let x = 0; x < size; x++) pixels[y * size + x] = raster.pixels[line + columns[x]];
  }
  return { width: size, height: size, pixels };
}

/**
 * @param {Uint32Array} pixels
 * @param {Int16Array} levels
 * @param {Ramp} ramp
 */
function paintOne(pixels, levels, { pixels: colours, zero }) {
  for (let i = 0; i < pixels.length; i++) {
    if (levels[i] !== EMPTY) pixels[i] = colours[zero + levels[i]];
  }
}

/**
 * @param {Uint8ClampedArray} bytes
 * @param {Int16Array[]} layers
 * @param {Ramp[]} ramps
 * @param {Theme} theme
 */
function paintSeveral(bytes, layers, ramps, theme) {
  const levels = new Array(layers.length);
  for (let i = 0; i < layers[0].length; i++) {
    if (layers[0][i] === EMPTY) continue;
    for (let k = 0; k < layers.length; k++) levels[k] = layers[k][i];
    for (let channel = 0; channel < 3; channel++) {
      bytes[4 * i + channel] = 255 * blendChannel(ramps, levels, channel, theme);
    }
    bytes[4 * i + 3] = 255;
  }
}
