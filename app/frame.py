"""The frame that every figure stands in: title, how to read it, the figure, its definition.

Whatever is drawn inside a frame can be taken along from its `Export` button.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import plotly.graph_objects as go
import streamlit as st
from streamlit.components.v2.types import ComponentRenderer
from streamlit.delta_generator import DeltaGenerator

from analysis.definitions import Definition
from analysis.errors import AnalysisError
from analysis.heads import Head
from app.export import (
    MIME,
    About,
    Exhibit,
    Table,
    exhibit_files,
    figure_body,
    figure_table,
    file_name,
    file_of,
    record_table,
    table_body,
)
from app.glossary import glossary_link, linked
from app.navigation import streamlit_page
from app.selection import Selection, Value, choose, current_selection, link_parameters
from app.share import view_link
from app.snippets import snippet
from app.text import markdown_text
from app.theme import palette

# Pixels: two metrics side by side on a narrow screen, where columns would cut their numbers off.
METRIC = 185
_CHART = {
    "displaylogo": False,
    # Its camera knows one format; Export has PNG and SVG, and a name for the file.
    "modeBarButtonsToRemove": ["select2d", "lasso2d"],
}
_FOLDER = Path(__file__).parent
# What has been drawn in the frame that is open.
_exhibits: ContextVar[list[Exhibit] | None] = ContextVar("exhibits", default=None)


@contextmanager
def figure_frame(
    title: str, reading: str, *definitions: Definition, focus: Head | None = None
) -> Iterator[None]:
    """Title, one sentence on how to read the figure, the figure itself, and what it is.

    Title and sentence may quote tokens: they are shown as text, whatever they hold. `focus` is the
    head that the figure is about where neither the title nor the link names it.
    """
    with st.container(border=True):
        bar = st.container(
            horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
        )
        bar.subheader(markdown_text(title), anchor=False, width="content")
        tools = bar.container(horizontal=True, width="content", gap="xsmall")
        with tools.popover("Definition", type="tertiary", width="content"):
            for quantity in definitions:
                st.markdown(f"**{glossary_link(quantity.name)}.** {linked(quantity.meaning)}")
                st.code(quantity.formula, language=None, wrap_lines=True)
                st.markdown(f"Range and unit: {quantity.unit}.  \nSource: {quantity.source}.")
        selection = current_selection()
        if code := snippet(definitions, selection, focus or _head_of(title, selection)):
            with tools.popover("Code", type="tertiary", width="content"):
                st.caption("The numbers, in a notebook with TransformerLens 4.3:")
                st.code(code, "python", height=420)
        st.caption(linked(reading))
        exhibits: list[Exhibit] = []
        around = _exhibits.set(exhibits)
        try:
            yield
        finally:
            _exhibits.reset(around)
        if exhibits:
            with tools.popover("Export", type="tertiary", width="content"):
                _draw_exports(title, reading, definitions, exhibits)


def _head_of(title: str, selection: Selection) -> Head:
    """The head that a figure is about: named in its title, else in focus, else the last layer's."""
    if named := re.search(r"L\d{1,4}H\d{1,4}", title):
        return Head.parse(named[0])
    layer, head = selection["layer"], selection["head"]
    return Head(layer if layer >= 0 else selection.info.n_layers - 1, max(head, 0))


def offer(exhibit: Exhibit) -> None:
    """Let the frame that is open export something that `draw` did not draw."""
    if (exhibits := _exhibits.get()) is not None:
        exhibits.append(exhibit)


def draw(figure: go.Figure, key: str, paper: Callable[[], bytes] | None = None) -> None:
    """A Plotly figure at full width; `paper` draws it for print."""
    _offer_figure(figure, key, paper)
    st.plotly_chart(figure, key=key, config=_CHART)


def draw_table(
    rows: Sequence[Mapping[str, object]],
    key: str,
    column_config: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    """A table with a name for each column; `options` are those of `st.dataframe`."""
    offer_rows(rows, key)
    st.dataframe(rows, hide_index=True, column_config=column_config, **options)


def offer_rows(rows: Sequence[Mapping[str, object]], key: str) -> None:
    """Let the frame that is open export rows, as a table."""

    def table() -> Table:
        return record_table(rows)

    offer(Exhibit(key, table, page=lambda name: table_body(table())))


def _offer_figure(figure: go.Figure, key: str, paper: Callable[[], bytes] | None = None) -> None:
    theme = palette()
    chart = f"st-key-{re.sub('[^a-zA-Z0-9_-]', '-', key.strip())}"
    offer(
        Exhibit(
            key,
            lambda: figure_table(figure),
            page=lambda name: figure_body(figure, theme, name),
            chart=chart,
            paper=paper,
        )
    )


@cache
def _image_buttons() -> ComponentRenderer:
    return st.components.v2.component(
        "image_buttons",
        js=(_FOLDER / "image_buttons.js").read_text(encoding="utf-8"),
        css=(_FOLDER / "image_buttons.css").read_text(encoding="utf-8"),
    )


def _draw_exports(
    title: str, reading: str, definitions: Sequence[Definition], exhibits: Sequence[Exhibit]
) -> None:
    """Buttons for each exhibit; a file is made when its button is pressed."""
    selection = current_selection()
    about = About(
        title,
        reading,
        tuple(definitions),
        selection.info.title,
        link_parameters(selection.page, selection.values),
    )
    link, theme = view_link(selection.page, about.view), palette()
    heads = re.findall(r"L\d+H\d+", title)
    if selection.page == "head":
        heads = [Head(selection["layer"], selection["head"]).label]
    quantity = definitions[0].name if definitions else title
    for number, exhibit in enumerate(exhibits):
        name = file_name(selection.info.name, heads, quantity)
        if len(exhibits) > 1:
            name = f"{name}_{number + 1}"
            st.markdown(f"**{markdown_text(_heading(exhibit.name))}**")
        files = exhibit_files(exhibit, about, theme, name, link)
        with st.container(horizontal=True, vertical_alignment="center"):
            if exhibit.chart:
                _image_buttons()(
                    key=f"images {exhibit.name}", data={"target": exhibit.chart, "name": name}
                )
            for kind, make in files.items():
                st.download_button(
                    kind,
                    make,
                    file_name=file_of(name, kind),
                    mime=MIME[kind],
                    key=f"{kind} {exhibit.name}",
                    on_click="ignore",
                )


def _heading(name: str) -> str:
    """An exhibit's name as a heading; heads in it keep their capitals."""
    text = name.replace("-", " ")
    return text[:1].upper() + text[1:]


def draw_head_map(figure: go.Figure, key: str) -> None:
    """A figure of `figures.head_map`; a click on a cell puts its head in focus."""
    draw_choice(figure, key, ("layer", "head"))


def _clicked_numbers(event: Any) -> list[int]:
    """The whole numbers that the clicked point carries; none where the browser sent others."""
    points = event["selection"]["points"]
    data = points[0].get("customdata") if points else None
    # Plotly sends arrays as bytes; the browser then reports a row of them as {"0": .., "1": ..}.
    numbers = list(data.values()) if isinstance(data, Mapping) else data
    if not isinstance(numbers, list) or not all(isinstance(n, int | float) for n in numbers):
        return []
    return [int(n) for n in numbers if math.isfinite(n)]


def _clicked_row(event: Any, count: int) -> int | None:
    """Which of `count` rows was ticked, if one was."""
    rows = event["selection"]["rows"]
    return rows[0] if rows and rows[0] in range(count) else None


def _draw_clickable(
    figure: go.Figure,
    key: str,
    act: Callable[[list[int]], None],
    paper: Callable[[], bytes] | None = None,
) -> Any:
    """A figure that hands the whole numbers of a clicked point to `act`, before the next run."""

    def take() -> None:
        if numbers := _clicked_numbers(st.session_state[key]):
            act(numbers)

    _offer_figure(figure, key, paper)
    return st.plotly_chart(figure, key=key, config=_CHART, on_select=take, selection_mode="points")


def draw_choice(
    figure: go.Figure,
    key: str,
    parameters: tuple[str, ...],
    paper: Callable[[], bytes] | None = None,
) -> None:
    """A figure whose points carry a whole number for each of `parameters`; a click sets those."""
    _draw_clickable(figure, key, lambda numbers: _choose_numbers(parameters, numbers), paper)


def _choose_numbers(parameters: tuple[str, ...], numbers: list[int]) -> None:
    if len(numbers) == len(parameters):
        choose(**dict(zip(parameters, numbers, strict=True)))


def draw_head_graph(
    figure: go.Figure, key: str, selection: Selection, parameters: tuple[str, ...]
) -> None:
    """A graph of heads: a click on a node opens its dossier, one on an edge sets `parameters`.

    Nodes carry layer and head, edges a whole number for each parameter: more than two. An edge
    with another count of numbers does nothing.
    """
    event = _draw_clickable(figure, key, lambda numbers: _choose_numbers(parameters, numbers))
    _open_clicked(selection, event)


def draw_heads_to_open(figure: go.Figure, key: str, selection: Selection) -> None:
    """A figure whose points carry layer and head; a click opens that head's dossier."""
    _offer_figure(figure, key)
    event = st.plotly_chart(
        figure, key=key, config=_CHART, on_select="rerun", selection_mode="points"
    )
    _open_clicked(selection, event)


def _open_clicked(selection: Selection, event: Any) -> None:
    sizes = (selection.info.n_layers, selection.info.n_heads)
    numbers = _clicked_numbers(event)
    if len(numbers) == 2 and all(n in range(size) for n, size in zip(numbers, sizes, strict=True)):
        go_to_head(selection, Head(*numbers))


def draw_options(figure: go.Figure, key: str, options: Sequence[Mapping[str, Value]]) -> None:
    """A figure whose points carry their place in `options`; a click chooses those values."""

    def take(numbers: list[int]) -> None:
        if numbers[0] in range(len(options)):
            choose(**options[numbers[0]])

    _draw_clickable(figure, key, take)


def draw_rows_to_choose(
    rows: Sequence[Mapping[str, object]],
    options: Sequence[Mapping[str, Value]],
    key: str,
    column_config: Mapping[str, Any] | None = None,
) -> None:
    """A table with one row for each of `options`; a tick chooses those values."""

    def take() -> None:
        row = _clicked_row(st.session_state[key], len(options))
        if row is not None:
            choose(**options[row])

    offer_rows(rows, key)
    st.dataframe(
        rows,
        hide_index=True,
        key=key,
        on_select=take,
        selection_mode="single-row",
        column_config=column_config,
    )


def draw_rows_to_open(
    rows: Sequence[Mapping[str, object]],
    heads: Sequence[Head],
    key: str,
    selection: Selection,
) -> None:
    """A table with one row for each of `heads`; a tick opens that head's dossier."""
    numbers = {name for row in rows for name, value in row.items() if isinstance(value, float)}
    offer_rows(rows, key)
    event = st.dataframe(
        rows,
        hide_index=True,
        key=key,
        on_select="rerun",
        selection_mode="single-row",
        column_config={name: st.column_config.NumberColumn(format="%.3f") for name in numbers},
    )
    row = _clicked_row(event, len(heads))
    if row is not None:
        go_to_head(selection, heads[row])


def beside(key: str, *widths: int) -> list[DeltaGenerator]:
    """Containers in line, at least so many pixels wide each; what does not fit goes below.

    Streamlit's own columns are squeezed until the window is narrower than 640 pixels.
    """
    names = [f"{key}-{i}" for i in range(len(widths))]
    rules = (
        f"div:has(>.st-key-{name}){{flex:{width} 1 {width}px}}"
        for name, width in zip(names, widths, strict=True)
    )
    st.html(f"<style>{''.join(rules)}</style>")
    row = st.container(horizontal=True)
    return [row.container(key=name) for name in names]


@contextmanager
def part() -> Iterator[None]:
    """A part of a page that the model or the input may not allow: the rest of the page stays."""
    try:
        yield
    except AnalysisError as refusal:
        # st.text, not markdown: the sentence may quote what the visitor typed.
        st.text(f"⚠ {refusal}")


def go_to_head(selection: Selection, head: Head) -> NoReturn:
    """Leave for a head's dossier, with the same model and input; for clicks on tables and dots."""
    values = {**selection.values, "layer": head.layer, "head": head.head}
    # Chosen as well as linked: an empty link (L0H0 on the default input) means "as it was".
    choose(**{key: values[key] for key in ("model", "input", "layer", "head")})
    st.switch_page(streamlit_page("head"), query_params=link_parameters("head", values))


def open_head(selection: Selection, head: Head, page: str = "head") -> None:
    """A link to a head on another page, by default its dossier, with the same model and input."""
    values = {**selection.values, "layer": head.layer, "head": head.head}
    st.page_link(
        streamlit_page(page),
        label=f"Open {head.label}" + ("" if page == "head" else f" in {page.capitalize()}"),
        icon=":material/arrow_forward:",
        query_params=link_parameters(page, values),
    )
