/**
 * The fields and buttons above the grid.
 *
 * @import { HeadGrid } from "./grid.js"
 * @import { Settings } from "../view.js"
 */
import { el } from "../../../js/elements.js";

/**
 * A field with a choice.
 *
 * @param {string} label
 * @param {[string, string][]} options Value and text of each.
 * @param {(value: any) => void} onChange
 */
function field(label, options, onChange) {
  const box = el("select", {}, ...options.map(([value, text]) => el("option", { value }, text)));
  box.addEventListener("change", () => onChange(box.value));
  return { box, root: el("label", { class: "hg-field" }, el("span", {}, label), box) };
}

/**
 * A button that stays pressed or does something at once.
 *
 * @param {string} text
 * @param {string} title
 * @param {() => void} onClick
 */
export function toggle(text, title, onClick) {
  const button = el("button", { type: "button", class: "hg-toggle", title }, text);
  button.addEventListener("click", onClick);
  return button;
}

export class Controls {
  /** @param {HeadGrid} grid */
  constructor(grid) {
    this.grid = grid;
    this.sorts = field("Sort", [], (sort) => this.set({ sort }, "layout"));
    const scale = field(
      "Scale",
      [["linear", "linear"], ["sqrt", "square root"]],
      (value) => this.recolour({ scale: value }),
    );
    this.sink = field(
      "First token",
      [["show", "shown"], ["hide", "hidden"], ["discount", "discounted"]],
      (value) => this.set({ sink: value }, "thumbs", "picture", "text"),
    );
    const palette = field(
      "Colours",
      [["safe", "one colour"], ["hue", "a hue per head"]],
      (value) => this.recolour({ palette: value }),
    );
    const overlay = toggle("Overlay", "Clicking adds heads instead of replacing them", () => {
      this.set({ overlay: !grid.settings.overlay });
      overlay.setAttribute("aria-pressed", String(grid.settings.overlay));
    });
    overlay.setAttribute("aria-pressed", "false");
    this.clear = toggle("Unlock all", "Let go of every locked head and token (Escape)", () =>
      grid.unlockAll(),
    );
    this.fields = el(
      "div",
      { class: "hg-fields" },
      this.sorts.root,
      scale.root,
      this.sink.root,
      palette.root,
    );
    this.buttons = el("span", { class: "hg-buttons" }, overlay, this.clear);
    this.root = el(
      "div",
      { class: "hg-bar" },
      this.fields,
      grid.player.button,
      this.buttons,
    );
  }

  /**
   * @param {Partial<Settings>} change
   * @param {string[]} parts What has to be drawn again.
   */
  set(change, ...parts) {
    Object.assign(this.grid.settings, change);
    parts.forEach((part) => this.grid.invalidate(part));
  }

  /** @param {Partial<Settings>} change */
  recolour(change) {
    this.set(change);
    this.grid.recolour();
  }

  /** The scores of new data. */
  build() {
    const { data, settings } = this.grid;
    const names = Object.keys(data.scores);
    if (!names.includes(settings.sort)) settings.sort = "";
    this.sorts.box.replaceChildren(
      el("option", { value: "" }, "by position"),
      ...names.map((value) => el("option", { value }, `by ${value}`)),
    );
    this.sorts.box.value = settings.sort;
    this.sorts.root.hidden = names.length === 0;
    // Only what is a share of 1 can be shared out anew.
    const discounts = this.sink.box.options[2];
    discounts.hidden = discounts.disabled = !data.plain;
    if (!data.plain && settings.sink === "discount") settings.sink = "show";
    this.sink.box.value = settings.sink;
    // Who plays a text looks for the first time: settings would only be in the way.
    this.fields.hidden = this.buttons.hidden = data.player !== "none";
  }

  draw() {
    const { locked, tokens } = this.grid.view;
    this.clear.disabled = !locked.length && !tokens.length;
  }
}
