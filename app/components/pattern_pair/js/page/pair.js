/**
 * Two attention patterns and their difference, with one pointer for all.
 *
 * @import { ComponentArguments } from "../../../js/mount.js"
 * @import { PairHeader, PointedCell } from "../pair_data.js"
 */
import { el } from "../../../js/elements.js";
import { readBody, readHeader } from "../../../js/payload.js";
import { readTheme } from "../../../head_grid/js/page/theme.js";
import { makePair, mapsOf } from "../pair_data.js";
import { paneLayout } from "../pair_layout.js";
import { cellParts, hint } from "../pair_words.js";
import { MapPane } from "./pane.js";

export class PatternPair {
  /** @param {ComponentArguments<Uint8Array>} component */
  constructor({ data, parentElement }) {
    this.panes = el("div", { class: "pp-panes" });
    this.readout = el("p", { class: "pp-readout" });
    this.live = el("div", { class: "pp-live", "aria-live": "polite" });
    this.root = el("div", { class: "pp" }, this.panes, this.readout, this.live);
    parentElement.append(this.root);
    this.width = 0;
    /** @type {PointedCell | null} */
    this.cell = null;
    /** @type {{ header: PairHeader, start: number }} */
    const { header, start } = readHeader(data);
    this.header = header;
    this.pair = makePair(header, readBody(data, start));
    /** @type {MapPane[]} */
    this.maps = [];
    this.dark = this.isDark();
    this.build();
    // A change of theme only changes CSS variables; a transition on a colour tells of it.
    this.root.addEventListener("transitionend", (event) => {
      if (event.target !== this.root || this.isDark() === this.dark) return;
      this.dark = !this.dark;
      this.build();
    });
    this.resizes = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry.contentRect.width);
      if (width && width !== this.width) this.layOut(width);
    });
    this.resizes.observe(this.root);
  }

  /** @param {ComponentArguments<Uint8Array>} component */
  update({ data }) {
    /** @type {{ header: PairHeader, start: number }} */
    const { header, start } = readHeader(data);
    if (this.header.id === header.id) return;
    this.header = header;
    this.pair = makePair(header, readBody(data, start));
    this.build();
  }

  /** Whether its colours are those for a dark ground. */
  isDark() {
    return this.header.on_dark !== null && readTheme(this.root).dark;
  }

  build() {
    const { header } = this;
    const colours = (this.dark && header.on_dark) || header.colours;
    this.maps = mapsOf(header, colours, this.pair).map((map) => new MapPane(map));
    this.panes.replaceChildren(...this.maps.map((pane) => pane.root));
    for (const pane of this.maps) {
      pane.listen(
        (cell) => this.point(cell),
        () => this.cell,
        () => this.say(),
      );
    }
    this.root.style.setProperty("--pp-accent", colours.accent);
    this.root.dataset.panes = String(this.maps.length);
    this.cell = null;
    this.layOut(Math.floor(this.root.clientWidth) || 900);
    this.point(null);
  }

  /** @param {number} width */
  layOut(width) {
    this.width = width;
    const longest = Math.max(...this.maps.map(({ map }) => map.n));
    const layout = paneLayout(width, this.maps.length, longest, this.maps[0].scale());
    this.panes.style.gridTemplateColumns = `repeat(${layout.columns}, minmax(0, 1fr))`;
    for (const pane of this.maps) pane.layOut(layout);
    this.mark();
  }

  /**
   * Mark a cell in every pane that has it; null, or a cell ahead of its row, marks none.
   *
   * @param {PointedCell | null} cell
   */
  point(cell) {
    this.cell = cell && cell.src <= cell.dest ? cell : null;
    this.root.dataset.cell = this.cell ? `${this.cell.dest},${this.cell.src}` : "";
    this.mark();
    const parts = this.cell ? cellParts(this.pair, this.cell) : null;
    this.readout.replaceChildren(
      ...(parts
        ? parts.map(([name, text]) => el("span", {}, `${name} `, el("b", {}, text), " "))
        : [hint(this.pair)]),
    );
  }

  mark() {
    const { cell, pair } = this;
    for (const pane of this.maps) pane.mark(pair.same || cell?.key === pane.map.key ? cell : null);
  }

  say() {
    this.live.textContent = this.readout.textContent;
  }

  destroy() {
    this.resizes.disconnect();
    this.root.remove();
  }
}
