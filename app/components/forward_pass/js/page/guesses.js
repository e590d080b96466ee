/**
 * The likeliest next tokens as bars that grow, and change places, from depth to depth.
 *
 * @import { Guess } from "../pass_data.js"
 */
import { el } from "../../../js/elements.js";
import { percent } from "../pass_data.js";

const ROW = 32; // pixels

export class Guesses {
  constructor() {
    this.root = el("ol", { class: "fp-guesses" });
    /** @type {Map<number, HTMLElement>} Rows by token: one that stays moves to its new place. */
    this.rows = new Map();
  }

  /** @param {Guess[]} guesses */
  draw(guesses) {
    this.root.style.height = `${ROW * guesses.length}px`;
    const ids = new Set(guesses.map((guess) => guess.id));
    for (const [id, row] of this.rows) {
      if (!ids.has(id)) {
        row.remove();
        this.rows.delete(id);
      }
    }
    guesses.forEach((guess, rank) => this.place(guess, rank));
  }

  /**
   * @param {Guess} guess
   * @param {number} rank
   */
  place({ id, text, p }, rank) {
    let row = this.rows.get(id);
    if (!row) {
      row = el(
        "li",
        { class: "fp-guess" },
        el("span", { class: "fp-token" }),
        el("span", { class: "fp-track" }, el("span", { class: "fp-bar" })),
        el("span", { class: "fp-share" }),
      );
      this.rows.set(id, row);
      this.root.append(row);
    }
    const [token, track, share] = /** @type {HTMLElement[]} */ ([...row.children]);
    token.textContent = text;
    share.textContent = percent(p);
    /** @type {HTMLElement} */ (track.firstElementChild).style.width = `${100 * p}%`;
    row.style.transform = `translateY(${rank * ROW}px)`;
    row.dataset.rank = String(rank);
  }
}
