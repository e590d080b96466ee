"""Plotly figures about means over a set of prompts, with how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from analysis.head import Head
from app.figures.base import finish
from app.figures.chart import Chart
from app.theme import Palette

if TYPE_CHECKING:
    from analysis.sets.spread import Spread


def ranked_means(
    spread: Spread,
    heads: Sequence[Head],
    unit: str,
    chance: float,
    palette: Palette,
    focus: Head | None = None,
) -> go.Figure:
    """Some heads, the first at the top: means with their intervals; a point carries its head.

    Args:
        spread: Of every head, [layer, head].
        heads: Which of them, in this order.
        unit: Of the numbers.
        chance: Level that is drawn as a line; NaN for none.
        palette: Colours of the theme.
        focus: Head that stands out.
    """
    at = ([head.layer for head in heads], [head.head for head in heads])
    mean, low, high = spread.mean[at], spread.low[at], spread.high[at]
    rows = np.arange(len(heads))
    figure = Chart()
    figure.add_scatter(
        x=mean,
        y=rows,
        mode="markers",
        marker={
            "size": 10,
            "color": [palette.accent if h == focus else palette.sequential[3] for h in heads],
        },
        error_x={
            "type": "data",
            "symmetric": False,
            "array": np.nan_to_num(high - mean),
            "arrayminus": np.nan_to_num(mean - low),
            "thickness": 1.5,
            "color": palette.muted,
        },
        customdata=np.stack(at, -1),
        hovertext=[
            f"<b>{head.label}</b><br>mean {mean[i]:+.3f}<br>95 % interval {low[i]:+.3f} to "
            f"{high[i]:+.3f}"
            for i, head in enumerate(heads)
        ],
        hoverinfo="text",
        showlegend=False,
    )
    if np.isfinite(chance):
        figure.add_vline(x=chance, line={"color": palette.muted, "dash": "dash", "width": 1.5})
    figure.update_xaxes(title=unit, zeroline=True, zerolinecolor=palette.muted)
    figure.update_yaxes(
        tickvals=rows.tolist(),
        ticktext=[head.label for head in heads],
        range=[len(heads) - 0.5, -0.5],
        showgrid=False,
    )
    figure.update_layout(clickmode="event+select", hoverdistance=200, dragmode=False)
    return finish(figure, height=90 + 24 * len(heads))


def row_values(values: Float[np.ndarray, " row"], unit: str, palette: Palette) -> go.Figure:
    """One head's number on each row, sorted: how much the prompts differ."""
    ordered = np.sort(values)[::-1]
    figure = Chart(
        "bar",
        x=np.arange(1, len(ordered) + 1),
        y=ordered,
        marker_color=palette.sequential[3],
        marker_line_width=0,
        hovertemplate="%{y:.3f}<extra></extra>",
    )
    figure.update_xaxes(title="Prompts, by falling value")
    figure.update_yaxes(title=unit, zerolinecolor=palette.muted)
    return finish(figure, height=240)
