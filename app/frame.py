"""The frame that every figure stands in: title, how to read it, the figure, its definition."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.definitions import Definition
from analysis.errors import AnalysisError
from analysis.heads import Head
from app.navigation import streamlit_page
from app.selection import Selection, Value, choose, link_parameters
from app.text import markdown_text

# Pixels: two metrics side by side on a narrow screen, where columns would cut their numbers off.
METRIC = 185
_CHART = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d"]}


@contextmanager
def figure_frame(title: str, reading: str, *definitions: Definition) -> Iterator[None]:
    """Title, one sentence on how to read the figure, the figure itself, and what it is.

    Title and sentence may quote tokens: they are shown as text, whatever they hold.
    """
    with st.container(border=True):
        bar = st.container(
            horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
        )
        bar.subheader(markdown_text(title), anchor=False, width="content")
        with bar.popover("Definition", type="tertiary", width="content"):
            for quantity in definitions:
                st.markdown(f"**{quantity.name}.** {quantity.meaning}")
                st.code(quantity.formula, language=None, wrap_lines=True)
                st.markdown(f"Range and unit: {quantity.unit}.  \nSource: {quantity.source}.")
        st.caption(markdown_text(reading))
        yield


def draw(figure: go.Figure, key: str) -> None:
    """A Plotly figure at full width."""
    st.plotly_chart(figure, key=key, config=_CHART)


def draw_head_map(figure: go.Figure, key: str) -> None:
    """A figure of `figures.head_map`; a click on a cell puts its head in focus."""
    draw_choice(figure, key, ("layer", "head"))


def _whole_numbers(point: Mapping[str, Any]) -> list[int]:
    # Plotly sends arrays as bytes; the browser then reports a row of them as {"0": .., "1": ..}.
    data = point["customdata"]
    return [int(value) for value in (data.values() if isinstance(data, Mapping) else data)]


def _draw_clickable(figure: go.Figure, key: str, act: Callable[[list[int]], None]) -> Any:
    """A figure that hands the whole numbers of a clicked point to `act`, before the next run."""

    def take() -> None:
        points = st.session_state[key]["selection"]["points"]
        if points:
            act(_whole_numbers(points[0]))

    return st.plotly_chart(figure, key=key, config=_CHART, on_select=take, selection_mode="points")


def draw_choice(figure: go.Figure, key: str, parameters: tuple[str, ...]) -> None:
    """A figure whose points carry a whole number for each of `parameters`; a click sets those."""
    _draw_clickable(
        figure, key, lambda numbers: choose(**dict(zip(parameters, numbers, strict=True)))
    )


def draw_head_graph(
    figure: go.Figure, key: str, selection: Selection, parameters: tuple[str, ...]
) -> None:
    """A graph of heads: a click on a node opens its dossier, one on an edge sets `parameters`.

    Nodes carry layer and head, edges a whole number for each parameter: more than two.
    """

    def take(numbers: list[int]) -> None:
        if len(numbers) == len(parameters):
            choose(**dict(zip(parameters, numbers, strict=True)))

    points = _draw_clickable(figure, key, take)["selection"]["points"]
    if points and len(numbers := _whole_numbers(points[0])) == 2:
        go_to_head(selection, Head(*numbers))


def draw_heads_to_open(figure: go.Figure, key: str, selection: Selection) -> None:
    """A figure whose points carry layer and head; a click opens that head's dossier."""
    event = st.plotly_chart(
        figure, key=key, config=_CHART, on_select="rerun", selection_mode="points"
    )
    if points := event["selection"]["points"]:
        go_to_head(selection, Head(*_whole_numbers(points[0])))


def draw_options(figure: go.Figure, key: str, options: Sequence[Mapping[str, Value]]) -> None:
    """A figure whose points carry their place in `options`; a click chooses those values."""
    _draw_clickable(figure, key, lambda numbers: choose(**options[numbers[0]]))


def draw_rows_to_choose(
    rows: Sequence[Mapping[str, object]],
    options: Sequence[Mapping[str, Value]],
    key: str,
    column_config: Mapping[str, Any] | None = None,
) -> None:
    """A table with one row for each of `options`; a tick chooses those values."""

    def take() -> None:
        if ticked := st.session_state[key]["selection"]["rows"]:
            choose(**options[ticked[0]])

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
    event = st.dataframe(
        rows,
        hide_index=True,
        key=key,
        on_select="rerun",
        selection_mode="single-row",
        column_config={name: st.column_config.NumberColumn(format="%.3f") for name in numbers},
    )
    if chosen := event["selection"]["rows"]:
        go_to_head(selection, heads[chosen[0]])


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
    choose(**{key: values[key] for key in ("input", "layer", "head")})
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
