"""The frame that every figure stands in: title, how to read it, the figure, its definition."""

from collections.abc import Iterator
from contextlib import contextmanager

import plotly.graph_objects as go
import streamlit as st

from analysis.definitions import Definition
from analysis.heads import Head
from app.navigation import streamlit_page
from app.selection import Selection, choose, link_parameters
from app.text import markdown_text

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

    def focus() -> None:
        points = st.session_state[key]["selection"]["points"]
        if points:
            layer, head = points[0]["customdata"]
            choose(layer=int(layer), head=int(head))

    st.plotly_chart(figure, key=key, config=_CHART, on_select=focus, selection_mode="points")


def open_head(selection: Selection, head: Head, page: str = "attention") -> None:
    """A link to the head in focus on another page, with the same model and input."""
    values = {**selection.values, "layer": head.layer, "head": head.head}
    st.page_link(
        streamlit_page(page),
        label=f"Open {head.label} in {page.capitalize()}",
        icon=":material/arrow_forward:",
        query_params=link_parameters(page, values),
    )
