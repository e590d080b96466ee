/**
 * OKLab, in which equal steps look equal, and sRGB with channels 0..1.
 *
 * @typedef {number[]} Colour Three numbers.
 */

/** @param {number} x */
export const clamp01 = (x) => Math.min(1, Math.max(0, x));
/** @param {number} c */
const toLinear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
/** @param {number} c */
const fromLinear = (c) => (c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055);

/**
 * @param {Colour} rgb
 * @returns {Colour}
 */
export function toOklab(rgb) {
  const [r, g, b] = rgb.map(toLinear);
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

/**
 * @param {Colour} lab
 * @returns {Colour}
 */
export function fromOklab([L, a, b]) {
  const l = (L + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (L - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (L - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((c) => fromLinear(clamp01(c)));
}

/**
 * Black or white, whichever reads better on `rgb`.
 *
 * @param {Colour} rgb
 */
export function inkOn(rgb) {
  const [r, g, b] = rgb.map(toLinear);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}

/**
 * @param {Colour} a
 * @param {Colour} b
 * @param {number} t 0 gives `a`, 1 gives `b`.
 * @returns {Colour}
 */
export const mix = (a, b, t) => a.map((value, i) => value + (b[i] - value) * t);

/** @param {Iterable<number>} rgb */
export const css = (rgb) => `rgb(${Array.from(rgb, (c) => Math.round(c * 255)).join(" ")})`;
