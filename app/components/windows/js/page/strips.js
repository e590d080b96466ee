/**
 * Windows of a text below each other, each a strip of tokens as on the page of patterns.
 *
 * @import { ComponentArguments } from "../../../js/mount.js"
 * @import { GridData } from "../../../head_grid/js/grid_data.js"
 * @import { Direction, Hover, Settings, View } from "../../../head_grid/js/view.js"
 * @import { Ramp } from "../../../head_grid/js/ramps.js"
 * @import { StripHeader, WindowsHeader } from "../window_data.js"
 */
import { el } from "../../../js/elements.js";
import { readBody, readHeader } from "../../../js/payload.js";
import { vivid } from "../../../head_grid/js/hues.js";
import { TextStrip } from "../../../head_grid/js/page/text_strip.js";
import { readTheme } from "../../../head_grid/js/page/theme.js";
import { makeRamp } from "../../../head_grid/js/ramps.js";
import { activeTokens, lockedAfter, NOTHING } from "../../../head_grid/js/view.js";
import { patternsOf } from "../window_data.js";

/** One window; what `TextStrip` needs to know of where it stands. */
class WindowStrip {
  /**
   * @param {StripHeader} header
   * @param {GridData} data
   * @param {HTMLElement} page Whose theme it has.
   * @param {(text: string) => void} say
   */
  constructor(header, data, page, say) {
    this.data = data;
    this.page = page;
    this.say = say;
    /** @type {Settings} */
    this.settings = { sort: "", scale: "linear", sink: "show", palette: "hue", overlay: false };
    /** @type {View} */
    this.view = { focus: 0, locked: [], tokens: [header.start], direction: "dest" };
    /** @type {Hover} */
    this.hover = { ...NOTHING };
    this.upto = data.n;
    this.theme = readTheme(page);
    this.text = new TextStrip(this);
    this.text.build();
    this.root = el(
      "section",
      { class: "ws-window", "aria-label": header.title },
      el("p", { class: "ws-title" }, header.title),
      el("p", { class: "ws-note" }, header.note),
      this.text.root,
    );
    this.renderNow();
  }

  shownHeads() {
    return [0];
  }

  activeTokens() {
    return activeTokens(this.view, this.hover);
  }

  /** @param {number} head @returns {Ramp} */
  rampOf(head) {
    const { dark, zero } = this.theme;
    return makeRamp(zero, vivid(this.data.heads[head].hue, dark), "linear");
  }

  /** @param {Partial<Hover>} change */
  point(change) {
    Object.assign(this.hover, change);
    this.renderNow();
  }

  /** @param {number} token @param {boolean} adding */
  lockToken(token, adding) {
    this.view.tokens = lockedAfter(this.view.tokens, token, adding, this.data.limits.tokens);
    this.renderNow();
  }

  unlockAll() {
    this.view.tokens = [];
    this.renderNow();
  }

  /** @param {Direction} direction */
  setDirection(direction) {
    this.view.direction = direction;
    this.renderNow();
  }

  renderNow() {
    this.theme = readTheme(this.page);
    this.text.draw();
  }

  /** Show the token that is active at first; the page itself stays where it is. */
  scroll() {
    const token = this.text.tokens.dest[this.view.tokens[0] ?? 0];
    const strip = this.text.strips.dest;
    if (token) strip.scrollTop = token.offsetTop - strip.offsetTop - strip.clientHeight / 2;
  }
}

export class Windows {
  /** @param {ComponentArguments<Uint8Array>} component */
  constructor({ data, parentElement }) {
    this.list = el("div", {});
    this.live = el("div", { class: "hg-live", "aria-live": "polite" });
    this.root = el("div", { class: "hg ws" }, this.list, this.live);
    parentElement.append(this.root);
    this.id = "";
    /** @type {WindowStrip[]} */
    this.strips = [];
    this.build(data);
    // A change of theme only changes CSS variables; a transition on a colour tells of it.
    this.root.addEventListener("transitionend", (event) => {
      if (event.target === this.root) this.strips.forEach((strip) => strip.renderNow());
    });
  }

  /** @param {ComponentArguments<Uint8Array>} component */
  update({ data }) {
    this.build(data);
  }

  /** @param {Uint8Array} bytes */
  build(bytes) {
    /** @type {{ header: WindowsHeader, start: number }} */
    const { header, start } = readHeader(bytes);
    if (this.id === header.id) return;
    this.id = header.id;
    const patterns = patternsOf(header, readBody(bytes, start));
    const say = (/** @type {string} */ text) => {
      this.live.textContent = text;
    };
    this.strips = header.strips.map(
      (strip, index) => new WindowStrip(strip, patterns[index], this.root, say),
    );
    this.list.replaceChildren(...this.strips.map((strip) => strip.root));
    requestAnimationFrame(() => this.strips.forEach((strip) => strip.scroll()));
  }

  destroy() {
    this.root.remove();
  }
}
