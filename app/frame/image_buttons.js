/**
 * PNG and SVG of a figure: a chart elsewhere on the page, drawn by the Plotly that drew it, or a
 * drawing that comes with the data. Either says what it is, of which model and input, and when.
 *
 * Streamlit keeps its Plotly to itself, but every figure's own camera button can be asked to
 * write a file: in a format of our choice, and on the colour of the page, which is transparent
 * otherwise.
 *
 * @import { ComponentArguments } from "../components/js/mount.js"
 *
 * @typedef {{ name: string, click: (figure: Figure) => void }} ModeBarButton
 *
 * @typedef {object} Layout
 * @property {string} paper_bgcolor
 * @property {object} [title]
 * @property {{ t?: number }} [margin]
 *
 * @typedef {object} Plot What Plotly keeps on its element.
 * @property {Layout} layout
 * @property {{ toImageButtonOptions: object }} _context
 * @property {{ _modeBar?: { buttons?: ModeBarButton[][] }, height?: number, width?: number }} [_fullLayout]
 *
 * @typedef {Element & Plot} Figure
 *
 * @typedef {object} Taken
 * @property {string | null} target Class of the chart's container; null: there is a picture.
 * @property {string | null} picture A whole drawing as SVG.
 * @property {string} name Of the file, without its ending.
 * @property {string} title What it shows; written for Plotly, which reads markup.
 * @property {string} origin Model, input, heads and date; likewise.
 */

const MIME = ["png", "svg"];
// Pixels above a chart: for its title, and for each line below that; and of a letter there.
const TITLE = 44;
const LINE = 19;
// Of the title from the edge.
const EDGE = 16;
const LETTER = 6;
// Twice the pixels of the screen: sharp on a projector. An SVG has no pixels.
const SCALE = 2;

/**
 * @param {Figure} figure
 * @returns {ModeBarButton | undefined}
 */
function camera(figure) {
  const buttons = figure._fullLayout?._modeBar?.buttons ?? [];
  return buttons.flat().find((button) => button.name === "toImage");
}

/**
 * @param {string} text
 * @param {number} most Letters in a line.
 * @returns {string[]} The words in lines.
 */
function broken(text, most) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = `${lines[lines.length - 1]} ${word}`.trim();
    if (line.length > most) lines.push(word);
    else lines[lines.length - 1] = line;
  }
  return lines;
}

/**
 * @param {Taken} image
 * @param {string} format
 * @returns {boolean} Whether there is a figure yet.
 */
function saveChart(image, format) {
  /** @type {Figure | null} */
  const figure = document.querySelector(`.${CSS.escape(image.target ?? "")} .js-plotly-plot`);
  const button = figure && camera(figure);
  if (!button) return false;
  const { layout, _context: context } = figure;
  const { paper_bgcolor, title, margin } = layout;
  const { toImageButtonOptions: options } = context;
  const page = document.querySelector('[data-testid="stApp"]') ?? document.body;
  const lines = broken(image.origin, (figure._fullLayout?.width ?? 700) / LETTER);
  const heading = TITLE + LINE * lines.length;
  const small = lines.map((line) => `<span style="font-size:11px">${line}</span>`);
  const text = [`<b>${image.title}</b>`, ...small].join("<br>");
  layout.paper_bgcolor = getComputedStyle(page).backgroundColor;
  const height = (figure._fullLayout?.height ?? 450) + heading;
  layout.title = { text, font: { size: 15 }, x: 0, xref: "container", pad: { l: 10 } };
  Object.assign(layout.title, { y: 1 - EDGE / height, yref: "container", yanchor: "top" });
  layout.margin = { ...margin, t: (margin?.t ?? 0) + heading };
  const scale = format === "png" ? SCALE : 1;
  context.toImageButtonOptions = { format, filename: image.name, scale, height };
  button.click(figure); // copies the layout before it returns
  Object.assign(layout, { paper_bgcolor, title, margin });
  context.toImageButtonOptions = options;
  return true;
}

/**
 * @param {Blob} file
 * @param {string} name
 */
function download(file, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/**
 * @param {Taken} image
 * @param {string} format
 */
async function savePicture(image, format) {
  const drawing = new Blob([image.picture ?? ""], { type: "image/svg+xml" });
  if (format === "svg") {
    download(drawing, `${image.name}.svg`);
    return;
  }
  const shown = new Image();
  shown.src = URL.createObjectURL(drawing);
  await shown.decode();
  const canvas = document.createElement("canvas");
  // A drawing in millimetres is small on a screen.
  canvas.width = shown.width * SCALE * SCALE;
  canvas.height = shown.height * SCALE * SCALE;
  canvas.getContext("2d")?.drawImage(shown, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(shown.src);
  canvas.toBlob((file) => file && download(file, `${image.name}.png`));
}

/** @param {ComponentArguments<Taken>} component */
export default function imageButtons({ parentElement, data }) {
  const row = document.createElement("div");
  row.className = "row";
  for (const format of MIME) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = format.toUpperCase();
    button.title = `Save as ${format.toUpperCase()}, as it is drawn now`;
    button.addEventListener("click", () => {
      if (data.target === null) {
        void savePicture(data, format);
        return;
      }
      const saved = saveChart(data, format);
      note.textContent = saved ? "" : "The figure is not drawn yet; wait a moment.";
    });
    row.append(button);
  }
  const note = document.createElement("span");
  note.setAttribute("role", "status");
  row.append(note);
  const old = parentElement.querySelector(".row");
  if (old) old.replaceWith(row);
  else parentElement.append(row);
}
