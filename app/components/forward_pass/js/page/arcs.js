/**
 * The text in one line, and over it the arcs of one layer.
 *
 * @import { Arc, PassHeader } from "../pass_data.js"
 */
import { el } from "../../../js/elements.js";
import { vivid } from "../../../head_grid/js/hues.js";
import { css, fromOklab } from "../../../head_grid/js/oklab.js";
import { arcPath, percent } from "../pass_data.js";

const HEIGHT = 200; // pixels over the tokens
const LABELS = 96; // pixels under them
const LEAST_PITCH = 16; // pixels from token to token: a finger still finds one
const MOST_PITCH = 46;
const TURN = 222.5; // degrees from head to head, so that neighbours differ most
const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {string} [text]
 */
function svg(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, `${value}`);
  if (text !== undefined) element.textContent = text;
  return element;
}

/**
 * The colour of a head of any layer.
 *
 * @param {number} head
 * @param {boolean} dark
 */
export const headColour = (head, dark) => css(fromOklab(vivid((head * TURN) % 360, dark)));

export class Arcs {
  /** @param {(position: number) => void} ask Called with a token that is clicked. */
  constructor(ask) {
    this.ask = ask;
    this.canvas = svg("svg", { class: "fp-arcs", role: "img" });
    this.root = el("div", { class: "fp-scroll", tabindex: 0 }, this.canvas);
    this.pitch = MOST_PITCH;
    /** @type {string[]} */
    this.labels = [];
    /** @type {string[]} */
    this.inks = [];
    /** @type {number | undefined} */
    this.position = undefined;
    this.lines = svg("g", {});
  }

  /**
   * A text, drawn once.
   *
   * @param {PassHeader} header
   */
  build({ labels, inks, position }) {
    const moved = this.position !== position;
    this.labels = labels;
    this.position = position;
    this.inks = inks;
    const room = this.root.clientWidth || 900;
    this.pitch = Math.max(LEAST_PITCH, Math.min(MOST_PITCH, (room - 60) / labels.length));
    const size = { width: this.pitch * labels.length + 60, height: HEIGHT + LABELS };
    for (const [name, value] of Object.entries(size)) this.canvas.setAttribute(name, `${value}`);
    this.lines = svg("g", {});
    this.canvas.replaceChildren(this.lines, ...labels.map((label, at) => this.token(label, at)));
    // Where the text is wider than the screen, what is asked about is in sight.
    if (moved) this.root.scrollLeft = (position + 2) * this.pitch - room;
  }

  /**
   * @param {string} label
   * @param {number} at
   */
  token(label, at) {
    const x = (at + 0.5) * this.pitch;
    const shown = label.length > 12 ? `${label.slice(0, 11)}…` : label;
    const name = { x, y: HEIGHT + 20, transform: `rotate(50 ${x} ${HEIGHT + 20})` };
    const token = svg("g", { class: at === this.position ? "fp-word fp-asked" : "fp-word" });
    const ink = this.inks[at];
    token.append(
      svg("rect", { x: x - 5, y: HEIGHT + 4, width: 10, height: 8, ...(ink && { fill: ink }) }),
      svg("text", name, shown),
      svg("title", {}, `${at} ${label}`),
    );
    token.addEventListener("click", () => this.ask(at));
    return token;
  }

  /**
   * @param {Arc[]} arcs
   * @param {number} layer
   * @param {boolean} dark
   */
  draw(arcs, layer, dark) {
    this.lines.replaceChildren(
      ...arcs.map((arc) => {
        const line = svg("path", {
          d: arcPath(arc, this.pitch, HEIGHT),
          stroke: headColour(arc.head, dark),
          "stroke-width": 1 + 4 * arc.attention,
          "stroke-opacity": 0.25 + 0.7 * arc.attention,
        });
        const said =
          `L${layer}H${arc.head}: ${arc.dest} “${this.labels[arc.dest]}” reads ${arc.src} ` +
          `“${this.labels[arc.src]}”, ${percent(arc.attention)}`;
        line.append(svg("title", {}, said));
        return line;
      }),
    );
    this.canvas.setAttribute("aria-label", `${arcs.length} arcs`);
  }
}
