"""The frame that every figure stands in: title, how to read it, the figure, its definition.

Whatever is drawn inside a frame can be taken along from its `Export` button.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from analysis.definitions import Quantity
from analysis.errors import AnalysisError
from analysis.head import Head
from app.frame.export import Exhibit, Table, figure_body, figure_table, record_table, table_body
from app.frame.exports import draw_exports
from app.frame.snippets import snippet
from app.glossary import glossary_link, linked
from app.links.selection import Selection
from app.links.session import current_selection
from app.text import markdown_text
from app.theme import palette

CHART = {
    "displaylogo": False,
    # Its camera knows one format; Export has PNG and SVG, and a name for the file.
    "modeBarButtonsToRemove": ["select2d", "lasso2d"],
}
# What has been drawn in the frame that is open.
_exhibits: ContextVar[list[Exhibit] | None] = ContextVar("exhibits", default=None)


@contextmanager
def figure_frame(
    title: str, reading: str, *definitions: Quantity, focus: Head | None = None
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
                draw_exports(title, reading, definitions, exhibits)


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
    offer_figure(figure, key, paper)
    st.plotly_chart(figure, key=key, config=CHART)


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


def offer_figure(figure: go.Figure, key: str, paper: Callable[[], bytes] | None = None) -> None:
    """Let the frame that is open export a Plotly figure."""
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


@contextmanager
def part() -> Iterator[None]:
    """A part of a page that the model or the input may not allow: the rest of the page stays."""
    try:
        yield
    except AnalysisError as refusal:
        # st.text, not markdown: the sentence may quote what the visitor typed.
        st.text(f"⚠ {refusal}")
