"""What a person can take along from a figure: its numbers, and a page that needs nothing else.

Everything here is worked out when it is asked for, from frozen data: no Streamlit, no model.
"""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from analysis.definitions import Quantity
from app.links.link import link_parameters
from app.links.subject import Subject
from app.text import escape_html, numbered, plain_cell, plotly_plain, script_json
from app.theme import Palette

Cell = str | int | float | None
MIME = {
    "CSV": "text/csv",
    "JSON": "application/json",
    "HTML": "text/html",
    "Paper SVG": "image/svg+xml",
}
_ENDING = {"CSV": "csv", "JSON": "json", "HTML": "html", "Paper SVG": "paper.svg"}
# Rows of one file: 16 heads on 300 tokens are 722,400.
MAX_ROWS = 1_000_000
# Plotly draws for the window; a page of A4 between its margins is 680 px wide.
_ON_PAPER = """
const onScreen = {
    width: null, template: chart.layout.template, "font.color": chart.layout.font.color,
    paper_bgcolor: chart.layout.paper_bgcolor, plot_bgcolor: chart.layout.plot_bgcolor,
};
addEventListener("beforeprint", () => Plotly.relayout(chart, {
    width: 680, template: "none", "font.color": "#000", paper_bgcolor: "#fff", plot_bgcolor: "#fff",
}));
addEventListener("afterprint", () => Plotly.relayout(chart, onScreen));
"""
# Bytes of a row: of 32 heads on 250 tokens 43 as CSV and 50 as JSON, of long words twice as many.
_ROW = 64
# Bytes of a file without many rows, and of a page, which has Plotly or the grid inside.
_SMALL, _PAGE = 2**20, 48 * 2**20
# Rows that are turned into bytes at once.
_LINES = 4096
# Of a table that a page shows: a browser lays all of them out at once.
MAX_ROWS_SHOWN = 5_000


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers with the names of their columns; `rows` makes them anew each time.

    `count` says how many rows an array has, which can be more than fit into a file.
    """

    columns: tuple[str, ...]
    rows: Callable[[], Iterator[Sequence[Cell]]]
    count: int = 0

    @property
    def too_long(self) -> str:
        """Why it cannot be a file, in one sentence; empty where it can."""
        if self.count <= MAX_ROWS:
            return ""
        return (
            f"As a table this has {self.count:,} rows; a file takes at most {MAX_ROWS:,}. Export "
            "one head, or take a shorter text."
        )


@dataclass(frozen=True)
class About:
    """What a file says about itself.

    Args:
        subject: What it is about: model, input, heads.
        title: Its heading.
        reading: How to read it.
        definitions: The quantities that it shows.
        date: Of its numbers, as YYYY-MM-DD.
    """

    subject: Subject
    title: str
    reading: str
    definitions: tuple[Quantity, ...]
    date: str

    @property
    def view(self) -> dict[str, str]:
        """The query parameters of the page that it comes from."""
        selection = self.subject.selection
        return link_parameters(selection.page, selection.values)

    @property
    def origin(self) -> str:
        """Model, input, heads and date in one line."""
        return f"{self.subject.described} · numbers of {self.date}"


@dataclass(frozen=True, eq=False)
class Exhibit:
    """One thing in a frame that can be taken along.

    Args:
        name: What it is, different for each exhibit of a frame; part of its files' names.
        table: Its numbers.
        page: The body of a standalone page, given the name of its file.
        chart: The CSS class of a Plotly chart on the page, which draws its own PNG and SVG.
        paper: Draws it for print, as SVG; given the line that says where it comes from.
        picture: The same for the screen, where no chart on the page can give it.
        title: Its heading, where that is not the frame's.
        subject: What it is about, where that is not what the frame is about.
    """

    name: str
    table: Callable[[], Table]
    page: Callable[[str], str] | None = None
    chart: str | None = None
    paper: Callable[[str], bytes] | None = None
    picture: Callable[[str], bytes] | None = None
    title: str | None = None
    subject: Subject | None = None


@dataclass(eq=False)
class Frame:
    """What stands around one figure.

    Args:
        subject: What the figure is about.
        title: Its title; may quote tokens.
        reading: How to read it; goes into files as well.
        quantities: What is shown; the code computes these.
        also: What else a reader may look up.
        date: Of its numbers.
        exhibits: What has been drawn in it.
        claim: What it says in one sentence, for who keeps it; empty where only its reader can say.
    """

    subject: Subject
    title: str
    reading: str
    quantities: tuple[Quantity, ...]
    also: tuple[Quantity, ...]
    date: str
    exhibits: list[Exhibit] = field(default_factory=list)
    claim: str = ""

    def narrow(self, **choices: Any) -> None:
        """Settle what the page could only pick once it had the numbers, such as how many edges."""
        self.subject = replace(self.subject, **choices)

    def about(self, exhibit: Exhibit) -> About:
        """What the files of one of its exhibits say about themselves."""
        subject = exhibit.subject or self.subject
        title = exhibit.title or self.title
        return About(subject, title, self.reading, (*self.quantities, *self.also), self.date)


def exhibit_files(
    exhibit: Exhibit, about: About, palette: Palette, name: str, link: str
) -> dict[str, Callable[[], bytes]]:
    """The files that can be made of an exhibit, by their kind."""
    files: dict[str, Callable[[], bytes]] = {}
    table = exhibit.table()
    if not table.too_long:
        files["CSV"] = lambda: to_csv(table)
        files["JSON"] = lambda: to_json(table, about)
    if page := exhibit.page:
        drawn = exhibit.chart is not None
        files["HTML"] = lambda: standalone_page(page(name), about, palette, link, drawn)
    if paper := exhibit.paper:
        files["Paper SVG"] = lambda: paper(about.origin)
    return files


def file_of(name: str, kind: str) -> str:
    """The full name of a file of one of the kinds of `exhibit_files`."""
    return f"{name}.{_ENDING[kind]}"


def file_name(subject: Subject, what: str) -> str:
    """A file's name without its ending, such as `L1H4-pattern-attn-only-2l`."""
    # What is drawn may quote a token, and a title may name the head again.
    plain = re.sub("[^a-zA-Z0-9]+", "-", what).strip("-")[:50].strip("-").lower()
    known = subject.name.lower()
    plain = plain.removeprefix(f"{known}-") if known else plain
    return "-".join(filter(None, (subject.name, plain, subject.selection.info.name)))[:120]


def array_table(
    values: np.ndarray, axes: Sequence[Sequence[str]], columns: Sequence[str], causal: bool = True
) -> Table:
    """A table with one row for each entry of an array.

    Args:
        values: The array.
        axes: For each dimension, what its entries are called.
        columns: Names of the dimensions, and of the value.
        causal: Leave out entries above the diagonal of the last two dimensions, which are no
            entries of a pattern.
    """

    def rows() -> Iterator[Sequence[Cell]]:
        for place in np.ndindex(values.shape):
            if not causal or place[-1] <= place[-2]:
                named = (axis[i] for axis, i in zip(axes, place, strict=True))
                yield *named, float(f"{values[place]:.6g}")

    *outer, n_rows, n_columns = values.shape
    # Row i of a pattern has i + 1 entries.
    each = n_rows * (n_rows + 1) // 2 if causal else n_rows * n_columns
    return Table(tuple(columns), rows, math.prod(outer) * each)


def pattern_table(
    pattern: np.ndarray, heads: Sequence[str], labels: Sequence[str], unit: str = "attention"
) -> Table:
    """Patterns [head, dest, src] with both tokens written out; `unit` is what a cell is."""
    places = numbered(labels)
    names = ("head", "destination (query)", "source (key)", unit)
    return array_table(pattern, (heads, places, places), names)


def as_rows(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Columns of one length as rows."""
    names = tuple(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def record_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Rows as a table on the page shows them."""
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return Table(columns, lambda: ([_cell(row.get(name)) for name in columns] for row in rows))


def figure_table(figure: go.Figure) -> Table:
    """The numbers of a Plotly figure: a row for each cell, bar or point that can be seen."""
    axis = {
        "x": plotly_plain(figure.layout.xaxis.title.text or "x"),
        "y": plotly_plain(figure.layout.yaxis.title.text or "y"),
    }
    value = "value"
    for trace in figure.data:
        if trace.type == "heatmap" and trace.colorbar.title.text:
            value = plotly_plain(trace.colorbar.title.text)
    columns = ("series", axis["y"], axis["x"], value, "text")

    def rows() -> Iterator[Sequence[Cell]]:
        for number, trace in enumerate(figure.data):
            # Invisible points only take clicks; marks without a hover only stand out.
            decorates = trace.hoverinfo == "skip" and (not trace.name or trace.mode == "markers")
            if trace.type == "scatter" and (trace.marker.opacity == 0 or decorates):
                continue
            series = plotly_plain(trace.name or str(number))
            for row in _cells(trace) if trace.type == "heatmap" else _points(trace):
                yield series, *row

    return Table(columns, rows)


def to_csv(table: Table) -> bytes:
    """CSV with a header; a text that a spreadsheet would run as a formula is led by `'`."""

    def lines() -> Iterator[str]:
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(map(plain_cell, table.columns))
        for row in table.rows():
            writer.writerow([plain_cell(cell) if isinstance(cell, str) else cell for cell in row])
            yield out.getvalue()
            out.seek(0)
            out.truncate()
        yield out.getvalue()

    # With a mark at the front spreadsheets read it as UTF-8.
    return _encoded("\ufeff", lines())


def to_json(table: Table, about: About) -> bytes:
    """JSON with what the numbers are, of which model, and the view they come from."""
    quantities = [
        {"name": d.name, "meaning": d.meaning, "formula": d.formula, "unit": d.unit}
        for d in about.definitions
    ]
    document = {
        "title": about.title,
        "about": about.subject.name,
        "quantities": quantities,
        "model": about.subject.selection.info.title,
        "input": about.subject.selection.input_said if about.subject.on_input else None,
        "date": about.date,
        "view": about.view,
        "columns": list(table.columns),
        "rows": [],
    }
    head, end = _json(document).rsplit("]", 1)

    def rows() -> Iterator[str]:
        for number, row in enumerate(table.rows()):
            yield f"{', ' if number else ''}{_json(list(row))}"
        yield f"]{end}"

    return _encoded(head, rows())


def bytes_needed(kind: str, table: Table) -> int:
    """Memory that a file takes while it is made, rather too much than too little."""
    if kind in ("CSV", "JSON"):
        return _SMALL + 2 * _ROW * table.count
    return _PAGE if kind == "HTML" else _SMALL


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _encoded(head: str, parts: Iterator[str]) -> bytes:
    """All of a text, of which never more than a few lines are held as text."""
    done, pieces = [head.encode()], iter(parts)
    while some := "".join(islice(pieces, _LINES)):
        done.append(some.encode())
    return b"".join(done)


def element_id(kind: str, name: str) -> str:
    """The id of what a file of that name shows: Plotly writes it into the page as it is."""
    return f"{kind}-{re.sub('[^a-zA-Z0-9]+', '-', name)}"


def figure_body(figure: go.Figure, palette: Palette, name: str) -> str:
    """A Plotly figure, for a page that has Plotly, and buttons that save it as PNG and SVG."""
    drawn = go.Figure(figure.data, figure.layout)
    drawn.update_layout(
        template="plotly_dark" if palette.dark else "plotly_white",
        font_color=palette.text,
        paper_bgcolor=palette.background,
        plot_bgcolor=palette.background,
    )
    place = element_id("figure", name)
    chart = drawn.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=place,
        config={"displaylogo": False, "responsive": True},
    )
    save = "".join(
        f"<button type=button data-format={kind}>Save as {kind.upper()}</button> "
        for kind in ("png", "svg")
    )
    return (
        f'<div class="figure">{chart}<p>{save}</p></div><script>{{'
        f"const chart = document.getElementById({script_json(place)});"
        "for (const button of chart.closest('.figure').querySelectorAll('[data-format]'))"
        " button.onclick = () => Plotly.downloadImage(chart, "
        f"{{format: button.dataset.format, filename: {script_json(name)}, scale: 2}});"
        f"{_ON_PAPER}}}</script>"
    )


def standalone_page(
    body: str, about: About, palette: Palette, link: str, plotly: bool = False
) -> bytes:
    """A page of its own with a figure, how to read it and what it is; it loads nothing.

    Args:
        body: The figure.
        about: What the page says of it.
        palette: Its theme.
        link: To the view in the app.
        plotly: Whether the body holds a figure that Plotly draws.
    """
    origin = f'<p>{escape_html(about.origin)} · <a href="{escape_html(link)}">this view</a></p>'
    return document(
        about.title,
        f"<h1>{escape_html(about.title)}</h1>{origin}<p>{escape_html(about.reading)}</p>"
        f"{body}{definitions_body(about.definitions)}",
        palette,
        f"<script>{get_plotlyjs()}</script>" if plotly else "",
    )


def definitions_body(definitions: Sequence[Quantity]) -> str:
    """What quantities are, under a heading each."""
    return "".join(
        f"<h2>{escape_html(d.name)}</h2><p>{escape_html(d.meaning)}</p>"
        f"<pre>{escape_html(d.formula)}</pre>"
        f"<p>Range and unit: {escape_html(d.unit)}. Source: {escape_html(d.source)}.</p>"
        for d in definitions
    )


def document(title: str, body: str, palette: Palette, library: str = "") -> bytes:
    """A page that needs no server: a title as plain text, a body, and the script that draws it.

    Args:
        title: Of the window.
        body: HTML.
        palette: Its theme.
        library: A script that stands before the body: Plotly, or a file beside the page with it.
    """
    style = (
        f"html{{background:{palette.background};color:{palette.text};"
        f"color-scheme:{'dark' if palette.dark else 'light'}}}"
        "body{max-width:70rem;margin:1.5rem auto;padding:0 1rem;"
        "font:16px/1.5 system-ui,sans-serif}"
        "h2{font-size:1rem;margin:1.5rem 0 0}pre{white-space:pre-wrap}"
        "iframe{width:100%;border:0}svg{max-width:100%;height:auto}"
        "table{border-collapse:collapse}th,td{padding:.2rem .7rem;text-align:left;"
        f"border-bottom:1px solid {palette.muted}}}"
        # On paper, which is white and narrow; a figure of Plotly's is drawn anew by its own script.
        "@media print{html{background:#fff;color:#000;color-scheme:light}button{display:none}"
        "body{max-width:none;margin:0;padding:0}table{font-size:9pt;overflow-wrap:anywhere}"
        "svg,iframe,tr{break-inside:avoid}}"
    )
    policy = (
        "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'unsafe-inline'; img-src 'self' data: blob:; frame-src data: blob:"
    )
    return bare_document(title, body, style, policy, library)


def bare_document(title: str, body: str, style: str, policy: str, library: str = "") -> bytes:
    """A page by its parts.

    Args:
        title: As plain text.
        body: HTML.
        style: CSS.
        policy: What it may load and run: nothing from elsewhere, even if a text got through as
            markup, so it allows no host.
        library: A script that stands before the body.
    """
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape_html(title)}</title><style>{style}</style>{library}</head><body>"
        f"{body}</body></html>"
    ).encode()


def table_body(table: Table) -> str:
    """A table as HTML; of a very long one the first rows."""
    head = "".join(f"<th>{escape_html(name)}</th>" for name in table.columns)
    rows = "".join(
        f"<tr>{''.join(f'<td>{_shown(cell)}</td>' for cell in row)}</tr>"
        for row in islice(table.rows(), MAX_ROWS_SHOWN)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def framed_body(page: str, height: int) -> str:
    """A whole page inside another one, cut off from it: only its own script runs in there."""
    return (
        f'<iframe sandbox="allow-scripts" height="{height}" srcdoc="{escape_html(page)}"></iframe>'
    )


def _cells(trace: go.Heatmap) -> Iterator[tuple[Cell, ...]]:
    z = np.asarray(trace.z)
    n_rows, n_columns = z.shape
    x = range(n_columns) if trace.x is None else trace.x
    y = range(n_rows) if trace.y is None else trace.y
    for row, column in np.ndindex(z.shape):
        # Empty cells are no numbers: sources ahead of the destination, heads without a score.
        if (number := _cell(z[row, column])) is not None:
            note = _note(trace, (row, column))
            yield _place(y[row]), _place(x[column]), number, note


def _points(trace: go.Scatter | go.Bar) -> Iterator[tuple[Cell, ...]]:
    n = max(len(each) for each in (trace.x, trace.y, ()) if each is not None)
    x = range(n) if trace.x is None else trace.x
    y = range(n) if trace.y is None else trace.y
    for place in range(n):
        yield _place(y[place]), _place(x[place]), None, _note(trace, (place,))


def _shown(cell: Cell) -> str:
    return (
        "" if cell is None else escape_html(f"{cell:.4g}" if isinstance(cell, float) else str(cell))
    )


def _note(trace: Any, place: tuple[int, ...]) -> str:
    """What the figure says about a point beside its numbers, as plain text."""
    said: list[str] = []
    for each in (trace.text, trace.hovertext, trace.customdata):
        if each is None or isinstance(each, str):
            continue
        entry: Any = each
        for index in place:
            entry = entry[index] if index < len(entry) else ""
        said += map(str, entry) if isinstance(entry, (list, tuple, np.ndarray)) else [str(entry)]
    return plotly_plain("; ".join(dict.fromkeys(filter(None, said))))


def _place(value: Any) -> Cell:
    """A coordinate, which may be the name of a category."""
    return plotly_plain(value) if isinstance(value, str) else _cell(value)


def _cell(value: Any) -> Cell:
    if value is None or (isinstance(value, (float, np.floating)) and not math.isfinite(value)):
        return None
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}")
    return str(value)
