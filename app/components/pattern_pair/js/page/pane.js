/**
 * One map on the page: heading, picture, axes, scale, and the marks of the pointer.
 *
 * @import { Cell } from "../../../js/cells.js"
 * @import { PatternMap, PointedCell } from "../pair_data.js"
 */
import { arrowStep, cellBeside } from "../../../js/cells.js";
import { el, fitTo, imageOf, penOf } from "../../../js/elements.js";
import { paintMap } from "../pair_colours.js";
import { labelStep, marksOf, tokenAt } from "../pair_layout.js";
import { cut } from "../pair_words.js";

const USUAL_TYPE = 11; // px

export class MapPane {
  /** @param {PatternMap} map */
  constructor(map) {
    this.map = map;
    this.size = 0;
    this.canvas = el("canvas", { class: "pp-canvas", "aria-hidden": "true" });
    this.frame = el("div", { class: "pp-mark", hidden: "" });
    this.row = el("div", { class: "pp-line", hidden: "" });
    this.column = el("div", { class: "pp-line", hidden: "" });
    this.rows = el("div", { class: "pp-rows", "aria-hidden": "true" });
    this.columns = el("div", { class: "pp-columns", "aria-hidden": "true" });
    this.picture = el(
      "div",
      {
        class: "pp-picture",
        role: "img",
        tabindex: "0",
        "data-pane": map.key,
        "aria-label":
          `${map.name}: ${map.title}, ${map.n} tokens. ` +
          "Rows are destinations, columns sources; arrow keys move the pointer.",
      },
      this.canvas,
      this.row,
      this.column,
      this.frame,
    );
    const bar = el("span", { class: "pp-bar" });
    bar.style.background = `linear-gradient(90deg, ${map.scale.join(", ")})`;
    const [low, high] = map.ends;
    this.root = el(
      "figure",
      {},
      el("p", { class: "pp-title" }, el("b", {}, map.name), ` ${map.title}`),
      el("p", { class: "pp-note" }, map.note),
      el("div", { class: "pp-frame" }, this.rows, this.picture, this.columns),
      el("p", { class: "pp-legend" }, low, bar, high),
    );
  }

  /** How much larger the type of the axes is than usual, as in presenter mode. */
  scale() {
    return parseFloat(getComputedStyle(this.rows).fontSize) / USUAL_TYPE;
  }

  /** @param {ReturnType<typeof import("../pair_layout.js").paneLayout>} layout */
  layOut({ size, side, foot, named, scale }) {
    this.size = size;
    this.root.style.width = `${side + size}px`;
    this.picture.style.width = this.picture.style.height = `${size}px`;
    const ratio = Math.max(1, Math.min(2, window.devicePixelRatio || 1));
    const pixels = Math.round(size * ratio);
    this.canvas.width = this.canvas.height = pixels;
    // Out of sight it has no room, and is drawn once it has.
    if (pixels) penOf(this.canvas).putImageData(imageOf(paintMap(this.map, pixels), pixels), 0, 0);
    this.rows.style.width = `${side}px`;
    this.rows.style.height = `${size}px`;
    this.columns.classList.toggle("pp-numbers", !named);
    this.columns.style.height = `${foot}px`;
    this.rows.replaceChildren(...this.ticks(named, "top", 0, scale));
    this.columns.replaceChildren(...this.ticks(named, "left", side, scale));
  }

  /**
   * @param {boolean} named
   * @param {"top" | "left"} edge
   * @param {number} start
   * @param {number} scale
   */
  ticks(named, edge, start, scale) {
    const { labels, n } = this.map;
    const pitch = this.size / n;
    const ticks = [];
    for (let i = 0; i < n; i += labelStep(pitch, named, scale)) {
      const tick = el("span", {}, named ? cut(labels[i]) : String(i));
      tick.style[edge] = `${start + (i + 0.5) * pitch}px`;
      ticks.push(tick);
    }
    return ticks;
  }

  /** @param {Cell | null} cell Null hides the marks. */
  mark(cell) {
    for (const part of [this.frame, this.row, this.column]) part.hidden = !cell;
    if (!cell) return;
    const { frame, row, column } = marksOf(cell.dest, cell.src, this.size, this.map.n);
    fitTo(this.frame, frame);
    fitTo(this.row, row);
    fitTo(this.column, column);
    this.frame.dataset.cell = `${cell.dest},${cell.src}`;
  }

  /**
   * @param {PointerEvent} event
   * @returns {PointedCell}
   */
  cellUnder(event) {
    const { key, n } = this.map;
    const box = this.picture.getBoundingClientRect();
    return {
      key,
      dest: tokenAt(event.clientY - box.top, box.height, n),
      src: tokenAt(event.clientX - box.left, box.width, n),
    };
  }

  /**
   * @param {(cell: PointedCell | null) => void} point Told of what is pointed at.
   * @param {() => Cell | null} current What is pointed at now.
   * @param {() => void} say Reads out what is pointed at.
   */
  listen(point, current, say) {
    const { picture } = this;
    const { key, n } = this.map;
    picture.addEventListener("pointermove", (event) => point(this.cellUnder(event)));
    picture.addEventListener("pointerdown", (event) => point(this.cellUnder(event)));
    picture.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch") point(null);
    });
    picture.addEventListener("blur", () => point(null));
    picture.addEventListener("keydown", (event) => {
      const step = arrowStep(event.key);
      if (!step) return;
      event.preventDefault();
      point({ key, ...cellBeside(current() ?? { dest: n - 1, src: 0 }, step, n) });
      say();
    });
  }
}
