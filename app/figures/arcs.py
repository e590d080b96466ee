"""Arcs over a text: who reads what from where."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from analysis.head import Head
from app.figures.base import BAR_TICKS, finish, some_ticks
from app.figures.chart import Chart
from app.text import plotly_text, short_token
from app.theme import Palette

_POINTS = np.linspace(0, np.pi, 25)
_WIDEST = 7.0  # pixels of the strongest arc


@dataclass(frozen=True, slots=True)
class Arc:
    """What a head adds to an answer by reading one token at another."""

    head: Head
    src: int
    dest: int
    value: float


def text_arcs(
    arcs: Sequence[Arc],
    labels: Sequence[str],
    asked: int,
    palette: Palette,
    colours: Sequence[str] = (),
) -> go.Figure:
    """Tokens in line, and over them an arc from each source to the destination that reads it.

    Each arc carries layer and head of who reads, each token but the first the position that it
    follows. `asked` is the position after which the answer comes; a token that has not come yet
    is the last of `labels`. `colours` are those of the tokens, as far as they have any of their
    own.
    """
    inks = [*colours, *[palette.muted] * (len(labels) - len(colours))]
    figure = Chart()
    apart = 0.07 * max((arc.dest - arc.src for arc in arcs), default=1)
    most = max((abs(arc.value) for arc in arcs), default=1.0)
    tops: list[tuple[float, float]] = []
    for arc in arcs:
        middle, reach = (arc.src + arc.dest) / 2, (arc.dest - arc.src) / 2
        # A token that reads itself has no way to go; arcs between the same tokens lie apart.
        height = max(reach, apart) + apart * sum(_same(other, arc) for other in arcs[: len(tops)])
        tops.append((middle, height))
        figure.add_scatter(
            x=(middle - max(reach, 0.3) * np.cos(_POINTS)).tolist(),
            y=(height * np.sin(_POINTS)).tolist(),
            mode="lines",
            line={
                "width": 1 + (_WIDEST - 1) * abs(arc.value) / most,
                "color": palette.diverging[3 if arc.value > 0 else 1],
            },
            hoverinfo="skip",
            showlegend=False,
        )
    named = [plotly_text(short_token(label)) for label in labels]
    figure.add_scatter(
        x=[x for x, _ in tops],
        y=[y for _, y in tops],
        mode="markers+text",
        text=[arc.head.label for arc in arcs],
        textposition="top center",
        cliponaxis=False,
        marker={"size": 14, "color": palette.sequential[3]},
        unselected_marker_opacity=1,
        customdata=[[arc.head.layer, arc.head.head] for arc in arcs],
        hovertext=[
            f"<b>{arc.head.label}</b> at {arc.dest} “{named[arc.dest]}” reads {arc.src} "
            f"“{named[arc.src]}”<br>{arc.value:+.2f} logits<br>click to open it"
            for arc in arcs
        ],
        hoverinfo="text",
        showlegend=False,
    )
    figure.add_scatter(
        x=list(range(1, len(labels))),
        y=[0] * (len(labels) - 1),
        mode="markers",
        marker={
            "symbol": "square",
            "size": 11,
            "color": [
                palette.accent if position - 1 == asked else inks[position]
                for position in range(1, len(labels))
            ],
        },
        unselected_marker_opacity=1,
        customdata=[[position - 1] for position in range(1, len(labels))],
        hovertext=[
            f"{position} “{named[position]}”<br>click to ask who made the model say it"
            for position in range(1, len(labels))
        ],
        hoverinfo="text",
        showlegend=False,
    )
    highest = max((y for _, y in tops), default=1.0)
    figure.update_xaxes(
        range=[-0.7, len(labels) - 0.3],
        tickangle=-60,
        showgrid=False,
        zeroline=False,
        **some_ticks(named, BAR_TICKS),
    )
    figure.update_yaxes(
        range=[-0.06 * highest, 1.18 * highest], visible=False, showgrid=False, zeroline=False
    )
    figure.update_layout(clickmode="event+select", dragmode=False, hoverdistance=20)
    return finish(figure, height=330, top=24)


def _same(one: Arc, other: Arc) -> bool:
    return (one.src, one.dest) == (other.src, other.dest)
