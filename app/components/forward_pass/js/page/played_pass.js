/**
 * A forward pass, layer by layer: arcs over the text, guesses beside it, heads that are switched.
 *
 * Layer, threshold and play are answered here, and Python hears of them once they have come to rest;
 * a head that is switched and a token that is asked about go to Python, and what comes back is drawn
 * at the layer that is shown.
 *
 * @import { ComponentArguments } from "../../../js/mount.js"
 * @import { Command, PassHeader } from "../pass_data.js"
 */
import { el } from "../../../js/elements.js";
import { readBody, readHeader } from "../../../js/payload.js";
import { toggle } from "../../../head_grid/js/page/controls.js";
import { readTheme } from "../../../head_grid/js/page/theme.js";
import { adoptedView, arcsOfLayers, depthName, drawnArcs } from "../pass_data.js";
import { Arcs, headColour } from "./arcs.js";
import { Guesses } from "./guesses.js";

const STEP = 600; // ms for a layer
const REPORT_DELAY = 250; // ms of calm before Python hears: a slider that is drawn along is one report

/**
 * Streamlit may take the element off the page and build it anew in the same run of the script; the
 * visitor's view outlives that. Keyed by the component's key, one small object each.
 *
 * @type {Map<string, Command>}
 */
const remembered = new Map();

/**
 * A slider with its name, by keyboard as well.
 *
 * @param {string} name
 * @param {{ min: number, max: number, step: number }} range
 * @param {(value: number) => void} moved
 */
function slider(name, range, moved) {
  const input = el("input", { type: "range", "aria-label": name, ...range });
  input.addEventListener("input", () => moved(input.valueAsNumber));
  const value = el("output", {});
  return { input, value, root: el("label", { class: "hg-field" }, el("span", {}, name, " ", value), input) };
}

export class PlayedPass {
  /** @param {ComponentArguments<Uint8Array>} component */
  constructor({ data, parentElement, setStateValue, setTriggerValue }) {
    this.send = setStateValue;
    this.trigger = setTriggerValue;
    this.view = { depth: 0, least: 0, toFirst: false };
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined; // of the next layer, while it plays
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.calm = undefined; // until Python hears
    this.button = toggle("Play", "Layer by layer", () => (this.timer ? this.stop() : this.play()));
    this.layers = slider("Layer", { min: 0, max: 1, step: 1 }, (depth) => {
      this.stop();
      this.look({ depth });
    });
    this.threshold = slider("Arcs from", { min: 0.1, max: 1, step: 0.05 }, (least) => {
      this.look({ least });
    });
    this.toFirst = el("input", { type: "checkbox" });
    this.toFirst.addEventListener("change", () => this.look({ toFirst: this.toFirst.checked }));
    this.arcs = new Arcs((position) => this.trigger("asked", position));
    this.guesses = new Guesses();
    this.heads = el("div", { class: "fp-heads", role: "group", "aria-label": "Heads" });
    this.title = el("p", { class: "fp-title" });
    this.note = el("p", { class: "fp-note" });
    this.live = el("div", { class: "hg-live", "aria-live": "polite" });
    this.root = el(
      "div",
      { class: "hg fp" },
      el(
        "div",
        { class: "hg-bar" },
        this.button,
        this.layers.root,
        this.threshold.root,
        el("label", { class: "fp-check" }, this.toFirst, "to the first token too"),
      ),
      this.arcs.root,
      this.note,
      el(
        "div",
        { class: "fp-sides" },
        el("section", {}, this.title, this.guesses.root),
        el("section", {}, el("p", { class: "fp-title" }, "Heads of this layer"), this.heads),
      ),
      this.live,
    );
    parentElement.append(this.root);
    this.build(data);
    // A report that came after a click which leaves the page would run this page again instead.
    document.addEventListener("pointerdown", this.tell, true);
    this.watch = new ResizeObserver(() => this.fit());
    this.watch.observe(this.root);
    // A change of theme only changes CSS variables; a transition on a colour tells of it.
    this.root.addEventListener("transitionend", (event) => {
      if (event.target === this.root) this.draw();
    });
  }

  /** @param {ComponentArguments<Uint8Array>} component */
  update({ data, setStateValue, setTriggerValue }) {
    this.send = setStateValue;
    this.trigger = setTriggerValue;
    this.root.classList.remove("fp-waits");
    this.build(data);
  }

  destroy() {
    clearTimeout(this.timer);
    clearTimeout(this.calm);
    document.removeEventListener("pointerdown", this.tell, true);
    this.watch.disconnect();
    this.root.remove();
  }

  /** @param {Uint8Array} bytes */
  build(bytes) {
    /** @type {{ header: PassHeader, start: number }} */
    const { header, start } = readHeader(bytes);
    if (this.header?.id === header.id) {
      this.draw(); // what was pressed may have been refused
      return;
    }
    this.header = header;
    this.byLayer = arcsOfLayers(header, readBody(bytes, start));
    this.view = adoptedView(header, remembered.get(header.key));
    this.remember(header);
    this.layers.input.max = String(header.guesses.length - 1);
    this.fit();
  }

  /** Draw all of it anew, in the room that there is. */
  fit() {
    if (!this.header || this.room === this.root.clientWidth + this.header.id) return;
    this.room = this.root.clientWidth + this.header.id;
    this.arcs.build(this.header);
    this.draw();
  }

  play() {
    const last = (this.header?.guesses.length ?? 1) - 1;
    this.timer = setTimeout(() => this.step(last), STEP);
    this.name();
    if (this.view.depth >= last) this.look({ depth: 0 });
  }

  /** @param {number} last */
  step(last) {
    const { depth } = this.view;
    if (depth + 1 < last) this.timer = setTimeout(() => this.step(last), STEP);
    else this.timer = undefined;
    this.name();
    this.look({ depth: Math.min(depth + 1, last) });
  }

  stop() {
    if (!this.timer) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.name();
    this.look({});
  }

  name() {
    this.button.textContent = this.timer ? "Pause" : "Play";
  }

  /* ---- what is looked at, and telling Python */

  /**
   * Show something else; Python hears of it when that has rested for a moment.
   *
   * @param {Partial<typeof this.view>} change
   */
  look(change) {
    Object.assign(this.view, change);
    if (this.header) this.remember(this.header);
    this.draw();
    clearTimeout(this.calm);
    this.calm = this.timer ? undefined : setTimeout(this.tell, REPORT_DELAY);
  }

  /** @param {PassHeader} header */
  remember({ key, command, guesses }) {
    const { depth } = this.view;
    const last = guesses.length - 1;
    // The end is the end in a model of other depth, too.
    remembered.set(key, { ...this.view, depth: depth === last ? null : depth, number: command.number });
  }

  /** Python hears now of what it has not heard of yet. */
  tell = () => {
    clearTimeout(this.calm);
    if (this.calm !== undefined && this.header) this.send("view", remembered.get(this.header.key));
    this.calm = undefined;
  };

  draw() {
    const { header, byLayer, view } = this;
    if (!header || !byLayer) return;
    const { depth, least } = view;
    const layer = depth - 1;
    const { drawn, resting } = drawnArcs(byLayer[layer] ?? [], view);
    const { dark } = readTheme(this.root);
    this.root.dataset.depth = String(depth);
    this.layers.input.value = String(depth);
    this.layers.value.textContent = depth ? String(layer) : "embedding";
    this.layers.input.setAttribute("aria-valuetext", depthName(depth));
    this.threshold.input.value = String(least);
    this.threshold.value.textContent = least.toFixed(2);
    this.toFirst.checked = view.toFirst;
    this.arcs.draw(drawn, layer, dark);
    this.note.textContent = depth
      ? `${drawn.length} arcs from attention of ${least.toFixed(2)}` +
        (resting ? `; ${resting} to the first token are not drawn.` : ".")
      : "Before the first layer no head has read anything.";
    const asked = `${header.position} “${header.labels[header.position]}”`;
    this.title.textContent = `${depthName(depth)}: what comes after ${asked}`;
    this.guesses.draw(header.guesses[depth]);
    this.drawHeads(layer, dark);
    if (!this.timer) this.live.textContent = `${depthName(depth)}: ${header.guesses[depth][0].text}`;
  }

  /**
   * A button for each head of the layer, and for those of others that are switched off.
   *
   * @param {number} layer
   * @param {boolean} dark
   */
  drawHeads(layer, dark) {
    const { header, byLayer } = this;
    if (!header || !byLayer) return;
    const counts = new Array(header.heads).fill(0);
    for (const arc of drawnArcs(byLayer[layer] ?? [], this.view).drawn) counts[arc.head]++;
    const own = layer < 0 ? [] : counts.map((_, head) => `L${layer}H${head}`);
    const others = header.off.filter((label) => !own.includes(label));
    const focused = this.headWhere(":focus")?.dataset.head;
    this.heads.replaceChildren(
      ...[...own, ...others].map((label, at) => this.headButton(label, at < own.length ? counts[at] : null, dark)),
    );
    // A head that has just been switched keeps the keyboard.
    if (focused) this.headWhere(`[data-head="${CSS.escape(focused)}"]`)?.focus();
  }

  /**
   * @param {string} selector
   * @returns {HTMLElement | null}
   */
  headWhere(selector) {
    return this.heads.querySelector(selector);
  }

  /**
   * @param {string} label
   * @param {number | null} count Of its arcs, in the layer that is shown.
   * @param {boolean} dark
   */
  headButton(label, count, dark) {
    const off = this.header?.off.includes(label) ?? false;
    const button = toggle(
      off ? `${label} off` : `${label} · ${count}`,
      off ? "Switch it on again" : "Switch it off: its output becomes zero",
      () => {
        // At once; the numbers follow when the model has run.
        button.setAttribute("aria-pressed", String(!off));
        this.root.classList.add("fp-waits");
        this.trigger("pressed", label);
      },
    );
    button.dataset.head = label;
    button.setAttribute("aria-pressed", String(off));
    if (!off) button.style.borderBottom = `3px solid ${headColour(Number(label.split("H")[1]), dark)}`;
    return button;
  }
}
