/**
 * Plays a text token by token: each token's row appears when a reader would come to it.
 *
 * Pointing at the grid holds it, so that whoever looks closer sees all; typing, clicking and keys
 * end it.
 *
 * @import { HeadGrid } from "./grid.js"
 */
import { toggle } from "./controls.js";

const STEP = 320; // ms for a token
const REST = 2500; // ms with all of the text

export class Player {
  /** @param {HeadGrid} grid */
  constructor(grid) {
    this.grid = grid;
    this.playing = false;
    this.held = false;
    this.at = 0; // the token that comes next
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.button = toggle("", "", () => (this.playing ? this.stop() : this.start()));
    this.stopAtInput = () => this.stop();
    this.listen();
  }

  listen() {
    const { root } = this.grid;
    root.addEventListener("pointerenter", () => this.hold(true));
    root.addEventListener("pointerleave", () => this.hold(false));
    for (const kind of ["pointerdown", "keydown"]) {
      root.addEventListener(kind, (event) => {
        if (!event.composedPath().includes(this.button)) this.stop();
      });
    }
    // Typing in any field of the page.
    document.addEventListener("input", this.stopAtInput);
  }

  destroy() {
    clearTimeout(this.timer);
    document.removeEventListener("input", this.stopAtInput);
  }

  /** New data. */
  build() {
    const { player } = this.grid.data;
    this.button.hidden = player === "none";
    clearTimeout(this.timer);
    this.playing = false;
    this.grid.upto = this.grid.data.n;
    const moves = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (player === "playing" && moves) this.start();
    this.name();
  }

  start() {
    this.playing = true;
    this.held = false;
    this.at = this.beginning();
    this.name();
    this.step();
  }

  /** The middle: what a text begins with has little to look back at. */
  beginning() {
    return Math.floor(this.grid.data.n / 2);
  }

  /** Show all of the text, and leave it at that. */
  stop() {
    if (!this.playing) return;
    this.playing = false;
    clearTimeout(this.timer);
    this.show(this.grid.data.n, null);
    this.name();
  }

  /** @param {boolean} held */
  hold(held) {
    if (!this.playing) return;
    this.held = held;
    if (held) this.show(this.grid.data.n, null);
  }

  step() {
    const { n } = this.grid.data;
    if (!this.held) {
      if (this.at < n) this.show(this.at + 1, this.at);
      this.at = this.at < n ? this.at + 1 : this.beginning();
    }
    this.timer = setTimeout(() => this.step(), this.at === n ? REST : STEP);
  }

  /**
   * @param {number} upto
   * @param {number | null} token
   */
  show(upto, token) {
    const { grid } = this;
    grid.upto = upto;
    grid.root.dataset.upto = String(upto);
    grid.point({ token });
    ["picture", "thumbs", "text"].forEach((part) => grid.invalidate(part));
  }

  name() {
    this.button.textContent = this.playing ? "Pause" : "Play";
    this.button.title = this.playing ? "Show all of the text" : "Token by token";
  }
}
