/**
 * The theme as Streamlit's variables have it now; read from computed colours, hence any format.
 *
 * @import { Colour } from "../oklab.js"
 * @import { Theme } from "../ramps.js"
 */
import { css, mix, toOklab } from "../oklab.js";

/**
 * @param {Element} root
 * @returns {Theme}
 */
export function readTheme(root) {
  const style = getComputedStyle(root);
  const background = parseColour(style.backgroundColor);
  const text = parseColour(style.color);
  const dark = toOklab(background)[0] < 0.5;
  const zero = mix(background, text, dark ? 0.09 : 0.05);
  return { dark, zero, key: css(background) + css(text) };
}

/**
 * @param {string} text
 * @returns {Colour}
 */
function parseColour(text) {
  const context = offscreenPen();
  context.fillStyle = text;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)].map((c) => c / 255);
}

/**
 * The width of the widest text in the font of an element.
 *
 * @param {string[]} texts
 * @param {Element} element
 */
export function widestText(texts, element) {
  const context = offscreenPen();
  context.font = getComputedStyle(element).font;
  return Math.max(...texts.map((text) => context.measureText(text).width));
}

/** @returns {OffscreenCanvasRenderingContext2D} */
function offscreenPen() {
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  if (!context) throw new Error("this browser draws no canvas in two dimensions");
  return context;
}
