/**
 * Elements of the page. Every string of a payload is hostile: it reaches the page only as text
 * nodes and attributes, never as HTML.
 */

/**
 * An element; attributes by name, children as elements or as text (never HTML).
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number | boolean>} [attributes]
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/**
 * Lay an element onto a box of its parent, in pixels.
 *
 * @param {HTMLElement} element
 * @param {{ left: number, top: number, width: number, height: number }} box
 */
export function fitTo(element, box) {
  element.style.left = `${box.left}px`;
  element.style.top = `${box.top}px`;
  element.style.width = `${box.width}px`;
  element.style.height = `${box.height}px`;
}

/**
 * Where to draw on a canvas.
 *
 * @param {HTMLCanvasElement} canvas
 * @returns {CanvasRenderingContext2D}
 */
export function penOf(canvas) {
  const pen = canvas.getContext("2d");
  if (!pen) throw new Error("this browser draws no canvas in two dimensions");
  return pen;
}

/**
 * Pixels as a canvas takes them.
 *
 * @param {Uint32Array<ArrayBuffer>} pixels
 * @param {number} width Of them in a row.
 * @returns {ImageData}
 */
export function imageOf(pixels, width) {
  return new ImageData(new Uint8ClampedArray(pixels.buffer), width);
}
