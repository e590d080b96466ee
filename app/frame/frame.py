"""The frame that every figure stands in: title, how to read it, the figure, its definition.

Whatever is drawn inside a frame can be taken along from its `Export` button.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from analysis.definitions import Quantity
from analysis.errors import AnalysisError
from app.figures.chart import Chart
from app.figures.large import enlarged
from app.frame.export import (
    Exhibit,
    Frame,
    Table,
    figure_body,
    figure_table,
    record_table,
    table_body,
)
from app.frame.exports import draw_exports
from app.frame.keep import draw_keep
from app.frame.layout import METRIC
from app.frame.snippets import snippet
from app.glossary import glossary_link, linked
from app.links.subject import Subject
from app.shell.room import own_room
from app.shell.theme import palette
from app.text import markdown_text

CHART = {
    "displaylogo": False,
    # Export presses its camera; the bar itself is hidden by the style sheet of pages.
    "modeBarButtonsToRemove": ["select2d", "lasso2d"],
}

# What a table shows where there is no value.
ABSENT = "–"

# Where a session that has no screen wants every frame, in a list of its own.
KEPT = "headscope.frames"
# The frame that is open.
_open: ContextVar[Frame | None] = ContextVar("frame", default=None)


@contextmanager
def figure_frame(
    subject: Subject,
    title: str,
    reading: str,
    *quantities: Quantity,
    also: Sequence[Quantity] = (),
    acts: str = "",
) -> Iterator[Frame]:
    """Title, one sentence on how to read the figure, the figure itself, and what it is.

    Title and sentence may quote tokens: they are shown as text, whatever they hold. What the
    page picks only once it has the numbers, it settles by `Frame.narrow`.

    Args:
        subject: What the figure is about. Code, files and their headings read it.
        title: Its title.
        reading: How to read it, on the screen and in a file.
        quantities: What is shown; Code computes these.
        also: Further definitions.
        acts: What a person can do to the figure, which a file cannot.
    """
    today = datetime.now(UTC).date().isoformat()
    frame = Frame(subject, title, reading, quantities, tuple(also), today)
    with st.container(border=True):
        bar = st.container(
            horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
        )
        bar.subheader(markdown_text(title), anchor=False, width="content")
        tools = bar.container(horizontal=True, width="content", gap="xsmall")
        st.caption(linked(f"{reading} {acts}".strip()))
        around = _open.set(frame)
        try:
            yield frame
        except AnalysisError:
            _draw_tools(frame, tools)
            raise
        finally:
            _open.reset(around)
        _draw_tools(frame, tools)


def _draw_tools(frame: Frame, place: Any) -> None:
    """Definition, Code, Export and Keep, each filled once it is opened: most are never."""
    if KEPT in st.session_state:
        st.session_state[KEPT].append(frame)
    with place:
        st.fragment(partial(_tools, frame))()


def _tools(frame: Frame) -> None:
    bar = st.container(horizontal=True, gap="xsmall")
    for name, draw_it in (
        ("Definition", _draw_definitions),
        ("Code", _draw_code),
        ("Export", draw_exports),
        ("Keep", draw_keep),
    ):
        if not (frame.exhibits if name == "Export" else frame.quantities):
            continue
        opened = bar.popover(
            name,
            type="tertiary",
            width="content",
            key=f"{name} of {frame.title}",
            on_change="rerun",
        )
        if opened.open:
            with opened:
                draw_it(frame)


def _draw_definitions(frame: Frame) -> None:
    for quantity in (*frame.quantities, *frame.also):
        st.markdown(f"**{glossary_link(quantity.name)}.** {linked(quantity.meaning)}")
        st.code(quantity.formula, language=None, wrap_lines=True)
        st.markdown(f"Range and unit: {quantity.unit}.  \nSource: {quantity.source}.")


def _draw_code(frame: Frame) -> None:
    if code := snippet(frame.quantities, frame.subject):
        st.caption("The numbers, in a notebook with TransformerLens 4.3:")
        st.code(code, "python", height=420)
    else:
        st.caption("There is no code for this quantity on this model and input.")


def offer(exhibit: Exhibit) -> None:
    """Let the frame that is open export something that `draw` did not draw."""
    if frame := _open.get():
        frame.exhibits.append(exhibit)


def draw(figure: go.Figure, key: str, paper: Callable[[str], bytes] | None = None) -> None:
    """A Plotly figure in the size that fits; `paper` draws it for print."""
    offer_figure(figure, key, paper)
    plotly_chart(figure, key)


def plotly_chart(figure: go.Figure, key: str, **options: Any) -> Any:
    """Streamlit's chart of a figure, in the size that fits; `options` are those of Streamlit.

    What is square stays so where there is less room than it wants, and all is larger in presenter
    mode.
    """
    options = {"key": key, "config": CHART, **options}
    if own_room().stage:
        return st.plotly_chart(enlarged(figure), **options)
    if isinstance(figure, Chart) and (width := figure.square_width):
        with st.container(key=f"square-{key}", width=width):
            return st.plotly_chart(figure, height="stretch", **options)
    return st.plotly_chart(figure, **options)


def draw_wide(figure: go.Figure, key: str, least: int) -> None:
    """A Plotly figure that is moved sideways where there are fewer than `least` pixels for it.

    It begins at its right end.
    """
    offer_figure(figure, key)
    around = f"{key}-wide"
    st.html(
        f"<style>.st-key-{around}{{overflow-x:auto;direction:rtl}}"
        f".st-key-{around}>*{{min-width:{least}px;direction:ltr}}</style>"
    )
    with st.container(key=around):
        plotly_chart(figure, key)


def draw_table(
    rows: Sequence[Mapping[str, object]],
    key: str,
    column_config: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    """A table with a name for each column; `options` are those of `st.dataframe`."""
    offer_rows(rows, key)
    shown = {"placeholder": ABSENT, **options}
    st.dataframe(rows, hide_index=True, column_config=column_config, **shown)


@dataclass(frozen=True, slots=True)
class Metric:
    """One number with its name; `text` is how it is shown, `delta` a remark on it."""

    name: str
    value: float | None
    text: str
    delta: str | None = None


def draw_metrics(metrics: Sequence[Metric], key: str, width: int = METRIC) -> None:
    """Numbers side by side in a row that breaks: columns would cut them off on a phone."""
    offer_rows([{"Quantity": each.name, "Value": each.value} for each in metrics], key)
    bar = st.container(horizontal=True)
    for each in metrics:
        bar.metric(
            each.name,
            each.text,
            each.delta,
            delta_color="off",
            border=True,
            width=width,
            height="stretch",
        )


def offer_rows(rows: Sequence[Mapping[str, object]], key: str) -> None:
    """Let the frame that is open export rows, as a table."""

    def table() -> Table:
        return record_table(rows)

    offer(Exhibit(key, table, page=lambda name: table_body(table())))


def offer_figure(
    figure: go.Figure,
    key: str,
    paper: Callable[[str], bytes] | None = None,
    subject: Subject | None = None,
    rows: Sequence[Mapping[str, object]] | None = None,
) -> None:
    """Let the frame that is open export a Plotly figure.

    Args:
        figure: The figure.
        key: Its key on the page.
        paper: Draws it for print.
        subject: What it is about, where that is not what the frame is about.
        rows: Its numbers, where the places of its points are none.
    """
    theme = palette()
    chart = f"st-key-{re.sub('[^a-zA-Z0-9_-]', '-', key.strip())}"
    offer(
        Exhibit(
            key,
            lambda: figure_table(figure) if rows is None else record_table(rows),
            page=lambda name: figure_body(figure, theme, name),
            chart=chart,
            paper=paper,
            subject=subject,
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
