/**
 * The large picture with its axes, and what is read off it.
 *
 * @import { Cell } from "../../../js/cells.js"
 * @import { Box } from "../layout.js"
 * @import { HeadGrid } from "./grid.js"
 */
import { arrowStep, cellBeside } from "../../../js/cells.js";
import { el, fitTo, imageOf, penOf } from "../../../js/elements.js";
import { lastSource } from "../grid_data.js";
import { cellAt } from "../hits.js";
import { cellFrame, columnBand, pictureSize, rowBand, tickStep } from "../layout.js";
import { paint } from "../painting.js";
import { rampStops } from "../ramps.js";
import { cellSentence, valueText } from "../words.js";
import { widestText } from "./theme.js";
import { adds } from "./thumbs.js";

/**
 * @param {HTMLElement} element
 * @param {Box | null} box Null hides it.
 */
function show(element, box) {
  element.hidden = !box;
  if (box) fitTo(element, box);
}

export class Picture {
  /** @param {HeadGrid} grid */
  constructor(grid) {
    this.grid = grid;
    this.title = el("div", { class: "hg-title" });
    this.scale = el("div", { class: "hg-scale" });
    this.canvas = el("canvas", { class: "hg-picture", tabindex: "0", role: "application" });
    this.bands = { dest: el("i", { class: "hg-band" }), src: el("i", { class: "hg-band" }) };
    this.cell = el("i", { class: "hg-cell" });
    this.rows = el("div", { class: "hg-axis hg-rows", "aria-hidden": "true" });
    this.columns = el("div", { class: "hg-axis hg-columns", "aria-hidden": "true" });
    this.readout = el("div", { class: "hg-readout" });
    this.stage = el(
      "div",
      { class: "hg-stage" },
      this.canvas,
      this.bands.dest,
      this.bands.src,
      this.cell,
      this.rows,
      this.columns,
      this.readout,
    );
    const header = el("figcaption", { class: "hg-caption" }, this.title, this.scale);
    this.root = el("figure", { class: "hg-figure" }, header, this.stage);
    this.side = 0; // on the page
    this.size = 0; // in pixels of its own, at most
    this.listen();
  }

  /* ---- layout */

  layOut() {
    const { n, m, labels, sources, height } = this.grid.data;
    const shown = [...labels, ...sources].map((label) => label.slice(0, 40));
    // The font may still be loading, and the one in its place is narrower.
    const longest = 1.1 * widestText(shown, this.rows) + 10;
    const type = parseFloat(getComputedStyle(this.rows).fontSize);
    const width = this.root.clientWidth;
    const place = pictureSize(Math.max(n, m), width, height, longest, devicePixelRatio, type);
    this.side = place.side;
    this.size = place.size;
    this.stage.style.setProperty("--hg-side", `${place.side}px`);
    this.stage.style.setProperty("--hg-gutter", `${place.gutter}px`);
    this.stage.classList.toggle("is-named", place.named);
    this.stage.classList.toggle("is-bidirectional", this.grid.data.bidirectional);
    for (const [axis, texts] of /** @type {const} */ ([[this.rows, labels], [this.columns, sources]])) {
      const pitch = place.side / texts.length;
      const step = place.named ? 1 : tickStep(pitch, 3 * type);
      axis.replaceChildren(...this.ticks(texts, step, pitch, place.named));
    }
  }

  /**
   * @param {string[]} texts
   * @param {number} step
   * @param {number} pitch
   * @param {boolean} named
   */
  ticks(texts, step, pitch, named) {
    return texts.flatMap((label, position) => {
      if (position % step) return [];
      const text = named ? label : String(position);
      const tick = el("span", { "data-position": position }, text);
      tick.style.setProperty("--hg-at", `${(position + 0.5) * pitch}px`);
      return [tick];
    });
  }

  /* ---- drawing */

  draw() {
    const { data, settings, theme, upto } = this.grid;
    const heads = this.grid.shownHeads();
    const ramps = heads.map((head) => this.grid.rampOf(head));
    if (!this.size) return; // out of sight; drawn once it has room
    const { pixels, ...raster } = paint(data, heads, this.size, settings.sink, ramps, theme, upto);
    if (this.canvas.width !== raster.width) this.canvas.width = raster.width;
    if (this.canvas.height !== raster.height) this.canvas.height = raster.height;
    penOf(this.canvas).putImageData(imageOf(pixels, raster.width), 0, 0);
    const names = heads.map((head) => data.heads[head].label);
    this.grid.root.dataset.shown = names.join(" ");
    this.canvas.setAttribute(
      "aria-label",
      `${data.values.name} of ${names.join(" and ")}; arrow keys move from cell to cell`,
    );
    this.title.replaceChildren(...heads.map((head) => this.headName(head, heads.length === 1)));
    this.drawScale(heads);
  }

  /**
   * @param {number} head
   * @param {boolean} alone
   */
  headName(head, alone) {
    const dot = el("i", { class: "hg-dot" });
    dot.style.background = this.grid.rampOf(head).full;
    return el(
      "span",
      { class: "hg-head" },
      dot,
      el("b", {}, this.grid.data.heads[head].label),
      ...(alone ? this.grid.thumbs.badges[head] : []).map(({ name, score, kind }) =>
        el(
          "span",
          { class: "hg-badge is-long", "data-kind": kind % 4 },
          `${name} ${score.toFixed(2)}`,
        ),
      ),
    );
  }

  /**
   * The colour scale; overlaid heads have one each, so their names carry their colours instead.
   *
   * @param {number[]} heads
   */
  drawScale(heads) {
    this.scale.hidden = heads.length > 1;
    const bar = el("i", { class: "hg-ramp" });
    const stops = rampStops(this.grid.rampOf(heads[0]));
    bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    const { name, unit, top, signed } = this.grid.data.values;
    const digits = this.grid.data.plain ? 0 : 2;
    const end = top.toFixed(digits);
    const ends = signed ? [`\u2212${end}`, `+${end} ${unit}`] : ["0", end];
    if (!this.grid.data.plain && !signed) ends[1] += ` ${unit}`;
    this.scale.replaceChildren(ends[0], bar, ends[1]);
    this.scale.title = name;
  }

  /** Row, column and cell that are pointed at or locked, on the picture and beside it. */
  drawBands() {
    const { cell } = this.grid.hover;
    const { direction } = this.grid.view;
    const active = this.grid.activeTokens();
    const single = active.length === 1 ? active[0] : null;
    const dest = cell ? cell.dest : direction === "dest" ? single : null;
    const src = cell ? cell.src : direction === "src" ? single : null;
    const { data } = this.grid;
    const pitch = this.side / data.n;
    const across = this.side / data.m;
    const first = data.bidirectional ? 0 : src;
    show(this.bands.dest, dest === null ? null : rowBand(dest, pitch, lastSource(data, dest), across));
    show(
      this.bands.src,
      // Of a causal pattern as high as wide, so that one pitch says both.
      src === null || first === null ? null : columnBand(src, across, this.side, first),
    );
    show(this.cell, cell && cellFrame(cell.dest, cell.src, pitch, across));
    this.markTick(this.rows, dest);
    this.markTick(this.columns, src);
    this.drawReadout();
  }

  /**
   * @param {HTMLElement} axis
   * @param {number | null} position
   */
  markTick(axis, position) {
    axis.querySelector(".is-on")?.classList.remove("is-on");
    if (position === null) return;
    axis.querySelector(`[data-position="${position}"]`)?.classList.add("is-on");
  }

  drawReadout() {
    const { data, hover, settings } = this.grid;
    const { cell } = hover;
    if (!cell) {
      this.readout.replaceChildren(
        el("p", { class: "hg-hint" }, "row: a token that attends (destination)"),
        el("p", { class: "hg-hint" }, "column: a token attended to (source)"),
      );
      return;
    }
    this.readout.replaceChildren(
      el("p", {}, el("span", {}, `dest ${cell.dest}`), el("b", {}, data.labels[cell.dest])),
      el("p", {}, el("span", {}, `src ${cell.src}`), el("b", {}, data.sources[cell.src])),
      ...this.grid.shownHeads().map((head) => {
        const name = el("span", {}, data.heads[head].label);
        name.style.color = this.grid.rampOf(head).full;
        const value = valueText(data, head, cell, settings.sink);
        return el("p", { class: "hg-value" }, name, el("b", {}, value));
      }),
    );
  }

  /* ---- mouse and keys */

  listen() {
    const { canvas, grid } = this;
    for (const kind of /** @type {const} */ (["pointermove", "pointerdown"])) {
      canvas.addEventListener(kind, (event) => grid.point({ cell: this.cellUnder(event) }));
    }
    canvas.addEventListener("pointerleave", (event) => {
      // A finger leaves with every tap; what it pointed at stays to be read.
      if (event.pointerType !== "touch") grid.point({ cell: null });
    });
    canvas.addEventListener("blur", () => grid.point({ cell: null }));
    canvas.addEventListener("click", (event) => {
      const cell = this.cellUnder(event);
      if (cell) grid.lockToken(cell[grid.view.direction], adds(event));
    });
    canvas.addEventListener("keydown", (event) => this.press(event));
  }

  /**
   * @param {MouseEvent} event
   * @returns {Cell | null}
   */
  cellUnder({ offsetX, offsetY }) {
    return cellAt(this.grid.data, this.grid.shownHeads()[0], this, offsetX, offsetY);
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const { grid } = this;
    const { n, m, bidirectional } = grid.data;
    const cell = grid.hover.cell ?? { dest: n - 1, src: m - 1 };
    if (event.key === "Escape") return grid.unlockAll();
    if (event.key === "Enter") return grid.lockToken(cell[grid.view.direction], adds(event));
    const step = arrowStep(event.key);
    if (!step) return;
    event.preventDefault();
    const next = cellBeside(cell, step, n, bidirectional, m);
    grid.point({ cell: next });
    grid.say(cellSentence(grid.data, grid.shownHeads(), next, grid.settings.sink));
  }
}
