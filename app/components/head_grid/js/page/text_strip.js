/**
 * The text below the pictures: each token coloured by what it has to do with the active ones. Of two
 * texts the active ones are in one, which the direction says, and the coloured ones in the other.
 *
 * @import { Direction } from "../view.js"
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
 * @returns {{ token: number, side: Direction } | null} What an event of the text is about.
 */
function tokenOf({ target }) {
  const node = target instanceof Element ? target.closest(".hg-token") : null;
  if (!(node instanceof HTMLElement)) return null;
  return { token: Number(node.dataset.token), side: node.dataset.side === "src" ? "src" : "dest" };
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
    this.strips = {
      dest: el("div", { class: "hg-tokens", role: "group" }),
      src: el("div", { class: "hg-tokens is-sources", role: "group", "aria-label": "Source tokens" }),
    };
    this.root = el("section", { class: "hg-text" }, head, this.strips.dest, this.strips.src);
    /** @type {Record<Direction, HTMLElement[]>} By position; of one text all are in the first. */
    this.tokens = { dest: [], src: [] };
    this.listen();
  }

  /** The tokens of new data. */
  build() {
    const { two, labels, sources } = this.grid.data;
    this.buildStrip("dest", labels);
    this.buildStrip("src", two ? sources : []);
    this.strips.dest.setAttribute("aria-label", two ? "Destination tokens" : "Tokens");
    this.strips.src.hidden = !two;
  }

  /**
   * @param {Direction} side
   * @param {string[]} labels
   */
  buildStrip(side, labels) {
    const tokens = labels.map((label, position) =>
      el(
        "button",
        {
          type: "button",
          class: "hg-token",
          tabindex: position ? "-1" : "0",
          "data-token": position,
          "data-side": side,
          "aria-label": `Token ${position}, ${label}`,
        },
        label,
      ),
    );
    this.strips[side].classList.toggle("is-spaced", this.grid.data.bidirectional);
    this.tokens[side] = tokens;
    this.strips[side].replaceChildren(
      ...tokens.flatMap((token, position) =>
        labels[position].endsWith("↵") ? [token, el("br")] : [token],
      ),
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
    for (const side of /** @type {const} */ (["dest", "src"])) {
      // Of one text, both.
      const [chosen, shows] = data.two ? [side === view.direction, side !== view.direction] : [true, true];
      const linked = data.two ? [cell?.[side]] : [cell?.dest, cell?.src];
      this.tokens[side].forEach((token, position) => {
        const levels = weights.map((weight) => (shows ? levelOf(data, weight[position]) : 0));
        const coloured = active.length > 0 && levels.some((level) => level !== 0);
        const rgb = coloured ? blend(ramps, levels, theme) : null;
        token.style.background = rgb ? css(rgb) : "";
        token.style.color = rgb ? inkOn(rgb) : "";
        token.classList.toggle("is-active", chosen && active.includes(position));
        token.classList.toggle("is-ahead", side === "dest" && position >= this.grid.upto);
        token.classList.toggle("is-linked", linked.includes(position));
        token.setAttribute("aria-pressed", String(chosen && view.tokens.includes(position)));
      });
    }
    this.directions.dest.setAttribute("aria-pressed", String(view.direction === "dest"));
    this.directions.src.setAttribute("aria-pressed", String(view.direction === "src"));
    const parts = statusParts(data, heads[0], active, view.direction, weights[0]);
    this.status.replaceChildren(
      ...parts.map((part) => (typeof part === "string" ? part : el("b", {}, part.strong))),
    );
  }

  /* ---- mouse and keys */

  listen() {
    const { grid } = this;
    for (const strip of Object.values(this.strips)) {
      strip.addEventListener("pointerover", (event) => {
        if (event.pointerType !== "touch") grid.point({ token: this.chosenToken(event) });
      });
      strip.addEventListener("pointerleave", () => grid.point({ token: null }));
      strip.addEventListener("click", (event) => {
        const found = tokenOf(event);
        if (!found) return;
        if (grid.data.two && found.side !== grid.view.direction) {
          grid.point({ token: null });
          grid.setDirection(found.side);
        }
        grid.lockToken(found.token, adds(event));
      });
      strip.addEventListener("focusout", () => grid.point({ token: null }));
      strip.addEventListener("keydown", (event) => this.press(event));
    }
  }

  /**
   * The token that an event points at, if it is of the text that tokens are chosen from.
   *
   * @param {Event} event
   */
  chosenToken(event) {
    const found = tokenOf(event);
    const chosen = found && (!this.grid.data.two || found.side === this.grid.view.direction);
    return chosen ? found.token : null;
  }

  /**
   * Left and right step through the text; Enter locks, as on any button.
   *
   * @param {KeyboardEvent} event
   */
  press(event) {
    const { grid } = this;
    if (event.key === "Escape") return grid.unlockAll();
    const found = tokenOf(event);
    const step = arrowStep(event.key);
    if (!step || !found) return;
    event.preventDefault();
    const tokens = this.tokens[found.side];
    const next = Math.min(tokens.length - 1, Math.max(0, found.token + step[0] + step[1]));
    tokens[found.token].tabIndex = -1;
    tokens[next].tabIndex = 0;
    tokens[next].focus();
    if (grid.data.two && found.side !== grid.view.direction) return;
    grid.point({ token: next });
    grid.renderNow();
    grid.say(this.status.textContent ?? "");
  }
}
