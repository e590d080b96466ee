/**
 * The head grid: all heads of one sequence as small pictures, one of them large, the text below.
 *
 * Everything a visitor does is answered here, from bytes that came once; Python hears of the
 * result a moment later.
 *
 * @import { ComponentArguments } from "../../../js/mount.js"
 * @import { GridHeader } from "../grid_data.js"
 * @import { Ramp } from "../ramps.js"
 * @import { Command, Direction, Hover, Settings } from "../view.js"
 */
import { el } from "../../../js/elements.js";
import { readBody, readHeader } from "../../../js/payload.js";
import { makeData } from "../grid_data.js";
import { AGAINST, apart, safe, vivid } from "../hues.js";
import { isSplit } from "../layout.js";
import { makeRamp } from "../ramps.js";
import {
  NOTHING, activeTokens, adoptedView, afterHeadLock, inDirection, lockedAfter, reportOf, shownHeads,
} from "../view.js";
import { Controls } from "./controls.js";
import { Picture } from "./picture.js";
import { Player } from "./player.js";
import { TextStrip } from "./text_strip.js";
import { readTheme } from "./theme.js";
import { Thumbs } from "./thumbs.js";

const REPORT_DELAY = 250; // ms of calm before Python hears: paging through heads is one report

/**
 * Streamlit may take the element off the page and build it anew in the same run of the script;
 * the visitor's view outlives that. Keyed by the component's key, one small object each.
 *
 * @type {Map<string, Command>}
 */
const remembered = new Map();

export class HeadGrid {
  /** @param {ComponentArguments<Uint8Array>} component */
  constructor({ data: bytes, parentElement, setStateValue }) {
    this.send = setStateValue;
    /** @type {Settings} */
    this.settings = { sort: "", scale: "linear", sink: "show", palette: "safe", overlay: false };
    /** @type {Hover} */
    this.hover = { ...NOTHING };
    /** @type {Map<string, Ramp>} */
    this.ramps = new Map();
    /** @type {Set<string>} */
    this.dirty = new Set();
    this.frame = 0; // of a drawing that is asked for
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.width = 0;

    /** @type {{ header: GridHeader, start: number }} */
    const { header, start } = readHeader(bytes);
    this.data = makeData(header, readBody(bytes, start));
    this.view = adoptedView(this.data, remembered.get(this.data.key), true);
    this.upto = this.data.n; // destinations that are drawn

    this.root = el("div", { class: "hg" });
    this.player = new Player(this);
    this.controls = new Controls(this);
    this.note = el("p", { class: "hg-note", role: "note" });
    this.thumbs = new Thumbs(this);
    this.picture = new Picture(this);
    this.text = new TextStrip(this);
    this.live = el("div", { class: "hg-live", "aria-live": "polite" });
    const parts = [this.thumbs.root, this.picture.root, this.text.root];
    const main = el("div", { class: "hg-main" }, ...parts);
    this.root.append(this.controls.root, this.note, main, this.live);
    parentElement.append(this.root);
    this.theme = readTheme(this.root);
    this.resizes = this.watch();
    // A report that came after a click which leaves the page would run this page again instead.
    document.addEventListener("pointerdown", this.tell, true);
    this.showData();
  }

  /* ---- life */

  /**
   * New data, or the same again after an unrelated run of the script.
   *
   * @param {ComponentArguments<Uint8Array>} component
   */
  update({ data: bytes, setStateValue }) {
    this.send = setStateValue;
    /** @type {{ header: GridHeader, start: number }} */
    const { header, start } = readHeader(bytes);
    if (this.data.id === header.id) return;
    const mine = this.report();
    const texts = [header.labels, header.sources ?? header.labels];
    const sameText = JSON.stringify([this.data.labels, this.data.sources]) === JSON.stringify(texts);
    if (this.data.values.signed !== header.values.signed) this.ramps.clear();
    this.data = makeData(header, readBody(bytes, start));
    this.view = adoptedView(this.data, mine, sameText);
    this.hover = { ...NOTHING };
    this.showData();
    // Python knows what it asked for and lets go of what is gone, but not of places in another text:
    // any other report would be one that nobody made, and runs the page once more.
    const believed = adoptedView(this.data, mine, true);
    if (believed.tokens.length !== this.view.tokens.length) this.changed();
  }

  showData() {
    this.remember();
    this.controls.build();
    this.thumbs.build();
    this.text.build();
    this.note.textContent = this.data.note;
    this.note.hidden = !this.data.note;
    this.player.build();
    this.invalidate("layout");
    this.renderNow();
    // What the address brought with it stood in for this.
    document.getElementById("first-picture")?.remove();
  }

  watch() {
    const resizes = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry.contentRect.width);
      if (width === this.width || width === 0) return;
      this.width = width;
      this.invalidate("layout");
    });
    resizes.observe(this.root);
    // A change of theme only changes CSS variables; a transition on a colour tells of it.
    this.root.addEventListener("transitionend", (event) => {
      if (event.target !== this.root || readTheme(this.root).key === this.theme.key) return;
      this.recolour();
    });
    return resizes;
  }

  destroy() {
    this.resizes.disconnect();
    this.player.destroy();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    document.removeEventListener("pointerdown", this.tell, true);
    this.root.remove();
  }

  /* ---- what is looked at */

  shownHeads() {
    return shownHeads(this.view, this.hover);
  }

  activeTokens() {
    return activeTokens(this.view, this.hover);
  }

  /** @param {number} head */
  setFocus(head) {
    this.view.focus = head;
    this.hover.head = null;
    this.changed("picture", "marks", "text");
  }

  /**
   * @param {number} head
   * @param {boolean} adding
   */
  lockHead(head, adding) {
    const { locked } = this.view;
    this.view = afterHeadLock(this.view, head, adding, this.data.limits.locked);
    this.setFocus(this.view.focus);
    // An overlaid head may take another hue than its own, in its small picture too.
    this.thumbs.enqueue([...new Set([...locked, ...this.view.locked, head])]);
  }

  /**
   * @param {number} token
   * @param {boolean} adding
   */
  lockToken(token, adding) {
    this.view.tokens = lockedAfter(this.view.tokens, token, adding, this.data.limits.tokens);
    this.changed("bands", "text");
  }

  unlockAll() {
    const { locked } = this.view;
    this.view.locked = [];
    this.view.tokens = [];
    this.changed("picture", "marks", "text");
    this.thumbs.enqueue(locked);
  }

  /** @param {Direction} direction */
  setDirection(direction) {
    this.view = inDirection(this.data, this.view, direction);
    this.changed("bands", "text");
  }

  /**
   * What is pointed at; the mouse reports many moves within one cell, which change nothing.
   *
   * @param {Partial<Hover>} change
   */
  point(change) {
    const before = JSON.stringify(this.hover);
    Object.assign(this.hover, change);
    if (JSON.stringify(this.hover) === before) return;
    this.invalidate("text");
    this.invalidate("head" in change ? "picture" : "bands");
    if ("kind" in change) this.invalidate("marks");
  }

  /* ---- telling Python, and who listens */

  /** @returns {Command} The view, and which of Python's wishes it came after. */
  report() {
    return { ...reportOf(this.data, this.view), number: this.data.command.number };
  }

  remember() {
    remembered.set(this.data.key, this.report());
  }

  /** @param {string[]} parts What has to be drawn again. */
  changed(...parts) {
    parts.forEach((part) => this.invalidate(part));
    this.remember();
    if (!this.data.report) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(this.tell, REPORT_DELAY);
  }

  /** Python hears now of what it has not heard of yet. */
  tell = () => {
    clearTimeout(this.timer);
    if (this.timer !== undefined) this.send("view", this.report());
    this.timer = undefined;
  };

  /** @param {string} text */
  say(text) {
    this.live.textContent = text;
  }

  /* ---- drawing, at most once a frame */

  /** @param {string} part */
  invalidate(part) {
    this.dirty.add(part);
    this.frame ||= requestAnimationFrame(() => this.renderNow());
  }

  renderNow() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const { dirty } = this;
    this.dirty = new Set();
    const layout = dirty.has("layout");
    if (layout) this.layOut();
    if (layout || dirty.has("thumbs")) this.thumbs.enqueue(this.thumbs.order);
    if (layout || dirty.has("picture")) this.picture.draw();
    if (layout || dirty.has("picture") || dirty.has("bands")) this.picture.drawBands();
    if (layout || dirty.has("marks")) this.thumbs.drawMarks();
    if (layout || dirty.has("text")) {
      this.text.draw();
      this.controls.draw();
    }
    this.thumbs.drawQueued();
  }

  layOut() {
    const { height, heads } = this.data;
    this.width = Math.floor(this.root.clientWidth);
    const split = isSplit(this.width);
    this.root.classList.toggle("is-split", split);
    this.root.classList.toggle("is-single", heads.length === 1);
    this.root.style.setProperty("--hg-height", `${height}px`);
    this.thumbs.layOut(this.width);
    // A low grid leaves room for the text beside the large picture.
    const low = this.thumbs.list.offsetHeight < height - 240;
    this.root.classList.toggle("is-low", split && low);
    this.picture.layOut();
  }

  recolour() {
    this.theme = readTheme(this.root);
    this.ramps.clear();
    ["thumbs", "picture", "text"].forEach((part) => this.invalidate(part));
  }

  /* ---- colours of heads */

  /**
   * @param {number} head
   * @returns {Ramp}
   */
  rampOf(head) {
    const end = this.endColour(head);
    const key = end.join();
    const against = this.data.values.signed ? AGAINST[this.theme.dark ? "dark" : "light"] : undefined;
    const ramp =
      this.ramps.get(key) ?? makeRamp(this.theme.zero, end, this.settings.scale, against);
    this.ramps.set(key, ramp);
    return ramp;
  }

  /** @param {number} head */
  endColour(head) {
    const { dark } = this.theme;
    const { heads } = this.data;
    const { locked } = this.view;
    const place = locked.indexOf(head);
    if (this.settings.palette === "safe") return safe(place, dark);
    const hue = place < 0 ? heads[head].hue : apart(locked.map((other) => heads[other].hue))[place];
    return vivid(hue, dark);
  }
}
