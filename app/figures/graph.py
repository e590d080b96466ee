"""Plotly figures of heads by layer, with edges between them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from analysis.head import Head
from app.figures.base import finish
from app.figures.chart import Chart
from app.theme import Palette

_FONT = 12


@dataclass(frozen=True, slots=True)
class Link:
    """An edge of a graph of heads; without a reader it ends in the logits."""

    writer: Head
    reader: Head | None
    share: float  # of the thickest line, 0 to 1
    hover: str
    numbers: tuple[int, ...]  # what a click on it carries: not two, which is a head
    colour: str
    opacity: float = 1
    dash: str = "solid"


def head_graph(
    links: Sequence[Link],
    shape: tuple[int, int],
    palette: Palette,
    chosen: Sequence[Head] = (),
    acts: Callable[[Head], str] = lambda head: "click to open it",
) -> go.Figure:
    """Heads by layer, the first layer at the bottom, and the edges between them.

    A node carries layer and head; `acts` says what a click on it does. The logits stand above the
    last layer if an edge leads there.
    """
    n_layers, n_heads = shape
    figure = Chart()
    to_logits = any(link.reader is None for link in links)
    logits = Head(n_layers, (n_heads - 1) // 2)
    x, y, data, hover = [], [], [], []
    for link in links:
        across, up = _curve(link.writer, link.reader or logits)
        figure.add_scatter(
            x=across,
            y=up,
            mode="lines",
            line={"color": link.colour, "width": 1.5 + 5 * link.share, "dash": link.dash},
            opacity=link.opacity,
            hoverinfo="skip",
            showlegend=False,
        )
        # Only the middle takes clicks: near their ends edges lie on each other.
        inner = slice(len(across) // 4, -(len(across) // 4))
        x += across[inner]
        y += up[inner]
        data += [list(link.numbers)] * len(across[inner])
        hover += [link.hover] * len(across[inner])
    figure.add_scatter(
        x=x,
        y=y,
        mode="markers",
        marker={"size": 10, "opacity": 0},
        selected_marker_opacity=0,
        unselected_marker_opacity=0,
        customdata=data,
        hovertext=hover,
        hoverinfo="text",
        showlegend=False,
    )
    every = [Head(a, b) for a in range(n_layers) for b in range(n_heads)]
    linked = {*chosen, *(head for link in links for head in (link.writer, link.reader))}
    figure.add_scatter(
        x=[head.head for head in every],
        y=[head.layer for head in every],
        mode="markers+text",
        text=[head.label if head in linked else "" for head in every],
        # Above the last layer and below the others, where no edge comes from.
        textposition=[
            "top center" if head.layer == n_layers - 1 and not to_logits else "bottom center"
            for head in every
        ],
        textfont_size=_FONT,
        cliponaxis=False,
        marker={
            "size": [16 if head in linked else 9 for head in every],
            # Markers of several sizes are see-through otherwise.
            "opacity": 1,
            "color": [
                palette.accent
                if head in chosen
                else palette.sequential[3]
                if head in linked
                else palette.muted
                for head in every
            ],
            "line": {"color": palette.background, "width": 2},
        },
        unselected_marker_opacity=1,
        customdata=[[head.layer, head.head] for head in every],
        hovertext=[f"<b>{head.label}</b><br>{acts(head)}" for head in every],
        hoverinfo="text",
        showlegend=False,
    )
    if to_logits:
        figure.add_annotation(
            x=logits.head,
            y=logits.layer,
            text="<b>logits</b>",
            showarrow=False,
            yanchor="bottom",
            font_size=_FONT,
        )
    rows = n_layers + to_logits
    # Room for a label below each dot, and no more than a screen or so for many layers.
    row_height = min(130, max(34, 1000 / rows))
    below = max(0.35, 26 / row_height)
    top = n_layers - (-0.25 if to_logits else 0.65)
    figure.update_xaxes(
        title="Head",
        range=[-0.6, n_heads - 0.4],
        dtick=max(1, n_heads // 12),
        showgrid=False,
        zeroline=False,
    )
    figure.update_yaxes(
        title="Layer",
        range=[-below, top],
        tickvals=list(range(n_layers)),
        showgrid=False,
        zeroline=False,
    )
    figure.update_layout(clickmode="event+select", dragmode=False, hoverdistance=20)
    return finish(figure, height=round(max(340, row_height * rows)), top=30)


def _curve(writer: Head, reader: Head) -> tuple[list[float], list[float]]:
    """A line between two heads, bent where it would run over the layers in between."""
    t = np.linspace(0, 1, 17)
    # At most half a column in the middle, so that it stays within the figure.
    bend = min(0.45 * (reader.layer - writer.layer - 1), 1.1)
    across = writer.head + (reader.head - writer.head) * t + bend * 2 * t * (1 - t)
    up = writer.layer + (reader.layer - writer.layer) * t
    return across.tolist(), up.tolist()
