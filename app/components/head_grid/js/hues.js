/**
 * Which colour full attention has in a head.
 *
 * @import { Colour } from "./oklab.js"
 */
import { hexBytes } from "../../js/hex.js";
import { toOklab } from "./oklab.js";

// Okabe and Ito's colours, told apart by people with any colour vision; the first one is for
// every head that is not overlaid and is pulled darker or lighter for a longer scale.
const SAFE = {
  light: ["#08519c", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#b8860b"],
  dark: ["#8fd0ff", "#e69f00", "#2fc99b", "#e58fc0", "#f0e442", "#ff7f3f"],
};

/** The end of a scale below 0, in OKLab: red, as everywhere on pages. */
export const AGAINST = { light: inOklab("#a61e1e"), dark: inOklab("#ff8a70") };

/**
 * @param {string} hex
 * @returns {Colour}
 */
function inOklab(hex) {
  return toOklab(hexBytes(hex).map((byte) => byte / 255));
}

/**
 * A vivid colour of this hue (degrees), light enough or dark enough to stand out; in OKLab.
 *
 * @param {number} hue
 * @param {boolean} dark
 * @returns {Colour}
 */
export function vivid(hue, dark) {
  const [lightness, chroma] = dark ? [0.84, 0.15] : [0.47, 0.17];
  const angle = (hue * Math.PI) / 180;
  return [lightness, chroma * Math.cos(angle), chroma * Math.sin(angle)];
}

/**
 * A colour that is told apart from the others with any colour vision; in OKLab.
 *
 * @param {number} place Among the locked heads; -1 for a head that is not locked.
 * @param {boolean} dark
 * @returns {Colour}
 */
export function safe(place, dark) {
  const colours = dark ? SAFE.dark : SAFE.light;
  return inOklab(colours[Math.max(place, 0) % colours.length]);
}

/**
 * Hues for heads that are laid over each other: those too close to an earlier one move to the
 * freest place on the circle.
 *
 * @param {number[]} own Degrees.
 * @returns {number[]}
 */
export function apart(own) {
  /** @type {number[]} */
  const taken = [];
  /** @param {number} a @param {number} b */
  const distance = (a, b) => 180 - Math.abs(180 - Math.abs(a - b));
  /** @param {number} hue */
  const room = (hue) => Math.min(360, ...taken.map((other) => distance(hue, other)));
  const wheel = [...Array(24).keys()].map((i) => 15 * i);
  for (const hue of own) {
    const freest = wheel.reduce((a, b) => (room(b) > room(a) ? b : a));
    taken.push(room(hue) >= 40 ? hue : freest);
  }
  return taken;
}
