/**
 * Two attention patterns and their difference, with one pointer for all.
 *
 * Words: dest is the token that attends (row), src the one attended to (column). Every string of
 * the payload is hostile: text reaches the page only as text nodes, never as HTML.
 */

const BITS = 65535; // the largest of the two-byte cells stands for 1.0
const WIDE = 760; // px from which the difference stands beside the two patterns
const TICK = 13; // px a token label needs
const SIDE = 66; // px for the labels left of a picture
const FOOT = 66; // px for the labels below it
const FEW = 64; // tokens up to which names are worth more than a larger picture
const LABEL = 9; // characters of a token on an axis
const QUIET = 0.1; // the difference scale never ends below this: trifles must not look like news

function read(bytes) {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const cells = new Uint16Array(bytes.slice(4 + length).buffer); // typed arrays need aligned memory
  let start = 0;
  for (const pane of header.panes) {
    pane.n = pane.labels.length;
    pane.values = cells.subarray(start, start + (pane.n * (pane.n + 1)) / 2);
    start += pane.values.length;
  }
  return header;
}

const cellOf = (dest, src) => (dest * (dest + 1)) / 2 + src;
const valueAt = (pane, dest, src) => pane.values[cellOf(dest, src)] / BITS;
const cut = (text) => (text.length > LABEL ? `${text.slice(0, LABEL - 1)}…` : text);
const signed = (value, digits) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;

function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** 256 colours, as pixels, along a scale of hex colours at equal distances. */
function ramp(colours) {
  const stops = colours.map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  const bytes = new Uint8ClampedArray(256 * 4).fill(255);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (stops.length - 1);
    const below = Math.min(stops.length - 2, Math.floor(at));
    for (let c = 0; c < 3; c++) {
      bytes[4 * i + c] = stops[below][c] + (stops[below + 1][c] - stops[below][c]) * (at - below);
    }
  }
  return new Uint32Array(bytes.buffer);
}

class PatternPair {
  constructor(parent) {
    this.panes = el("div", { class: "pp-panes" });
    this.readout = el("p", { class: "pp-readout" });
    this.live = el("div", { class: "pp-live", "aria-live": "polite" });
    this.root = el("div", { class: "pp" }, this.panes, this.readout, this.live);
    parent.append(this.root);
    this.resizes = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry.contentRect.width);
      if (width && width !== this.width) this.layout(width);
    });
    this.resizes.observe(this.root);
  }

  update({ data: bytes }) {
    const header = read(bytes);
    if (this.header?.id === header.id) return;
    this.header = header;
    this.cell = null;
    const [a, b] = header.panes;
    this.same = a.n === b.n;
    this.maps = [
      { key: "a", name: "A", pane: a, scale: header.sequential, value: (i) => a.values[i] / BITS },
      { key: "b", name: "B", pane: b, scale: header.sequential, value: (i) => b.values[i] / BITS },
    ];
    if (this.same) {
      let most = QUIET;
      for (let i = 0; i < a.values.length; i++) {
        most = Math.max(most, Math.abs(b.values[i] - a.values[i]) / BITS);
      }
      this.most = most;
      const value = (i) => 0.5 + (b.values[i] - a.values[i]) / BITS / (2 * most);
      const pane = { ...a, title: "Difference", note: "B − A, cell by cell" };
      this.maps.push({ key: "d", name: "B − A", pane, scale: header.diverging, value });
    }
    this.root.style.setProperty("--pp-accent", header.accent);
    this.root.dataset.panes = String(this.maps.length);
    this.build();
    this.layout(Math.floor(this.root.clientWidth) || 900);
    this.point(null);
  }

  build() {
    this.panes.replaceChildren();
    for (const map of this.maps) {
      map.canvas = el("canvas", { class: "pp-canvas", "aria-hidden": "true" });
      map.mark = el("div", { class: "pp-mark", hidden: "" });
      map.row = el("div", { class: "pp-line", hidden: "" });
      map.column = el("div", { class: "pp-line", hidden: "" });
      map.rows = el("div", { class: "pp-rows", "aria-hidden": "true" });
      map.columns = el("div", { class: "pp-columns", "aria-hidden": "true" });
      map.picture = el(
        "div",
        {
          class: "pp-picture",
          role: "img",
          tabindex: "0",
          "data-pane": map.key,
          "aria-label":
            `${map.name}: ${map.pane.title}, ${map.pane.n} tokens. ` +
            "Rows are destinations, columns sources; arrow keys move the pointer.",
        },
        map.canvas,
        map.row,
        map.column,
        map.mark,
      );
      map.heading = el(
        "p",
        { class: "pp-title" },
        el("b", {}, map.name),
        document.createTextNode(` ${map.pane.title}`),
      );
      const note = el("p", { class: "pp-note" }, map.pane.note);
      const frame = el("div", { class: "pp-frame" }, map.rows, map.picture, map.columns);
      map.figure = el("figure", {}, map.heading, note, frame, this.legend(map));
      this.panes.append(map.figure);
      this.listen(map);
    }
  }

  legend(map) {
    const [low, high] =
      map.key === "d" ? [signed(-this.most, 2), signed(this.most, 2)] : ["0", "1"];
    const bar = el("span", { class: "pp-bar" });
    bar.style.background = `linear-gradient(90deg, ${map.scale.join(", ")})`;
    return el("p", { class: "pp-legend" }, low, bar, high);
  }

  layout(width) {
    this.width = width;
    const wide = width >= WIDE;
    const columns = wide ? this.maps.length : 2;
    this.panes.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    const gap = 18;
    const room = (width - gap * (columns - 1)) / columns;
    // Where room is short, numbers stand on the axes and the readout names the tokens.
    const few = Math.max(...this.maps.map((map) => map.pane.n)) <= FEW;
    const side = room > 300 || (few && room > 200) ? SIDE : 22;
    const size = Math.max(80, Math.min(Math.floor(room - side), 460));
    for (const map of this.maps) this.draw(map, size, side);
    this.place();
  }

  draw(map, size, side) {
    const { pane } = map;
    const ratio = Math.max(1, Math.min(2, window.devicePixelRatio || 1));
    const pixels = Math.round(size * ratio);
    map.size = size;
    map.figure.style.width = `${side + size}px`;
    map.picture.style.width = map.picture.style.height = `${size}px`;
    map.canvas.width = map.canvas.height = pixels;
    const image = new ImageData(pixels, pixels);
    const out = new Uint32Array(image.data.buffer);
    const colours = ramp(map.scale);
    const token = Uint16Array.from({ length: pixels }, (_, i) => Math.floor((i * pane.n) / pixels));
    for (let y = 0; y < pixels; y++) {
      const row = cellOf(token[y], 0);
      for (let x = 0; x < pixels && token[x] <= token[y]; x++) {
        out[y * pixels + x] = colours[Math.round(255 * map.value(row + token[x]))];
      }
    }
    map.canvas.getContext("2d").putImageData(image, 0, 0);
    this.ticks(map, side);
  }

  ticks(map, side) {
    const { pane, size } = map;
    const pitch = size / pane.n;
    const named = side === SIDE;
    const step = Math.max(1, Math.ceil((named ? TICK : 2 * TICK) / pitch));
    const rows = [];
    const columns = [];
    for (let i = 0; i < pane.n; i += step) {
      const text = named ? cut(pane.labels[i]) : String(i);
      const row = el("span", {}, text);
      row.style.top = `${(i + 0.5) * pitch}px`;
      rows.push(row);
      const column = el("span", {}, text);
      column.style.left = `${side + (i + 0.5) * pitch}px`;
      columns.push(column);
    }
    map.rows.replaceChildren(...rows);
    map.rows.style.width = `${side}px`;
    map.rows.style.height = `${size}px`;
    map.columns.replaceChildren(...columns);
    map.columns.classList.toggle("pp-numbers", !named);
    map.columns.style.height = `${named ? FOOT : 24}px`;
  }

  listen(map) {
    const at = (event) => {
      const box = map.picture.getBoundingClientRect();
      const index = (place, length) =>
        Math.min(map.pane.n - 1, Math.max(0, Math.floor((place / length) * map.pane.n)));
      return {
        key: map.key,
        dest: index(event.clientY - box.top, box.height),
        src: index(event.clientX - box.left, box.width),
      };
    };
    map.picture.addEventListener("pointermove", (event) => this.point(at(event)));
    map.picture.addEventListener("pointerdown", (event) => this.point(at(event)));
    map.picture.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch") this.point(null);
    });
    map.picture.addEventListener("blur", () => this.point(null));
    map.picture.addEventListener("keydown", (event) => {
      const step = {
        ArrowLeft: [0, -1],
        ArrowRight: [0, 1],
        ArrowUp: [-1, 0],
        ArrowDown: [1, 0],
      }[event.key];
      if (!step) return;
      event.preventDefault();
      const { dest, src } = this.cell ?? { dest: map.pane.n - 1, src: 0 };
      const below = Math.min(map.pane.n - 1, Math.max(0, dest + step[0]));
      const column = Math.min(below, Math.max(0, src + step[1]));
      this.point({ key: map.key, dest: below, src: column });
      this.live.textContent = this.readout.textContent;
    });
  }

  /** Mark a cell in every pane that has it; null, or a cell ahead of its row, marks none. */
  point(cell) {
    this.cell = cell && cell.src <= cell.dest ? cell : null;
    this.root.dataset.cell = this.cell ? `${this.cell.dest},${this.cell.src}` : "";
    this.place();
    this.say();
  }

  place() {
    for (const map of this.maps) {
      const shown = this.cell && (this.same || this.cell.key === map.key);
      for (const part of [map.mark, map.row, map.column]) part.hidden = !shown;
      if (!shown) continue;
      const pitch = map.size / map.pane.n;
      const [x, y] = [this.cell.src * pitch, this.cell.dest * pitch];
      const wide = Math.max(pitch, 7); // a cell of 2 px could not be seen
      const middle = pitch / 2;
      place(map.mark, x + middle - wide / 2, y + middle - wide / 2, wide, wide);
      place(map.row, 0, y + middle, map.size, 1);
      place(map.column, x + middle, 0, 1, map.size);
      map.mark.dataset.cell = `${this.cell.dest},${this.cell.src}`;
    }
  }

  say() {
    const [a, b] = this.header.panes;
    if (!this.cell) {
      this.readout.replaceChildren(
        this.same
          ? "Point at a cell, or use the arrow keys: it is marked in every pane."
          : `A has ${a.n} tokens and B has ${b.n}: their cells do not correspond, so there is ` +
              "no difference map and each side is pointed at by itself.",
      );
      return;
    }
    const { dest, src, key } = this.cell;
    const panes = this.same ? [a, b] : [key === "a" ? a : b];
    const token = (place) => [...new Set(panes.map((pane) => pane.labels[place]))].join(" / ");
    const parts = [
      ["destination", `${dest} ${token(dest)}`],
      ["source", `${src} ${token(src)}`],
    ];
    if (this.same || key === "a") parts.push(["A", valueAt(a, dest, src).toFixed(4)]);
    if (this.same || key === "b") parts.push(["B", valueAt(b, dest, src).toFixed(4)]);
    if (this.same) {
      parts.push(["B − A", signed(valueAt(b, dest, src) - valueAt(a, dest, src), 4)]);
    }
    this.readout.replaceChildren(
      ...parts.map(([name, text]) => el("span", {}, `${name} `, el("b", {}, text), " ")),
    );
  }

  destroy() {
    this.resizes.disconnect();
    this.root.remove();
  }
}

function place(element, left, top, width, height) {
  Object.assign(element.style, {
    left: `${left}px`,
    top: `${top}px`,
    width: `${width}px`,
    height: `${height}px`,
  });
}

const pairs = new WeakMap();

/** Called at every run of the script, with the same parent as long as the element stays. */
export default function patternPair(component) {
  const { parentElement } = component;
  if (!pairs.has(parentElement)) pairs.set(parentElement, new PatternPair(parentElement));
  pairs.get(parentElement).update(component);
  return () => {
    pairs.get(parentElement)?.destroy();
    pairs.delete(parentElement);
  };
}
