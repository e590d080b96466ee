/**
 * The head grid: all heads of one sequence as small pictures, one of them large, the text below.
 *
 * Everything a visitor does is answered here, from bytes that came once; Python hears of the
 * result a moment later. Words: dest is the token that attends (row), src the one attended to
 * (column), a head is known by its index in the payload.
 *
 * Every string of the payload is hostile: text reaches the page only as text nodes and
 * attributes, never as HTML.
 */

const REPORT_DELAY = 250; // ms of calm before Python hears: paging through heads is one report
const FRAME_BUDGET = 10; // ms of drawing per frame, so that pointing stays smooth meanwhile
const FIRST_BUDGET = 150; // ms at once for new data: nothing to point at yet, and frames cost too
const LABEL_PITCH = 11; // px per row below which token labels would overlap
const SPLIT_WIDTH = 720; // px from which the large picture stands beside the small ones
const SPLIT_SHARE = 0.48; // of the width, for the small pictures, as in the style sheet
// Below `lettered` a badge's letter would hide the picture; `captioned` fits "L11H11 0.98".
const THUMB = { min: 22, max: 92, gap: 4, lettered: 36, captioned: 62 };
const SHEET_LIMIT = 16000; // px; browsers refuse canvases that are higher
// Rescaling a row by what the first token leaves would blow rounding up below this.
const MIN_REST = 0.05;

/* ---------------------------------------------------------------- payload */

/** The header alone; the cells are copied only when they are new. */
function readHeader(bytes) {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const text = new TextDecoder().decode(bytes.subarray(4, 4 + length));
  return { header: JSON.parse(text), start: 4 + length };
}

function readCells(bytes, start, bits) {
  const body = bytes.slice(start).buffer; // a copy, because typed arrays need aligned memory
  return bits === 16 ? new Uint16Array(body) : new Uint8Array(body);
}

function makeData(header, cells) {
  const n = header.labels.length;
  const width = Math.max(...header.heads.map(([, head]) => head)) + 1;
  const depth = Math.max(...header.heads.map(([layer]) => layer)) + 1;
  const heads = header.heads.map(([layer, head]) => ({
    layer,
    head,
    label: `L${layer}H${head}`,
    // Its place in the layer, drifting a little from layer to layer; 255 starts with blue.
    hue: (255 + (360 * (head + layer / depth)) / width) % 360,
  }));
  return {
    ...header,
    n,
    cells,
    heads,
    stride: (n * (n + 1)) / 2,
    top: 2 ** header.bits - 1,
    digits: header.bits === 16 ? 4 : 2,
    indexOf: new Map(heads.map((head, index) => [head.label, index])),
  };
}

/** Attention of `dest` to `src` in one head, 0..1. */
function attention(data, head, dest, src) {
  if (src > dest) return 0;
  return data.cells[head * data.stride + (dest * (dest + 1)) / 2 + src] / data.top;
}

/** What a row is multiplied by: 1 unless the first token is discounted; 0 blanks the row. */
function rowFactor(data, head, dest, sink) {
  if (sink !== "discount") return 1;
  const rest = 1 - attention(data, head, dest, 0);
  return rest < MIN_REST ? 0 : 1 / rest;
}

/** Attention as drawn, with the first token as the visitor wants it. */
function shownAttention(data, head, dest, src, sink) {
  if (sink !== "show" && src === 0) return 0;
  return Math.min(1, attention(data, head, dest, src) * rowFactor(data, head, dest, sink));
}

/* ---------------------------------------------------------------- colour */

const clamp01 = (x) => Math.min(1, Math.max(0, x));
const toLinear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
const fromLinear = (c) => (c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055);

/** sRGB 0..1 to OKLab, in which equal steps look equal. */
function toOklab(rgb) {
  const [r, g, b] = rgb.map(toLinear);
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function fromOklab([L, a, b]) {
  const l = (L + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (L - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (L - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((c) => fromLinear(clamp01(c)));
}

/** A vivid colour of this hue (degrees), light enough or dark enough to stand out. */
function vivid(hue, dark) {
  const [lightness, chroma] = dark ? [0.84, 0.15] : [0.47, 0.17];
  const angle = (hue * Math.PI) / 180;
  return [lightness, chroma * Math.cos(angle), chroma * Math.sin(angle)];
}

// Okabe and Ito's colours, told apart by people with any colour vision; the first one is for
// every head that is not overlaid and is pulled darker or lighter for a longer scale.
const SAFE = {
  light: ["#08519c", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#b8860b"],
  dark: ["#8fd0ff", "#e69f00", "#2fc99b", "#e58fc0", "#f0e442", "#ff7f3f"],
};

const fromHex = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255);
const mix = (a, b, t) => a.map((value, i) => value + (b[i] - value) * t);
const css = (rgb) => `rgb(${rgb.map((c) => Math.round(c * 255)).join(" ")})`;

/** 256 steps from "no attention" to `end`: as colours, and as pixels ready for a canvas. */
function makeRamp(zero, end, scale) {
  const from = toOklab(zero);
  // Straight lines between 33 points look the same and are made five times faster.
  const points = Array.from({ length: 33 }, (_, i) => fromOklab(mix(from, end, i / 32)));
  const colours = new Float32Array(256 * 3);
  const bytes = new Uint8ClampedArray(256 * 4).fill(255);
  for (let i = 0; i < 256; i++) {
    const at = 32 * (scale === "sqrt" ? Math.sqrt(i / 255) : i / 255);
    const below = Math.min(31, Math.floor(at));
    for (let channel = 0; channel < 3; channel++) {
      const [a, b] = [points[below][channel], points[below + 1][channel]];
      const value = a + (b - a) * (at - below);
      colours[3 * i + channel] = value;
      bytes[4 * i + channel] = 255 * value; // clamped arrays round
    }
  }
  return { colours, pixels: new Uint32Array(bytes.buffer), full: css(points[32]) };
}

/** One channel of several ramps laid over each other, like inks on paper or lamps in the dark. */
function blendChannel(ramps, levels, channel, theme) {
  const zero = theme.zero[channel];
  let product = 1;
  for (let i = 0; i < ramps.length; i++) {
    const value = ramps[i].colours[3 * levels[i] + channel];
    product *= theme.dark ? (1 - value) / (1 - zero) : value / zero;
  }
  return clamp01(theme.dark ? 1 - product * (1 - zero) : product * zero);
}

function blend(ramps, levels, theme) {
  return [0, 1, 2].map((channel) => blendChannel(ramps, levels, channel, theme));
}

/** Black or white, whichever reads better on `rgb`. */
function inkOn(rgb) {
  const [r, g, b] = rgb.map(toLinear);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.3 ? "#10131a" : "#ffffff";
}

/** The theme as Streamlit's variables have it now; read from computed colours, hence any format. */
function readTheme(root) {
  const style = getComputedStyle(root);
  const background = parseColour(style.backgroundColor);
  const text = parseColour(style.color);
  const dark = toOklab(background)[0] < 0.5;
  const zero = mix(background, text, dark ? 0.09 : 0.05);
  return { dark, zero, key: css(background) + css(text) };
}

function parseColour(text) {
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  context.fillStyle = text;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)].map((c) => c / 255);
}

/* ---------------------------------------------------------------- drawing */

/**
 * One head as `size` x `size` levels 0..255, -1 above the diagonal. Where several cells share a
 * pixel the strongest one counts: an average would wash a one-token stripe out.
 */
function drawLevels(data, head, size, sink) {
  const levels = new Int16Array(size * size).fill(-1);
  const pixel = placesOf(data.n, size);
  const scale = 255 / data.top;
  let cell = head * data.stride;
  for (let dest = 0; dest < data.n; dest++) {
    const line = pixel[dest] * size;
    const factor = scale * rowFactor(data, head, dest, sink);
    for (let src = 0; src <= dest; src++, cell++) {
      const hidden = src === 0 && sink !== "show";
      const level = hidden ? 0 : Math.min(255, Math.round(data.cells[cell] * factor));
      const at = line + pixel[src];
      if (level > levels[at]) levels[at] = level;
    }
  }
  return levels;
}

/** Of `n` things in a row of `size` places, the place that each falls into. */
function placesOf(n, size) {
  const places = new Uint16Array(n);
  for (let i = 0; i < n; i++) places[i] = Math.floor((i * size) / n);
  return places;
}

/** The tokens that fall into one row or column of pixels: [first, end). */
function tokensOfPixel(pixel, n, size) {
  return [Math.ceil((pixel * n) / size), Math.ceil(((pixel + 1) * n) / size)];
}

/** One or several heads, laid over each other, as an image of `size` x `size` pixels. */
function paint(data, heads, size, sink, ramps, theme) {
  const image = new ImageData(size, size);
  const pixels = new Uint32Array(image.data.buffer);
  const layers = heads.map((head) => drawLevels(data, head, size, sink));
  if (layers.length === 1) paintOne(pixels, layers[0], ramps[0].pixels);
  else paintSeveral(image.data, layers, ramps, theme);
  return image;
}

/** An image made larger without smoothing; canvases would blur, and their count costs time. */
function enlarge(image, size) {
  if (image.width === size) return image;
  const result = new ImageData(size, size);
  const from = new Uint32Array(image.data.buffer);
  const to = new Uint32Array(result.data.buffer);
  const source = placesOf(size, image.width);
  for (let y = 0; y < size; y++) {
    const line = source[y] * image.width;
    for (let x = 0; x < size; x++) to[y * size + x] = from[line + source[x]];
  }
  return result;
}

function paintOne(pixels, levels, colours) {
  for (let i = 0; i < pixels.length; i++) if (levels[i] >= 0) pixels[i] = colours[levels[i]];
}

function paintSeveral(bytes, layers, ramps, theme) {
  const levels = new Array(layers.length);
  for (let i = 0; i < layers[0].length; i++) {
    if (layers[0][i] < 0) continue;
    for (let k = 0; k < layers.length; k++) levels[k] = layers[k][i];
    for (let channel = 0; channel < 3; channel++) {
      bytes[4 * i + channel] = 255 * blendChannel(ramps, levels, channel, theme);
    }
    bytes[4 * i + 3] = 255;
  }
}

/* ---------------------------------------------------------------- small helpers for the page */

/** An element; attributes by name, children as elements or as text (never HTML). */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function select(label, options, onChange) {
  const box = el("select", {}, ...options.map(([value, text]) => el("option", { value }, text)));
  box.addEventListener("change", () => onChange(box.value));
  return el("label", { class: "hg-field" }, el("span", {}, label), box);
}

function toggle(text, title, onClick) {
  const button = el("button", { type: "button", class: "hg-toggle", title }, text);
  button.addEventListener("click", onClick);
  return button;
}

/** The shortest starts of the names that differ, upper case: P and I, or PR and PO. */
function shortNames(names) {
  for (let length = 1; length < 4; length++) {
    const short = names.map((name) => name.slice(0, length).toUpperCase());
    if (new Set(short).size === names.length) return short;
  }
  return names.map((_, index) => String(index + 1));
}

/** A spacing for ticks that leaves at least `room` px between them. */
function tickStep(pitch, room) {
  return [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500].find((step) => step * pitch >= room) ?? 1000;
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const adds = (event) => event.shiftKey || event.ctrlKey || event.metaKey;
const toggled = (list, item, most) =>
  list.includes(item) ? list.filter((other) => other !== item) : [...list, item].slice(-most);

/* ---------------------------------------------------------------- the view */

// Streamlit may take the element off the page and build it anew in the same run of the script;
// the visitor's view outlives that. Keyed by the component's key, one small object each.
const remembered = new Map();

class HeadGrid {
  constructor(parent) {
    this.settings = { sort: "", scale: "linear", sink: "show", palette: "hue", overlay: false };
    this.hover = { head: null, token: null, cell: null };
    this.ramps = new Map();
    this.queue = [];
    this.dirty = new Set();
    this.build(parent);
    this.watch();
  }

  /* ---- life */

  /** New data, or the same again after an unrelated run of the script. */
  update({ data: bytes, setStateValue }) {
    this.send = setStateValue;
    const { header, start } = readHeader(bytes);
    if (this.data?.id === header.id) return;
    const before = this.data;
    this.data = makeData(header, readCells(bytes, start, header.bits));
    const text = JSON.stringify(header.labels);
    const sameText = this.text === text;
    this.text = text;
    const told = before && JSON.stringify(this.reportable(before));
    this.adoptView(header, before, sameText);
    this.hover = { head: null, token: null, cell: null };
    this.buildSorts();
    this.buildThumbs();
    this.buildTokens();
    this.note.textContent = header.note;
    this.note.hidden = !header.note;
    this.invalidate("layout");
    this.renderNow();
    // Heads or tokens that are gone were let go of here; Python still believes in them.
    if (told && told !== JSON.stringify(this.reportable())) this.changed();
  }

  /** What Python asks for, if that is new; else the visitor's own view, as far as it still fits. */
  adoptView(header, before, sameText) {
    const { indexOf, n } = this.data;
    const mine = before
      ? { ...this.reportable(before), number: this.command }
      : remembered.get(header.key);
    const asked = header.command;
    const view = mine?.number === asked.number ? mine : asked;
    this.command = asked.number;
    this.view = {
      focus: indexOf.get(view.focus) ?? 0,
      locked: view.locked.map((label) => indexOf.get(label)).filter((i) => i !== undefined),
      // Positions mean nothing in another text.
      tokens: before && view === mine && !sameText ? [] : view.tokens.filter((t) => t < n),
      direction: view.direction,
    };
    this.remember();
  }

  watch() {
    this.resizes = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry.contentRect.width);
      if (width === this.width || width === 0) return;
      this.width = width;
      this.invalidate("layout");
    });
    this.resizes.observe(this.root);
    // A change of theme only changes CSS variables; a transition on a colour tells of it.
    this.root.addEventListener("transitionend", (event) => {
      if (event.target !== this.root || readTheme(this.root).key === this.theme?.key) return;
      this.recolour();
    });
  }

  destroy() {
    this.resizes.disconnect();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    this.root.remove();
  }

  /* ---- building */

  build(parent) {
    this.note = el("p", { class: "hg-note", role: "note" });
    this.grid = el("div", {
      class: "hg-grid",
      role: "listbox",
      "aria-multiselectable": "true",
      "aria-label": "Attention heads",
    });
    // All small pictures are on one canvas behind their elements: 144 canvases took twice as long.
    this.sheet = el("canvas", { class: "hg-sheet", "aria-hidden": "true" });
    this.legend = el("p", { class: "hg-marks" });
    this.live = el("div", { class: "hg-live", "aria-live": "polite" });
    this.main = el(
      "div",
      { class: "hg-main" },
      el("section", { class: "hg-heads" }, this.grid, this.legend),
      this.buildFigure(),
      this.buildText(),
    );
    this.root = el("div", { class: "hg" }, this.buildBar(), this.note, this.main, this.live);
    parent.append(this.root);
    this.listenToGrid();
    this.listenToPicture();
    this.listenToTokens();
  }

  buildBar() {
    const set = (name, ...parts) => (value) => {
      this.settings[name] = value;
      parts.forEach((part) => this.invalidate(part));
    };
    const recolour = (name) => (value) => {
      this.settings[name] = value;
      this.recolour();
    };
    this.sorts = select("Sort", [["", "by position"]], set("sort", "layout"));
    this.overlay = toggle("Overlay", "Clicking adds heads instead of replacing them", () => {
      this.settings.overlay = !this.settings.overlay;
      this.overlay.setAttribute("aria-pressed", this.settings.overlay);
    });
    this.overlay.setAttribute("aria-pressed", "false");
    this.clear = toggle("Unlock all", "Let go of every locked head and token (Escape)", () =>
      this.unlockAll(),
    );
    return el(
      "div",
      { class: "hg-bar" },
      this.sorts,
      select("Scale", [["linear", "linear"], ["sqrt", "square root"]], recolour("scale")),
      select(
        "First token",
        [["show", "shown"], ["hide", "hidden"], ["discount", "discounted"]],
        set("sink", "thumbs", "picture", "text"),
      ),
      select(
        "Colours",
        [["hue", "a hue per head"], ["safe", "colour-blind safe"]],
        recolour("palette"),
      ),
      el("span", { class: "hg-buttons" }, this.overlay, this.clear),
    );
  }

  buildFigure() {
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
    this.figure = el("figure", { class: "hg-figure" }, header, this.stage);
    return this.figure;
  }

  buildText() {
    this.directions = ["dest", "src"].map((direction) => {
      const text = direction === "dest" ? "destination → source" : "source → destination";
      const button = toggle(text, "", () => this.setDirection(direction));
      button.dataset.direction = direction;
      return button;
    });
    this.directions[0].title = "Colour what a token attends to";
    this.directions[1].title = "Colour what attends to a token";
    this.status = el("p", { class: "hg-status" });
    this.tokens = el("div", { class: "hg-tokens", role: "group", "aria-label": "Tokens" });
    const group = el(
      "div",
      { class: "hg-direction", role: "group", "aria-label": "Direction" },
      ...this.directions,
    );
    const head = el("div", { class: "hg-texthead" }, group, this.status);
    return el("section", { class: "hg-text" }, head, this.tokens);
  }

  buildSorts() {
    const names = Object.keys(this.data.scores);
    const box = this.sorts.querySelector("select");
    if (!names.includes(this.settings.sort)) this.settings.sort = "";
    box.replaceChildren(
      el("option", { value: "" }, "by position"),
      ...names.map((value) => el("option", { value }, `by ${value}`)),
    );
    box.value = this.settings.sort;
    this.sorts.hidden = names.length === 0;
  }

  buildThumbs() {
    const names = Object.keys(this.data.marks);
    const short = shortNames(names);
    this.badges = this.data.heads.map((_, head) =>
      names.flatMap((name, i) => {
        const score = this.data.scores[name][head];
        return score !== null && score > this.data.marks[name]
          ? [{ name, score, short: short[i], kind: i }]
          : [];
      }),
    );
    this.thumbs = this.data.heads.map((_, head) => this.buildThumb(head));
    this.legend.replaceChildren(
      ...names.flatMap((name, i) => [
        el(
          "span",
          { class: "hg-mark" },
          el("span", { class: "hg-badge", "data-kind": i % 4 }, short[i]),
          ` ${name} above ${this.data.marks[name]}`,
        ),
        " ",
      ]),
    );
    this.legend.hidden = names.length === 0;
    this.root.dataset.drawn = 0;
  }

  buildThumb(head) {
    const { layer, head: number, label } = this.data.heads[head];
    const scores = Object.entries(this.data.scores)
      .filter(([, values]) => values[head] !== null)
      .map(([name, values]) => `${name} ${values[head].toFixed(2)}`);
    const marks = this.badges[head].map(({ name }) => `marked ${name}`);
    return el(
      "div",
      {
        class: "hg-thumb",
        role: "option",
        tabindex: "-1",
        "data-head": head,
        "aria-label": [`Layer ${layer} head ${number}`, ...marks, ...scores].join(", "),
        title: [label, ...scores].join("\n"),
      },
      ...(marks.length ? [el("span", { class: "hg-badges" }, ...this.badgesOf(head))] : []),
    );
  }

  badgesOf(head) {
    return this.badges[head].map(({ short, kind }) =>
      el("span", { class: "hg-badge", "data-kind": kind % 4 }, short),
    );
  }

  buildTokens() {
    const nodes = this.data.labels.flatMap((label, position) => {
      const token = el(
        "button",
        {
          type: "button",
          class: "hg-token",
          tabindex: position ? "-1" : "0",
          "data-token": position,
          "aria-label": `Token ${position}, ${label}`,
        },
        label,
      );
      return label.endsWith("↵") ? [token, el("br")] : [token];
    });
    this.tokens.replaceChildren(...nodes);
    this.tokenNodes = nodes.filter((node) => node.className === "hg-token");
  }

  /* ---- what is looked at */

  /** The heads in the large picture. */
  shownHeads() {
    const { focus, locked } = this.view;
    if (this.hover.head !== null) return [this.hover.head];
    return locked.includes(focus) ? locked : [focus];
  }

  /** The tokens that the text is coloured for. */
  activeTokens() {
    if (this.hover.token !== null) return [this.hover.token];
    if (this.hover.cell) return [this.hover.cell[this.view.direction]];
    return this.view.tokens;
  }

  setFocus(head) {
    this.view.focus = head;
    this.hover.head = null;
    this.changed("picture", "marks", "text");
  }

  /** Click: lock this head alone, or let it go. With a modifier or "Overlay": add or take away. */
  lockHead(head, adding) {
    const { locked } = this.view;
    const alone = locked.length === 1 && locked[0] === head;
    this.view.locked = adding
      ? toggled(locked, head, this.data.limits.locked)
      : alone
        ? []
        : [head];
    const kept = this.view.locked.includes(head) || !this.view.locked.length;
    this.setFocus(kept ? head : this.view.locked.at(-1));
    // An overlaid head may take another hue than its own, in its small picture too.
    this.queueThumbs([...new Set([...locked, ...this.view.locked, head])]);
  }

  lockToken(token, adding) {
    const { tokens } = this.view;
    const alone = tokens.length === 1 && tokens[0] === token;
    this.view.tokens = adding
      ? toggled(tokens, token, this.data.limits.tokens)
      : alone
        ? []
        : [token];
    this.changed("bands", "text");
  }

  unlockAll() {
    const { locked } = this.view;
    this.view.locked = [];
    this.view.tokens = [];
    this.changed("picture", "marks", "text");
    this.queueThumbs(locked);
  }

  setDirection(direction) {
    this.view.direction = direction;
    this.changed("bands", "text");
  }

  /** What is pointed at; the mouse reports many moves within one cell, which change nothing. */
  point(change) {
    const before = JSON.stringify(this.hover);
    Object.assign(this.hover, change);
    if (JSON.stringify(this.hover) === before) return;
    this.invalidate("text");
    this.invalidate("head" in change ? "picture" : "bands");
  }

  /* ---- telling Python */

  reportable(data = this.data) {
    const label = (head) => data.heads[head].label;
    const { focus, locked, tokens, direction } = this.view;
    return { focus: label(focus), locked: locked.map(label), tokens, direction };
  }

  remember() {
    remembered.set(this.data.key, { ...this.reportable(), number: this.command });
  }

  changed(...parts) {
    parts.forEach((part) => this.invalidate(part));
    this.remember();
    if (!this.data.report) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send("view", this.reportable()), REPORT_DELAY);
  }

  /* ---- drawing, at most once a frame */

  invalidate(part) {
    this.dirty.add(part);
    this.frame ??= requestAnimationFrame(() => this.renderNow());
  }

  renderNow() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    if (!this.data) return;
    this.theme ??= readTheme(this.root);
    const dirty = this.dirty;
    this.dirty = new Set();
    const layout = dirty.has("layout");
    if (layout) this.layOut();
    if (layout || dirty.has("thumbs")) this.queueThumbs(this.order);
    if (layout || dirty.has("picture")) this.drawPicture();
    if (layout || dirty.has("picture") || dirty.has("bands")) this.drawBands();
    if (layout || dirty.has("marks")) this.drawMarks();
    if (layout || dirty.has("text")) this.drawText();
    this.drawQueued();
  }

  recolour() {
    this.theme = null;
    this.ramps.clear();
    ["thumbs", "picture", "text"].forEach((part) => this.invalidate(part));
  }

  queueThumbs(heads) {
    this.queue = [...new Set([...heads, ...this.queue])];
    this.invalidate("queue");
  }

  drawQueued() {
    const isNew = Number(this.root.dataset.drawn) < this.thumbs.length;
    const end = performance.now() + (isNew ? FIRST_BUDGET : FRAME_BUDGET);
    while (this.queue.length && performance.now() < end) this.drawThumb(this.queue.shift());
    if (this.queue.length) this.invalidate("queue");
  }

  drawThumb(head) {
    const { data, settings, theme } = this;
    const size = Math.round(this.thumbSize * this.ratio);
    const ramp = this.rampOf(head);
    const image = paint(data, [head], Math.min(data.n, size), settings.sink, [ramp], theme);
    const thumb = this.thumbs[head];
    const [x, y] = this.places[head];
    this.pen.putImageData(enlarge(image, size), x * this.ratio, y * this.ratio);
    thumb.style.setProperty("--hg-hue", ramp.full);
    if (!thumb.dataset.drawn) this.root.dataset.drawn = Number(this.root.dataset.drawn) + 1;
    thumb.dataset.drawn = "1";
  }

  /* ---- colours of heads */

  /** Overlaid heads whose hues are too close move to the freest place on the circle. */
  overlaidHues() {
    const taken = new Map();
    const distance = (a, b) => 180 - Math.abs(180 - Math.abs(a - b));
    const room = (hue) =>
      Math.min(360, ...[...taken.values()].map((other) => distance(hue, other)));
    const wheel = [...Array(24).keys()].map((i) => 15 * i);
    for (const head of this.view.locked) {
      const own = this.data.heads[head].hue;
      const freest = wheel.reduce((a, b) => (room(b) > room(a) ? b : a));
      taken.set(head, room(own) >= 40 ? own : freest);
    }
    return taken;
  }

  endColour(head) {
    const { dark } = this.theme;
    const place = this.view.locked.indexOf(head);
    if (this.settings.palette === "safe") {
      const colours = dark ? SAFE.dark : SAFE.light;
      return toOklab(fromHex(colours[Math.max(place, 0) % colours.length]));
    }
    return vivid(place >= 0 ? this.overlaidHues().get(head) : this.data.heads[head].hue, dark);
  }

  rampOf(head) {
    const end = this.endColour(head);
    const key = end.join();
    if (!this.ramps.has(key)) {
      this.ramps.set(key, makeRamp(this.theme.zero, end, this.settings.scale));
    }
    return this.ramps.get(key);
  }

  /* ---- layout */

  layOut() {
    this.width = Math.floor(this.root.clientWidth);
    const split = this.width >= SPLIT_WIDTH;
    this.root.classList.toggle("is-split", split);
    this.root.classList.toggle("is-single", this.data.heads.length === 1);
    this.root.style.setProperty("--hg-height", `${this.data.height}px`);
    this.layOutGrid(split);
    // A low grid leaves room for the text beside the large picture.
    const low = this.grid.offsetHeight < this.data.height - 240;
    this.root.classList.toggle("is-low", split && low);
    this.layOutPicture();
  }

  layOutGrid(split) {
    const { heads, height } = this.data;
    const scores = this.data.scores[this.settings.sort];
    const score = (head) => scores[head] ?? -Infinity;
    this.order = heads.map((_, head) => head);
    if (scores) this.order.sort((a, b) => score(b) - score(a) || a - b);
    const layers = [...new Set(heads.map(({ layer }) => layer))];
    const numbers = [...new Set(heads.map(({ head }) => head))];
    // Rows of layers and columns of heads, if that is what was given; else just one after another.
    const table = layers.flatMap((layer) => numbers.map((number) => `L${layer}H${number}`));
    const isTable = !scores && table.join() === heads.map(({ label }) => label).join();
    const room = split ? Math.floor(this.width * SPLIT_SHARE) : this.width;
    if (isTable) this.layOutTable(layers, numbers, room, split ? height : Math.min(height, 340));
    else this.layOutFlow(room, split ? height : 300);
    this.grid.classList.toggle("is-table", isTable);
    this.layOutSheet();
  }

  layOutTable(layers, numbers, room, height) {
    const side = (space, count, label) => Math.floor((space - label) / count) - THUMB.gap;
    this.perRow = numbers.length;
    this.setThumbSize(Math.min(side(room, numbers.length, 34), side(height, layers.length, 26)));
    const label = (text) => el("span", { class: "hg-mark", "aria-hidden": "true" }, text);
    this.grid.style.gridTemplateColumns = `auto repeat(${numbers.length}, ${this.thumbSize}px)`;
    this.grid.replaceChildren(
      this.sheet,
      label(""),
      ...numbers.map((head) => label(`H${head}`)),
      ...layers.flatMap((layer, row) => [
        label(`L${layer}`),
        ...this.thumbs.slice(row * this.perRow, (row + 1) * this.perRow),
      ]),
    );
  }

  layOutFlow(room, height) {
    const count = this.order.length;
    let size = THUMB.max;
    const perRow = () => Math.max(1, Math.floor(room / (size + THUMB.gap)));
    while (size > THUMB.captioned && Math.ceil(count / perRow()) * (size + 24) > height) size -= 2;
    this.setThumbSize(size);
    this.perRow = Math.min(count, perRow());
    this.grid.style.gridTemplateColumns = `repeat(${this.perRow}, ${this.thumbSize}px)`;
    const scores = this.data.scores[this.settings.sort];
    this.grid.replaceChildren(
      this.sheet,
      ...this.order.map((head) => {
        const value = scores?.[head];
        const text = typeof value === "number" ? ` ${value.toFixed(2)}` : "";
        this.thumbs[head].dataset.name = this.data.heads[head].label + text;
        return this.thumbs[head];
      }),
    );
  }

  /** Fit the sheet to the pictures' elements. */
  layOutSheet() {
    this.places = this.thumbs.map((thumb) => [thumb.offsetLeft, thumb.offsetTop]);
    const width = Math.max(...this.places.map(([x]) => x)) + this.thumbSize;
    const height = Math.max(...this.places.map(([, y]) => y)) + this.thumbSize;
    this.ratio = Math.min(devicePixelRatio, SHEET_LIMIT / height);
    this.sheet.width = Math.ceil(width * this.ratio);
    this.sheet.height = Math.ceil(height * this.ratio);
    this.sheet.style.width = `${this.sheet.width / this.ratio}px`;
    this.sheet.style.height = `${this.sheet.height / this.ratio}px`;
    this.pen = this.sheet.getContext("2d");
  }

  setThumbSize(size) {
    this.thumbSize = Math.max(THUMB.min, Math.min(THUMB.max, size));
    this.grid.style.setProperty("--hg-thumb", `${this.thumbSize}px`);
    this.grid.classList.toggle("is-tiny", this.thumbSize < THUMB.lettered);
  }

  layOutPicture() {
    const { n, labels, height } = this.data;
    const room = this.figure.clientWidth;
    const longest = Math.min(96, this.widest(labels) + 10);
    const pitch = (gutter) => Math.min(room - gutter, height - gutter) / n;
    const named = pitch(longest) >= LABEL_PITCH;
    const gutter = named ? longest : 34;
    const ratio = devicePixelRatio;
    const free = Math.max(64, Math.min(room - gutter, height - gutter));
    // Whole device pixels per cell keep every cell the same size; longer texts share pixels.
    const perCell = Math.floor((free * ratio) / n);
    this.side = perCell >= 1 ? (perCell * n) / ratio : Math.floor(free * ratio) / ratio;
    this.size = perCell >= 1 ? n : Math.floor(free * ratio);
    this.stage.style.setProperty("--hg-side", `${this.side}px`);
    this.stage.style.setProperty("--hg-gutter", `${gutter}px`);
    this.stage.classList.toggle("is-named", named);
    this.layOutAxes(named);
  }

  widest(labels) {
    const context = new OffscreenCanvas(1, 1).getContext("2d");
    context.font = getComputedStyle(this.rows).font;
    const widths = labels.map((label) => context.measureText(label.slice(0, 40)).width);
    // The font may still be loading, and the one in its place is narrower.
    return 1.1 * Math.max(...widths);
  }

  layOutAxes(named) {
    const pitch = this.side / this.data.n;
    const step = named ? 1 : tickStep(pitch, 32);
    const marks = () =>
      this.data.labels.flatMap((label, position) => {
        if (position % step) return [];
        const mark = el("span", { "data-position": position }, named ? label : position);
        mark.style.setProperty("--hg-at", `${(position + 0.5) * pitch}px`);
        return [mark];
      });
    this.rows.replaceChildren(...marks());
    this.columns.replaceChildren(...marks());
  }

  /* ---- the large picture */

  drawPicture() {
    const heads = this.shownHeads();
    const { sink } = this.settings;
    const ramps = heads.map((head) => this.rampOf(head));
    const image = paint(this.data, heads, this.size, sink, ramps, this.theme);
    if (this.canvas.width !== this.size) this.canvas.width = this.canvas.height = this.size;
    this.canvas.getContext("2d").putImageData(image, 0, 0);
    const names = heads.map((head) => this.data.heads[head].label);
    this.root.dataset.shown = names.join(" ");
    this.canvas.setAttribute(
      "aria-label",
      `Attention pattern of ${names.join(" and ")}; arrow keys move from cell to cell`,
    );
    this.title.replaceChildren(...heads.map((head) => this.headName(head, heads.length === 1)));
    this.drawScale(heads);
  }

  headName(head, alone) {
    const dot = el("i", { class: "hg-dot" });
    dot.style.background = this.rampOf(head).full;
    return el(
      "span",
      { class: "hg-head" },
      dot,
      el("b", {}, this.data.heads[head].label),
      ...(alone ? this.badges[head] : []).map(({ name, score, kind }) =>
        el(
          "span",
          { class: "hg-badge is-long", "data-kind": kind % 4 },
          `${name} ${score.toFixed(2)}`,
        ),
      ),
    );
  }

  /** The colour scale; overlaid heads have one each, so their names carry their colours instead. */
  drawScale(heads) {
    this.scale.hidden = heads.length > 1;
    const { colours } = this.rampOf(heads[0]);
    const stops = [...Array(17).keys()].map((i) => {
      const at = 3 * Math.round((255 * i) / 16);
      return css([...colours.slice(at, at + 3)]);
    });
    const bar = el("i", { class: "hg-ramp" });
    bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    this.scale.replaceChildren("0", bar, "1");
    this.scale.title = "Attention";
  }

  /** Row, column and cell that are pointed at or locked, on the picture and beside it. */
  drawBands() {
    const { cell } = this.hover;
    const { direction } = this.view;
    const active = this.activeTokens();
    const single = active.length === 1 ? active[0] : null;
    const dest = cell ? cell.dest : direction === "dest" ? single : null;
    const src = cell ? cell.src : direction === "src" ? single : null;
    const pitch = this.side / this.data.n;
    const place = (node, shown, style) => {
      node.hidden = !shown;
      if (shown) for (const [name, px] of Object.entries(style)) node.style[name] = `${px}px`;
    };
    const thick = Math.max(pitch, 2);
    place(this.bands.dest, dest !== null, {
      left: 0, top: dest * pitch, width: (dest + 1) * pitch, height: thick,
    });
    place(this.bands.src, src !== null, {
      left: src * pitch, top: src * pitch, width: thick, height: this.side - src * pitch,
    });
    const square = Math.max(pitch, 6);
    place(this.cell, cell !== null, {
      left: (cell?.src + 0.5) * pitch - square / 2,
      top: (cell?.dest + 0.5) * pitch - square / 2,
      width: square,
      height: square,
    });
    for (const [axis, position] of [[this.rows, dest], [this.columns, src]]) {
      axis.querySelector(".is-on")?.classList.remove("is-on");
      if (position !== null) {
        axis.querySelector(`[data-position="${position}"]`)?.classList.add("is-on");
      }
    }
    this.drawReadout();
  }

  drawReadout() {
    const { cell } = this.hover;
    if (!cell) {
      this.readout.replaceChildren(
        el("p", { class: "hg-hint" }, "row: a token that attends (destination)"),
        el("p", { class: "hg-hint" }, "column: a token attended to (source)"),
      );
      return;
    }
    this.readout.replaceChildren(
      el("p", {}, el("span", {}, `dest ${cell.dest}`), el("b", {}, this.data.labels[cell.dest])),
      el("p", {}, el("span", {}, `src ${cell.src}`), el("b", {}, this.data.labels[cell.src])),
      ...this.shownHeads().map((head) => {
        const name = el("span", {}, this.data.heads[head].label);
        name.style.color = this.rampOf(head).full;
        return el("p", { class: "hg-value" }, name, el("b", {}, this.valueText(head, cell)));
      }),
    );
  }

  /** The value as it is in the model, as exact as it was sent; what is drawn, if that differs. */
  valueText(head, { dest, src }) {
    const { sink } = this.settings;
    const value = attention(this.data, head, dest, src);
    const text = value.toFixed(this.data.digits);
    if (sink !== "discount" || src === 0) return text;
    if (!rowFactor(this.data, head, dest, sink)) return `${text} (too little left to rescale)`;
    return `${text} (${shownAttention(this.data, head, dest, src, sink).toFixed(2)} of the rest)`;
  }

  /** The cell under a point of the picture; of cells that share a pixel, the strongest. */
  cellAt(x, y) {
    const { n } = this.data;
    const pixel = (at) => Math.floor((at / this.side) * this.size);
    const [firstDest, endDest] = tokensOfPixel(pixel(y), n, this.size);
    const [firstSrc, endSrc] = tokensOfPixel(pixel(x), n, this.size);
    const head = this.shownHeads()[0];
    let best = null;
    let most = -1;
    for (let dest = firstDest; dest < Math.min(n, endDest); dest++) {
      for (let src = firstSrc; src < Math.min(dest + 1, endSrc); src++) {
        const value = attention(this.data, head, dest, src);
        if (value > most) [best, most] = [{ dest, src }, value];
      }
    }
    return best;
  }

  /* ---- the small pictures */

  drawMarks() {
    const { focus, locked } = this.view;
    this.thumbs.forEach((thumb, head) => {
      thumb.classList.toggle("is-focus", head === focus);
      thumb.setAttribute("aria-selected", locked.includes(head));
      thumb.tabIndex = head === focus ? 0 : -1;
    });
  }

  /* ---- the text */

  drawText() {
    const active = this.activeTokens();
    const heads = this.shownHeads();
    const ramps = heads.map((head) => this.rampOf(head));
    const weights = heads.map((head) => this.tokenWeights(head, active));
    const { cell } = this.hover;
    for (let position = 0; position < this.data.n; position++) {
      const node = this.tokenNodes[position];
      const levels = weights.map((weight) => Math.round(255 * weight[position]));
      const coloured = active.length > 0 && levels.some((level) => level > 0);
      const rgb = coloured ? blend(ramps, levels, this.theme) : null;
      node.style.background = rgb ? css(rgb) : "";
      node.style.color = rgb ? inkOn(rgb) : "";
      node.classList.toggle("is-active", active.includes(position));
      node.classList.toggle("is-linked", cell?.dest === position || cell?.src === position);
      node.setAttribute("aria-pressed", this.view.tokens.includes(position));
    }
    for (const button of this.directions) {
      button.setAttribute("aria-pressed", button.dataset.direction === this.view.direction);
    }
    this.clear.disabled = !this.view.locked.length && !this.view.tokens.length;
    this.status.replaceChildren(...this.statusText(active, heads[0], weights[0]));
  }

  /** For each position, its share in what the active tokens attend to, or are attended by. */
  tokenWeights(head, active) {
    const { sink } = this.settings;
    const weights = new Float32Array(this.data.n);
    for (const token of active) {
      for (let other = 0; other < this.data.n; other++) {
        const [dest, src] = this.view.direction === "dest" ? [token, other] : [other, token];
        weights[other] += shownAttention(this.data, head, dest, src, sink) / active.length;
      }
    }
    return weights;
  }

  /** One sentence on what the active tokens attend to most, as parts for `replaceChildren`. */
  statusText(active, head, weights) {
    const { labels, heads } = this.data;
    const looking = this.view.direction === "dest";
    if (!active.length) {
      const what = looking ? "it attends to" : "attends to it";
      return [`Point at a token to see what ${what}; click to lock it.`];
    }
    const strongest = [...weights.keys()]
      .filter((position) => weights[position] >= 0.005)
      .sort((a, b) => weights[b] - weights[a])
      .slice(0, 3)
      .flatMap((position, i) => [
        i ? ", " : "",
        el("b", {}, labels[position]),
        ` at ${position} (${weights[position].toFixed(2)})`,
      ]);
    const who =
      active.length === 1
        ? [el("b", {}, labels[active[0]]), ` at ${active[0]}`]
        : [`${active.length} tokens, on average`];
    return [
      `${heads[head].label}: `,
      ...who,
      looking ? " attends to " : " is attended to by ",
      ...(strongest.length ? strongest : ["nothing that is shown."]),
    ];
  }

  /* ---- mouse and keys */

  listenToGrid() {
    const headOf = (event) => {
      const thumb = event.target.closest?.(".hg-thumb");
      return thumb ? Number(thumb.dataset.head) : null;
    };
    this.grid.addEventListener("pointerover", (event) => {
      const head = headOf(event);
      // A finger does not hover: its tap locks. Gaps between pictures would only make it flicker.
      if (event.pointerType !== "touch" && head !== null) this.point({ head });
    });
    this.grid.addEventListener("pointerleave", () => this.point({ head: null }));
    this.grid.addEventListener("click", (event) => {
      const head = headOf(event);
      if (head === null) return;
      this.lockHead(head, adds(event) || this.settings.overlay);
      this.thumbs[head].focus({ preventScroll: true });
    });
    this.grid.addEventListener("keydown", (event) => this.gridKey(event));
  }

  gridKey(event) {
    const place = this.order.indexOf(this.view.focus);
    const last = this.order.length - 1;
    const [dx, dy] = ARROWS[event.key] ?? [0, 0];
    let next = place + dx + dy * this.perRow;
    if (event.key === "Home") next = 0;
    else if (event.key === "End") next = last;
    else if (event.key === "Enter" || event.key === " ") {
      this.lockHead(this.view.focus, adds(event) || this.settings.overlay);
    } else if (event.key === "Escape") this.unlockAll();
    else if (!ARROWS[event.key]) return;
    event.preventDefault();
    if (next === place || next < 0 || next > last) return;
    this.setFocus(this.order[next]);
    this.thumbs[this.view.focus].focus();
  }

  listenToPicture() {
    const at = (event) => this.cellAt(event.offsetX, event.offsetY);
    this.canvas.addEventListener("pointermove", (event) => this.point({ cell: at(event) }));
    this.canvas.addEventListener("pointerleave", () => this.point({ cell: null }));
    this.canvas.addEventListener("blur", () => this.point({ cell: null }));
    this.canvas.addEventListener("click", (event) => {
      const cell = at(event);
      if (cell) this.lockToken(cell[this.view.direction], adds(event));
    });
    this.canvas.addEventListener("keydown", (event) => this.pictureKey(event));
  }

  pictureKey(event) {
    if (event.key === "Escape") return this.unlockAll();
    const { n } = this.data;
    const cell = this.hover.cell ?? { dest: n - 1, src: n - 1 };
    if (event.key === "Enter") return this.lockToken(cell[this.view.direction], adds(event));
    const step = ARROWS[event.key];
    if (!step) return;
    event.preventDefault();
    const dest = Math.min(n - 1, Math.max(0, cell.dest + step[1]));
    const src = Math.min(dest, Math.max(0, cell.src + step[0]));
    this.point({ cell: { dest, src } });
    const values = this.shownHeads().map((head) => this.valueText(head, { dest, src }));
    const { labels } = this.data;
    const cellText = `${labels[dest]} at ${dest} to ${labels[src]} at ${src}`;
    this.live.textContent = `${cellText}: ${values.join(", ")}`;
  }

  listenToTokens() {
    const tokenOf = (event) => {
      const node = event.target.closest?.(".hg-token");
      return node ? Number(node.dataset.token) : null;
    };
    this.tokens.addEventListener("pointerover", (event) => {
      if (event.pointerType !== "touch") this.point({ token: tokenOf(event) });
    });
    this.tokens.addEventListener("pointerleave", () => this.point({ token: null }));
    this.tokens.addEventListener("click", (event) => {
      const token = tokenOf(event);
      if (token !== null) this.lockToken(token, adds(event));
    });
    this.tokens.addEventListener("focusout", () => this.point({ token: null }));
    this.tokens.addEventListener("keydown", (event) => this.tokenKey(event, tokenOf(event)));
  }

  /** Left and right step through the text; Enter locks, as on any button. */
  tokenKey(event, token) {
    if (event.key === "Escape") return this.unlockAll();
    const step = ARROWS[event.key];
    if (!step || token === null) return;
    event.preventDefault();
    const next = Math.min(this.data.n - 1, Math.max(0, token + step[0] + step[1]));
    this.tokenNodes[token].tabIndex = -1;
    this.tokenNodes[next].tabIndex = 0;
    this.tokenNodes[next].focus();
    this.point({ token: next });
    this.renderNow();
    this.live.textContent = this.status.textContent;
  }
}

/* ---------------------------------------------------------------- Streamlit's side */

const grids = new WeakMap();

/** Called at every run of the script, with the same parent as long as the element stays. */
export default function headGrid(component) {
  const { parentElement } = component;
  if (!grids.has(parentElement)) grids.set(parentElement, new HeadGrid(parentElement));
  grids.get(parentElement).update(component);
  return () => {
    grids.get(parentElement)?.destroy();
    grids.delete(parentElement);
  };
}
