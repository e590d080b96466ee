"""Plotly figures of what interventions by hand do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from app.figures.base import bars_by_position, finish, name_strips, token_ticks
from app.figures.chart import Chart
from app.text import display_token, plotly_text
from app.theme import Palette

if TYPE_CHECKING:
    from analysis.effects.flip import FlipSet

# Of the two runs, in the order of every array.
SIDES = ("clean", "with the recipe")
_TICKS = 40


def next_token_bars(labels: Sequence[str], probs: np.ndarray, palette: Palette) -> go.Figure:
    """Next tokens [side, token] as pairs of bars, the likeliest with the recipe at the top."""
    names = [plotly_text(display_token(label)) for label in labels]
    figure = go.Figure()
    for side, values, colour in zip(SIDES, probs, (palette.muted, palette.accent), strict=True):
        figure.add_bar(
            orientation="h",
            y=np.arange(len(names)),
            x=values,
            name=side,
            marker_color=colour,
            marker_line_width=0,
            customdata=names,
            hovertemplate=f"“%{{customdata}}” %{{x:.3f}} {side}<extra></extra>",
        )
    figure.update_layout(
        barmode="group",
        bargap=0.3,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1, "x": 0, "traceorder": "normal"},
    )
    figure.update_xaxes(title="Probability", rangemode="tozero")
    figure.update_yaxes(
        autorange="reversed", showgrid=False, **token_ticks(labels, most=len(labels))
    )
    return finish(figure, height=100 + 30 * len(names), top=40)


def change_bars(labels: Sequence[str], log_probs: np.ndarray, palette: Palette) -> go.Figure:
    """How much the loss of each token that came rises with the recipe, at the token's place."""
    rise = log_probs[0] - log_probs[1]
    names = [f"{i} “{plotly_text(display_token(label))}”" for i, label in enumerate(labels)]
    said = [
        f"{name}<br>loss {-before:.2f} clean, {-after:.2f} with the recipe"
        for name, (before, after) in zip(names[1:], log_probs.T, strict=True)
    ]
    # Nothing predicts the first token.
    figure = bars_by_position(
        np.concatenate([[0.0], rise]), [names[0], *said], "%{customdata}", palette
    )
    figure.update_xaxes(showgrid=False, **token_ticks(labels, most=_TICKS))
    figure.update_yaxes(title="Rise of the loss (nats)")
    return finish(figure, height=300)


def removal_line(found: FlipSet, palette: Palette) -> go.Figure:
    """What is left of the answer's lead as heads are removed, from left to right."""
    names = ["as it is", *(f"− {head.label}" for head in found.taken)]
    figure = Chart(
        "scatter",
        x=np.arange(len(names)),
        y=[found.clean, *found.after.tolist()],
        mode="lines+markers",
        line={"color": palette.muted, "width": 2},
        marker={"size": 10, "color": palette.sequential[3]},
        customdata=names,
        hovertemplate="%{customdata}: %{y:+.3f} logits<extra></extra>",
        name="lead",
    )
    figure.add_hline(y=0, line={"color": palette.accent, "dash": "dash", "width": 1.5})
    figure.update_xaxes(
        tickvals=list(range(len(names))),
        ticktext=names,
        tickangle=-40 if len(names) > 4 else 0,
        range=[-0.4, len(names) - 0.6],
        showgrid=False,
    )
    figure.update_yaxes(title="Answer minus foil (logits)")
    return finish(figure, height=340)


def flip_strip(found: FlipSet, palette: Palette) -> go.Figure:
    """The lead without the set, with each of its heads put back, and without random groups."""
    rows: list[tuple[str, list[str], list[float], str]] = [
        (
            "Without the set",
            [", ".join(head.label for head in found.heads)],
            [found.without],
            palette.accent,
        ),
        (
            "With one put back",
            [f"{head.label} back" for head in found.heads],
            [] if found.back is None else found.back.tolist(),
            palette.sequential[3],
        ),
        (
            "Without random groups",
            [", ".join(head.label for head in group) for group in found.groups],
            [] if found.random is None else found.random.tolist(),
            palette.muted,
        ),
    ]
    figure = go.Figure()
    for place, (name, texts, values, colour) in enumerate(rows):
        figure.add_scatter(
            x=values,
            y=[place] * len(values),
            mode="markers",
            marker={"size": 12, "color": colour, "opacity": 0.75},
            hovertext=[
                f"<b>{text}</b><br>{value:+.3f}" for text, value in zip(texts, values, strict=True)
            ],
            hovertemplate="%{hovertext}<extra></extra>",
            name=name,
            showlegend=False,
        )
    figure.add_vline(x=0, line={"color": palette.accent, "dash": "dash", "width": 1.5})
    figure.update_xaxes(title="Answer minus foil (logits); below 0 the foil wins", zeroline=False)
    name_strips(figure, [name for name, *_ in rows])
    return finish(figure, height=240)
