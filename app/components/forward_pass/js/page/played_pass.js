/**
 * A forward pass, layer by layer: arcs over the text, guesses beside it, heads that are switched.
 *
 * Layer, threshold and play stay in the browser; a head that is switched and a token that is asked
 * about go to Python, and what comes back is drawn at the layer that is shown.
 *
 * @import { ComponentArguments } from "../../../js/mount.js"
 * @import { PassHeader } from "../pass_data.js"
 */
import { el } from "../../../js/elements.js";
import { readBody, readHeader } from "../../../js/payload.js";
import { toggle } from "../../../head_grid/js/page/controls.js";
import { readTheme } from "../../../head_grid/js/page/theme.js";
import { arcsOfLayers, depthName, drawnArcs } from "../pass_data.js";
import { Arcs, headColour } from "./arcs.js";
import { Guesses } from "./guesses.js";

const STEP = 600; // ms for a layer

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
  constructor({ data, parentElement, setTriggerValue }) {
    this.tell = setTriggerValue;
    this.depth = 0;
    this.least = 0.4;
    this.withFirst = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.button = toggle("Play", "Layer by layer", () => (this.timer ? this.stop() : this.play()));
    this.layers = slider("Layer", { min: 0, max: 1, step: 1 }, (depth) => {
      this.stop();
      this.show(depth);
    });
    this.threshold = slider("Arcs from", { min: 0.1, max: 1, step: 0.05 }, (least) => {
      this.least = least;
      this.draw();
    });
    const first = el("input", { type: "checkbox" });
    first.addEventListener("change", () => {
      this.withFirst = first.checked;
      this.draw();
    });
    this.first = el("label", { class: "fp-check" }, first, "to the first token too");
    this.arcs = new Arcs((position) => this.tell("asked", position));
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
        this.first,
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
    this.watch = new ResizeObserver(() => this.fit());
    this.watch.observe(this.root);
    // A change of theme only changes CSS variables; a transition on a colour tells of it.
    this.root.addEventListener("transitionend", (event) => {
      if (event.target === this.root) this.draw();
    });
  }

  /** @param {ComponentArguments<Uint8Array>} component */
  update({ data, setTriggerValue }) {
    this.tell = setTriggerValue;
    this.root.classList.remove("fp-waits");
    this.build(data);
  }

  destroy() {
    this.stop();
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
    const begins = !this.header;
    this.header = header;
    this.byLayer = arcsOfLayers(header, readBody(bytes, start));
    const last = header.guesses.length - 1;
    this.layers.input.max = String(last);
    // It opens with what the model says in the end.
    this.depth = begins ? last : Math.min(this.depth, last);
    this.threshold.input.value = String(this.least);
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
    if (this.depth >= last) this.show(0);
    this.timer = setTimeout(() => this.step(last), STEP);
    this.name();
  }

  /** @param {number} last */
  step(last) {
    this.show(this.depth + 1);
    if (this.depth < last) this.timer = setTimeout(() => this.step(last), STEP);
    else this.stop();
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.name();
  }

  name() {
    this.button.textContent = this.timer ? "Pause" : "Play";
  }

  /** @param {number} depth */
  show(depth) {
    this.depth = depth;
    this.draw();
  }

  draw() {
    const { header, byLayer, depth } = this;
    if (!header || !byLayer) return;
    const layer = depth - 1;
    const { drawn, resting } = drawnArcs(byLayer[layer] ?? [], this.least, this.withFirst);
    const { dark } = readTheme(this.root);
    this.root.dataset.depth = String(depth);
    this.layers.input.value = String(depth);
    this.layers.value.textContent = depth ? String(layer) : "embedding";
    this.layers.input.setAttribute("aria-valuetext", depthName(depth));
    this.threshold.value.textContent = this.least.toFixed(2);
    this.arcs.draw(drawn, layer, dark);
    this.note.textContent = depth
      ? `${drawn.length} arcs from attention of ${this.least.toFixed(2)}` +
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
    for (const arc of drawnArcs(byLayer[layer] ?? [], this.least, this.withFirst).drawn) counts[arc.head]++;
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
        this.tell("pressed", label);
      },
    );
    button.dataset.head = label;
    button.setAttribute("aria-pressed", String(off));
    if (!off) button.style.borderBottom = `3px solid ${headColour(Number(label.split("H")[1]), dark)}`;
    return button;
  }
}
