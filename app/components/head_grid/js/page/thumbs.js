/**
 * The small pictures, one per head: a list whose items lie over one canvas for all of them.
 *
 * @import { HeadGrid } from "./grid.js"
 * @import { Badge } from "../words.js"
 */
import { el, imageOf, penOf } from "../../../js/elements.js";
import { placeAfter } from "../hits.js";
import {
  flowThumb, headOrder, isSplit, isTiny, sheetRatio, tableOf, tableThumb, thumbRoom,
} from "../layout.js";
import { enlarge, paint } from "../painting.js";
import { badgesOf, headsOfKind, shortNames, thumbWords } from "../words.js";

const FRAME_BUDGET = 10; // ms of drawing per frame, so that pointing stays smooth meanwhile
const FIRST_BUDGET = 150; // ms at once for new data: nothing to point at yet, and frames cost too

/** @param {MouseEvent | KeyboardEvent} event */
export const adds = (event) => event.shiftKey || event.ctrlKey || event.metaKey;

/**
 * @param {string} short
 * @param {number} kind
 */
const letterOf = (short, kind) => el("span", { class: "hg-badge", "data-kind": kind % 4 }, short);

/**
 * @param {Event} event
 * @returns {number | null} The head that an event of the list is about.
 */
function headOf({ target }) {
  const thumb = target instanceof Element ? target.closest(".hg-thumb") : null;
  return thumb instanceof HTMLElement ? Number(thumb.dataset.head) : null;
}

/**
 * @param {HTMLElement} element
 * @param {number} row
 * @param {number} column
 */
function placed(element, row, column) {
  element.style.gridArea = `${row} / ${column}`;
  return element;
}

export class Thumbs {
  /** @param {HeadGrid} grid */
  constructor(grid) {
    this.grid = grid;
    this.list = el("div", {
      class: "hg-grid",
      role: "listbox",
      "aria-multiselectable": "true",
      "aria-label": "Attention heads",
    });
    // All small pictures are on one canvas behind their elements: 144 canvases took twice as long.
    this.sheet = el("canvas", { class: "hg-sheet", "aria-hidden": "true" });
    this.pen = penOf(this.sheet);
    this.legend = el("div", { class: "hg-marks", role: "group", "aria-label": "Kinds of heads" });
    /** @type {HTMLElement[]} By kind. */
    this.words = [];
    /** @type {number | null} The kind whose word stays lit. */
    this.pressed = null;
    this.root = el("section", { class: "hg-heads" }, this.list, this.legend);
    /** @type {HTMLElement[]} By head. */
    this.items = [];
    /** @type {Badge[][]} By head. */
    this.badges = [];
    /** @type {number[]} Heads as they stand. */
    this.order = [];
    /** @type {[number, number][]} Left and top of each head. */
    this.places = [];
    /** @type {number[]} Heads that wait to be drawn. */
    this.queue = [];
    this.perRow = 1;
    this.size = 0;
    this.ratio = 1;
    this.drawn = 0;
    this.listen();
  }

  /* ---- building */

  /** The heads of new data. */
  build() {
    const { data } = this.grid;
    const names = Object.keys(data.marks);
    const short = shortNames(names);
    this.badges = badgesOf(data);
    this.items = data.heads.map((_, head) => this.buildItem(head));
    this.pressed = null;
    this.words = names.map((name, kind) => this.buildWord(name, short[kind], kind));
    this.legend.replaceChildren(...this.words);
    this.legend.hidden = names.length === 0;
    this.count(0);
  }

  /**
   * A word of the legend: pointed at or pressed, it lights up its heads.
   *
   * @param {string} name
   * @param {string} short
   * @param {number} kind
   */
  buildWord(name, short, kind) {
    const { grid } = this;
    const found = headsOfKind(this.badges, kind);
    const said = `${found.length === 1 ? "1 head" : `${found.length} heads`} above ${grid.data.marks[name]}`;
    const word = el(
      "button",
      { type: "button", class: "hg-toggle hg-word", title: said, "aria-label": `${name}: ${said}` },
      letterOf(short, kind),
      ` ${name} `,
      el("small", {}, said),
    );
    const head = found.length ? found[0] : null;
    for (const [event, lit] of /** @type {const} */ ([
      ["pointerenter", true], ["focus", true], ["pointerleave", false], ["blur", false],
    ])) {
      word.addEventListener(event, () => grid.point(lit ? { kind, head } : { kind: null, head: null }));
    }
    word.addEventListener("click", () => {
      this.pressed = this.pressed === kind ? null : kind;
      if (head !== null) grid.setFocus(head);
      grid.invalidate("marks");
    });
    return word;
  }

  /** @param {number} head */
  buildItem(head) {
    const badges = this.badges[head];
    const { spoken, tooltip } = thumbWords(this.grid.data, head, badges);
    const letters = badges.map(({ short, kind }) => letterOf(short, kind));
    return el(
      "div",
      {
        class: "hg-thumb",
        role: "option",
        tabindex: "-1",
        "data-head": head,
        "aria-label": spoken,
        title: tooltip,
      },
      ...(letters.length ? [el("span", { class: "hg-badges" }, ...letters)] : []),
    );
  }

  /* ---- layout */

  /** @param {number} width */
  layOut(width) {
    const { data, settings } = this.grid;
    const { heads, height } = data;
    const scores = settings.sort ? data.scores[settings.sort] : undefined;
    const [split, room] = [isSplit(width), thumbRoom(width)];
    this.order = headOrder(heads.length, scores);
    const table = scores ? null : tableOf(heads);
    if (table) {
      const { layers, numbers } = table;
      const free = split ? height : Math.min(height, 340);
      const { size, gap, stacks } = tableThumb(layers.length, numbers.length, room, free);
      this.list.style.setProperty("--hg-gap", `${gap}px`);
      this.layOutTable(layers, numbers, size, stacks);
    } else {
      const { size, perRow } = flowThumb(heads.length, room, split ? height : 300);
      this.layOutFlow(size, perRow, scores);
    }
    this.list.classList.toggle("is-table", table !== null);
    this.list.classList.toggle("is-tiny", isTiny(this.size));
    this.list.style.setProperty("--hg-thumb", `${this.size}px`);
    this.layOutSheet();
  }

  /**
   * @param {number[]} layers
   * @param {number[]} numbers
   * @param {number} size
   * @param {number} stacks
   */
  layOutTable(layers, numbers, size, stacks) {
    [this.size, this.perRow] = [size, numbers.length];
    const columns = `auto repeat(${this.perRow}, ${size}px)`;
    this.list.style.gridTemplateColumns = Array(stacks).fill(columns).join(" ");
    /** @param {string} text @param {number} row @param {number} column */
    const label = (text, row, column) =>
      placed(el("span", { class: "hg-mark", "aria-hidden": "true" }, text), row, column);
    const rows = Math.ceil(layers.length / stacks);
    const width = 1 + numbers.length;
    const top = layers.slice(0, stacks).flatMap((_, stack) =>
      numbers.map((head, at) => label(`H${head}`, 1, stack * width + at + 2)),
    );
    const below = layers.flatMap((layer, place) => {
      const [row, start] = [(place % rows) + 2, Math.floor(place / rows) * width + 1];
      const items = this.items.slice(place * this.perRow, (place + 1) * this.perRow);
      return [
        label(`L${layer}`, row, start),
        ...items.map((item, at) => placed(item, row, start + 1 + at)),
      ];
    });
    this.list.replaceChildren(this.sheet, ...top, ...below);
  }

  /**
   * @param {number} size
   * @param {number} perRow
   * @param {(number | null)[] | undefined} scores
   */
  layOutFlow(size, perRow, scores) {
    [this.size, this.perRow] = [size, perRow];
    this.list.style.removeProperty("--hg-gap");
    this.list.style.gridTemplateColumns = `repeat(${perRow}, ${size}px)`;
    for (const [head, item] of this.items.entries()) {
      const value = scores?.[head];
      const text = typeof value === "number" ? ` ${value.toFixed(2)}` : "";
      item.style.gridArea = "";
      item.dataset.name = this.grid.data.heads[head].label + text;
    }
    this.list.replaceChildren(this.sheet, ...this.order.map((head) => this.items[head]));
  }

  /** Fit the sheet to the pictures' elements. */
  layOutSheet() {
    this.places = this.items.map((item) => [item.offsetLeft, item.offsetTop]);
    const width = Math.max(...this.places.map(([x]) => x)) + this.size;
    const height = Math.max(...this.places.map(([, y]) => y)) + this.size;
    this.ratio = sheetRatio(height, devicePixelRatio);
    this.sheet.width = Math.ceil(width * this.ratio);
    this.sheet.height = Math.ceil(height * this.ratio);
    this.sheet.style.width = `${this.sheet.width / this.ratio}px`;
    this.sheet.style.height = `${this.sheet.height / this.ratio}px`;
  }

  /* ---- drawing */

  /** @param {number[]} heads */
  enqueue(heads) {
    this.queue = [...new Set([...heads, ...this.queue])];
    this.grid.invalidate("queue");
  }

  /** As many of the waiting heads as one frame may take. */
  drawQueued() {
    const isNew = this.drawn < this.items.length;
    const end = performance.now() + (isNew ? FIRST_BUDGET : FRAME_BUDGET);
    while (this.queue.length && performance.now() < end) {
      const head = this.queue.shift();
      if (head !== undefined) this.drawItem(head);
    }
    if (this.queue.length) this.grid.invalidate("queue");
  }

  /** @param {number} head */
  drawItem(head) {
    const { data, settings, theme } = this.grid;
    const size = Math.round(this.size * this.ratio);
    if (!size) return; // out of sight; drawn once it has room
    const ramp = this.grid.rampOf(head);
    const { upto } = this.grid;
    const raster = paint(data, [head], size, settings.sink, [ramp], theme, upto);
    const [x, y] = this.places[head];
    const image = imageOf(enlarge(raster, size).pixels, size);
    this.pen.putImageData(image, x * this.ratio, y * this.ratio);
    const item = this.items[head];
    item.style.setProperty("--hg-hue", ramp.full);
    if (!item.dataset.drawn) this.count(this.drawn + 1);
    item.dataset.drawn = "1";
  }

  /** @param {number} drawn How many heads of this data have been drawn. */
  count(drawn) {
    this.drawn = drawn;
    this.grid.root.dataset.drawn = String(drawn);
  }

  /** Which heads are locked, which one is large, and which a word of the legend is about. */
  drawMarks() {
    const { focus, locked } = this.grid.view;
    const kind = this.grid.hover.kind ?? this.pressed;
    this.words.forEach((word, at) => {
      word.setAttribute("aria-pressed", String(at === this.pressed));
    });
    this.items.forEach((item, head) => {
      const lit = kind !== null && this.badges[head].some((badge) => badge.kind === kind);
      item.classList.toggle("is-lit", lit);
      item.classList.toggle("is-dim", kind !== null && !lit);
      item.classList.toggle("is-focus", head === focus);
      item.setAttribute("aria-selected", String(locked.includes(head)));
      item.tabIndex = head === focus ? 0 : -1;
    });
  }

  /* ---- mouse and keys */

  listen() {
    const { grid, list } = this;
    list.addEventListener("pointerover", (event) => {
      const head = headOf(event);
      // A finger does not hover: its tap locks. Gaps between pictures would only make it flicker.
      if (event.pointerType !== "touch" && head !== null) grid.point({ head });
    });
    list.addEventListener("pointerleave", () => grid.point({ head: null }));
    list.addEventListener("click", (event) => {
      const head = headOf(event);
      if (head === null) return;
      grid.lockHead(head, adds(event) || grid.settings.overlay);
      this.items[head].focus({ preventScroll: true });
    });
    list.addEventListener("keydown", (event) => this.press(event));
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const { grid } = this;
    const place = this.order.indexOf(grid.view.focus);
    const next = placeAfter(event.key, place, this.order.length, this.perRow);
    if (event.key === "Enter" || event.key === " ") {
      grid.lockHead(grid.view.focus, adds(event) || grid.settings.overlay);
    } else if (event.key === "Escape") grid.unlockAll();
    else if (next === undefined) return;
    event.preventDefault();
    if (next === undefined || next === place) return;
    grid.setFocus(this.order[next]);
    this.items[grid.view.focus].focus();
  }
}
