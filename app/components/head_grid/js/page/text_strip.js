/**
 * The text below the pictures: each token coloured by what it has to do with the active ones.
 *
 * @import { HeadGrid } from "./grid.js"
 *
 * @typedef {Pick<HeadGrid, "data" | "view" | "hover" | "settings" | "theme" | "upto" | "activeTokens" |
 *   "shownHeads" | "rampOf" | "point" | "lockToken" | "unlockAll" | "setDirection" | "renderNow" |
 *   "say">} StripHost What the text needs of what it stands in.
 */
import { arrowStep } from "../../../js/cells.js";
import { el } from "../../../js/elements.js";
import { levelOf, tokenWeights } from "../grid_data.js";
import { css, inkOn } from "../oklab.js";
import { blend } from "../ramps.js";
import { statusParts } from "../words.js";
import { toggle } from "./controls.js";
import { adds } from "./thumbs.js";

/**
 * @param {Event} event
 * @returns {number | null} The token that an event of the strip is about.
 */
function tokenOf({ target }) {
  const node = target instanceof Element ? target.closest(".hg-token") : null;
  return node instanceof HTMLElement ? Number(node.dataset.token) : null;
}

export class TextStrip {
  /** @param {StripHost} grid */
  constructor(grid) {
    this.grid = grid;
    this.directions = {
      dest: toggle("destination → source", "Colour what a token attends to", () =>
        grid.setDirection("dest"),
      ),
      src: toggle("source → destination", "Colour what attends to a token", () =>
        grid.setDirection("src"),
      ),
    };
    const { dest, src } = this.directions;
    const group = el(
      "div",
      { class: "hg-direction", role: "group", "aria-label": "Direction" },
      dest,
      src,
    );
    this.status = el("p", { class: "hg-status" });
    const head = el("div", { class: "hg-texthead" }, group, this.status);
    this.strip = el("div", { class: "hg-tokens", role: "group", "aria-label": "Tokens" });
    this.root = el("section", { class: "hg-text" }, head, this.strip);
    /** @type {HTMLElement[]} By position. */
    this.tokens = [];
    this.listen();
  }

  /** The tokens of new data. */
  build() {
    this.tokens = this.grid.data.labels.map((label, position) =>
      el(
        "button",
        {
          type: "button",
          class: "hg-token",
          tabindex: position ? "-1" : "0",
          "data-token": position,
          "aria-label": `Token ${position}, ${label}`,
        },
        label,
      ),
    );
    this.strip.classList.toggle("is-spaced", this.grid.data.bidirectional);
    const ends = this.grid.data.labels.map((label) => label.endsWith("↵"));
    this.strip.replaceChildren(
      ...this.tokens.flatMap((token, position) => (ends[position] ? [token, el("br")] : [token])),
    );
  }

  draw() {
    const { data, hover, settings, theme, view } = this.grid;
    const active = this.grid.activeTokens();
    const heads = this.grid.shownHeads();
    const ramps = heads.map((head) => this.grid.rampOf(head));
    const weights = heads.map((head) =>
      tokenWeights(data, head, active, view.direction, settings.sink),
    );
    const { cell } = hover;
    this.tokens.forEach((token, position) => {
      const levels = weights.map((weight) => levelOf(data, weight[position]));
      const coloured = active.length > 0 && levels.some((level) => level !== 0);
      const rgb = coloured ? blend(ramps, levels, theme) : null;
      token.style.background = rgb ? css(rgb) : "";
      token.style.color = rgb ? inkOn(rgb) : "";
      token.classList.toggle("is-active", active.includes(position));
      token.classList.toggle("is-ahead", position >= this.grid.upto);
      token.classList.toggle("is-linked", cell?.dest === position || cell?.src === position);
      token.setAttribute("aria-pressed", String(view.tokens.includes(position)));
    });
    this.directions.dest.setAttribute("aria-pressed", String(view.direction === "dest"));
    this.directions.src.setAttribute("aria-pressed", String(view.direction === "src"));
    const parts = statusParts(data, heads[0], active, view.direction, weights[0]);
    this.status.replaceChildren(
      ...parts.map((part) => (typeof part === "string" ? part : el("b", {}, part.strong))),
    );
  }

  /* ---- mouse and keys */

  listen() {
    const { grid, strip } = this;
    strip.addEventListener("pointerover", (event) => {
      if (event.pointerType !== "touch") grid.point({ token: tokenOf(event) });
    });
    strip.addEventListener("pointerleave", () => grid.point({ token: null }));
    strip.addEventListener("click", (event) => {
      const token = tokenOf(event);
      if (token !== null) grid.lockToken(token, adds(event));
    });
    strip.addEventListener("focusout", () => grid.point({ token: null }));
    strip.addEventListener("keydown", (event) => this.press(event));
  }

  /**
   * Left and right step through the text; Enter locks, as on any button.
   *
   * @param {KeyboardEvent} event
   */
  press(event) {
    const { grid } = this;
    if (event.key === "Escape") return grid.unlockAll();
    const token = tokenOf(event);
    const step = arrowStep(event.key);
    if (!step || token === null) return;
    event.preventDefault();
    const next = Math.min(grid.data.n - 1, Math.max(0, token + step[0] + step[1]));
    this.tokens[token].tabIndex = -1;
    this.tokens[next].tabIndex = 0;
    this.tokens[next].focus();
    grid.point({ token: next });
    grid.renderNow();
    grid.say(this.status.textContent ?? "");
  }
}
