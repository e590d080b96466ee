"""Plotly figures of what interventions by hand do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from app.figures.base import bars_by_position, finish, token_ticks
from app.text import display_token, plotly_text
from app.theme import Palette

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
