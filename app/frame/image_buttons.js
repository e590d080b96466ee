/**
 * PNG and SVG of a Plotly figure elsewhere on the page, drawn by the Plotly that drew it.
 *
 * Streamlit keeps its Plotly to itself, but every figure's own camera button can be asked to
 * write a file: in a format of our choice, and on the colour of the page, which is transparent
 * otherwise.
 *
 * @import { ComponentArguments } from "../components/js/mount.js"
 *
 * @typedef {{ name: string, click: (figure: Figure) => void }} ModeBarButton
 *
 * @typedef {object} Plot What Plotly keeps on its element.
 * @property {{ paper_bgcolor: string }} layout
 * @property {{ toImageButtonOptions: object }} _context
 * @property {{ _modeBar?: { buttons?: ModeBarButton[][] } }} [_fullLayout]
 *
 * @typedef {Element & Plot} Figure
 */

const MIME = ["png", "svg"];

/**
 * @param {Figure} figure
 * @returns {ModeBarButton | undefined}
 */
function camera(figure) {
  const buttons = figure._fullLayout?._modeBar?.buttons ?? [];
  return buttons.flat().find((button) => button.name === "toImage");
}

/**
 * @param {string} target Class of the figure's container.
 * @param {string} name Of the file, without its ending.
 * @param {string} format
 * @returns {boolean} Whether there is a figure yet.
 */
function save(target, name, format) {
  /** @type {Figure | null} */
  const figure = document.querySelector(`.${CSS.escape(target)} .js-plotly-plot`);
  const button = figure && camera(figure);
  if (!button) return false;
  const { layout, _context: context } = figure;
  const { paper_bgcolor: ground } = layout;
  const { toImageButtonOptions: options } = context;
  const page = document.querySelector('[data-testid="stApp"]') ?? document.body;
  layout.paper_bgcolor = getComputedStyle(page).backgroundColor;
  // Twice the pixels of the screen: sharp on a projector. An SVG has no pixels.
  const scale = format === "png" ? 2 : 1;
  context.toImageButtonOptions = { format, filename: name, scale };
  button.click(figure); // copies the layout before it returns
  layout.paper_bgcolor = ground;
  context.toImageButtonOptions = options;
  return true;
}

/** @param {ComponentArguments<{ target: string, name: string }>} component */
export default function imageButtons({ parentElement, data }) {
  const row = document.createElement("div");
  row.className = "row";
  for (const format of MIME) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = format.toUpperCase();
    button.title = `Save as ${format.toUpperCase()}, as it is drawn now`;
    button.addEventListener("click", () => {
      const saved = save(data.target, data.name, format);
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
