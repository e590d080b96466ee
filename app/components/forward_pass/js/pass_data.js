/**
 * What a forward pass holds, and what of it is drawn at one depth. Depth 0 is the embedding, depth
 * d is after layer d - 1.
 *
 * @typedef {{ head: number, dest: number, src: number, attention: number }} Arc
 * @typedef {{ id: number, text: string, p: number }} Guess
 * @typedef {object} PassView The view as Python knows it (`view.py`).
 * @property {number | null} depth Null: the last.
 * @property {number} least Attention of the weakest arc that is drawn.
 * @property {boolean} toFirst Whether arcs to the first token are drawn, too.
 * @typedef {PassView & { number: number }} Command A view that Python asks for; new ones count up.
 * @typedef {object} PassHeader
 * @property {string} id Changes when anything drawn does.
 * @property {string[]} labels
 * @property {string[]} inks Colours of the tokens, if they have any of their own.
 * @property {number} heads In a layer.
 * @property {number[]} arcs How many of each layer.
 * @property {string} key The component's on its page.
 * @property {Command} command
 * @property {number} position After which the guesses come.
 * @property {string[]} off Labels of heads that are switched off.
 * @property {Guess[][]} guesses Of each depth, the likeliest first.
 */

const FULL = 65535; // stands for all attention

/**
 * The arcs of each layer.
 *
 * @param {PassHeader} header
 * @param {ArrayBuffer} body
 * @returns {Arc[][]}
 */
export function arcsOfLayers({ arcs }, body) {
  const numbers = new Uint16Array(body, 0, 4 * arcs.reduce((sum, count) => sum + count, 0));
  let at = 0;
  return arcs.map((count) =>
    Array.from({ length: count }, () => {
      const [head, dest, src, share] = numbers.subarray(at, (at += 4));
      return { head, dest, src, attention: share / FULL };
    }),
  );
}

/**
 * What Python asks for, if that is new; else the visitor's own view, as far as it still fits.
 *
 * @param {PassHeader} header
 * @param {Command | undefined} mine What the visitor looked at when Python last asked.
 * @returns {{ depth: number, least: number, toFirst: boolean }}
 */
export function adoptedView({ command, guesses }, mine) {
  const { depth, least, toFirst } = mine?.number === command.number ? mine : command;
  const last = guesses.length - 1;
  return { depth: Math.min(depth ?? last, last), least, toFirst };
}

/**
 * The arcs that are drawn, and how many are not because they lead to the first token.
 *
 * @param {Arc[]} arcs
 * @param {{ least: number, toFirst: boolean }} view
 */
export function drawnArcs(arcs, { least, toFirst }) {
  const strong = arcs.filter((arc) => arc.attention >= least);
  const drawn = toFirst ? strong : strong.filter((arc) => arc.src > 0);
  return { drawn, resting: strong.length - drawn.length };
}

/**
 * The path of an arc over tokens that stand `pitch` apart on a line at `base`.
 *
 * @param {Arc} arc
 * @param {number} pitch
 * @param {number} base
 */
export function arcPath({ dest, src }, pitch, base) {
  const [from, to] = [(src + 0.5) * pitch, (dest + 0.5) * pitch];
  const reach = (to - from) / 2;
  const height = Math.min(reach, base - 6);
  return `M${from} ${base}A${reach} ${height} 0 0 1 ${to} ${base}`;
}

/**
 * What a depth is called.
 *
 * @param {number} depth
 */
export const depthName = (depth) => (depth ? `After layer ${depth - 1}` : "Embedding");

/**
 * @param {number} p
 */
export const percent = (p) => `${(100 * p).toFixed(1)} %`;
