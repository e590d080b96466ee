/**
 * Colours from "no attention" to the colour of a head, alone and laid over each other.
 *
 * @import { Colour } from "./oklab.js"
 *
 * @typedef {object} Theme
 * @property {boolean} dark
 * @property {Colour} zero The colour of no attention.
 * @property {string} key Changes with the theme.
 *
 * @typedef {object} Ramp 256 steps, and as many below 0 where values have a sign.
 * @property {Float32Array} colours Three channels each, 0..1.
 * @property {Uint32Array} pixels Ready for a canvas.
 * @property {number} zero The step that stands for 0.
 * @property {string} full The last step.
 */
import { clamp01, css, fromOklab, mix, toOklab } from "./oklab.js";

/**
 * @param {Colour} zero sRGB.
 * @param {Colour} end OKLab.
 * @param {"linear" | "sqrt"} scale
 * @param {Colour} [against] OKLab: the end below 0.
 * @returns {Ramp}
 */
export function makeRamp(zero, end, scale, against) {
  const above = oneSide(zero, end, scale);
  if (!against) return above;
  const below = oneSide(zero, against, scale);
  // Downwards first, without its 0.
  const colours = new Float32Array(511 * 3);
  const pixels = new Uint32Array(511);
  for (let i = 0; i < 255; i++) {
    colours.set(below.colours.subarray(3 * (255 - i), 3 * (256 - i)), 3 * i);
    pixels[i] = below.pixels[255 - i];
  }
  colours.set(above.colours, 3 * 255);
  pixels.set(above.pixels, 255);
  return { colours, pixels, zero: 255, full: above.full };
}

/**
 * @param {Colour} zero sRGB.
 * @param {Colour} end OKLab.
 * @param {"linear" | "sqrt"} scale
 * @returns {Ramp}
 */
function oneSide(zero, end, scale) {
  const from = toOklab(zero);
  // Straight lines between 33 points look the same and are made five times faster.
  const points = Array.from({ length: 33 }, (_, i) => fromOklab(mix(from, end, i / 32)));
  const colours = new Float32Array(256 * 3);
  const bytes = new Uint8ClampedArray(256 * 4).fill(255);
  for (let i = 0; i < 256; i++) {
    const at = 32 * (scale === "sqrt" ? Math.sqrt(i / 255) : i / 255);
    const below = Math.min(31, Math.floor(at));
    for (let channel = 0; channel < 3; channel++) {
      const [a, b] = [points[below][channel], points[below + 1][channel]];
      const value = a + (b - a) * (at - below);
      colours[3 * i + channel] = value;
      bytes[4 * i + channel] = 255 * value; // clamped arrays round
    }
  }
  return { colours, pixels: new Uint32Array(bytes.buffer), zero: 0, full: css(points[32]) };
}

/**
 * One channel of several ramps laid over each other, like inks on paper or lamps in the dark.
 *
 * @param {Ramp[]} ramps
 * @param {ArrayLike<number>} levels One per ramp.
 * @param {number} channel
 * @param {Theme} theme
 */
export function blendChannel(ramps, levels, channel, theme) {
  const zero = theme.zero[channel];
  let product = 1;
  for (let i = 0; i < ramps.length; i++) {
    const value = ramps[i].colours[3 * (ramps[i].zero + levels[i]) + channel];
    product *= theme.dark ? (1 - value) / (1 - zero) : value / zero;
  }
  return clamp01(theme.dark ? 1 - product * (1 - zero) : product * zero);
}

/**
 * @param {Ramp[]} ramps
 * @param {ArrayLike<number>} levels
 * @param {Theme} theme
 * @returns {Colour}
 */
export function blend(ramps, levels, theme) {
  return [0, 1, 2].map((channel) => blendChannel(ramps, levels, channel, theme));
}

/**
 * The colours of a scale from its lower end to its upper one, for a gradient.
 *
 * @param {Ramp} ramp
 * @returns {string[]}
 */
export function rampStops({ colours }) {
  return Array.from({ length: 17 }, (_, i) => {
    const at = 3 * Math.round(((colours.length / 3 - 1) * i) / 16);
    return css(colours.slice(at, at + 3));
  });
}
