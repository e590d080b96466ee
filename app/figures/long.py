"""Plotly figures of a long text: a window of exact cells, and one row over all of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from app.figures.base import colour_scale, finish, finish_square, scale_above
from app.figures.chart import Chart
from app.text import display_token, plotly_text
from app.theme import Palette


def window_map(
    values: np.ndarray, labels: Sequence[str], dests: range, sources: range, palette: Palette
) -> go.Figure:
    """Exact cells [dest, src] of a part of a pattern; what is ahead of a destination is empty."""
    names = [_named(i, labels) for i in dests], [_named(i, labels) for i in sources]
    ahead = np.array(sources)[None] > np.array(dests)[:, None]
    # What rests on the first token would leave everything else dark.
    behind = values[:, 1:] if sources[0] == 0 else values
    figure = Chart(
        "heatmap",
        z=np.where(ahead, np.nan, values),
        customdata=np.stack(
            np.broadcast_arrays(np.array(names[0])[:, None], np.array(names[1])[None]), -1
        ),
        colorscale=colour_scale(palette.sequential),
        zmin=0,
        zmax=max(0.05, float(behind.max(initial=0))),
        hovertemplate="destination (query) %{customdata[0]}<br>source (key) %{customdata[1]}"
        "<br>attention %{z:.3f}<extra></extra>",
        colorbar=scale_above("attention"),
    )
    return finish_square(figure, [labels[i] for i in dests], [labels[i] for i in sources])


def row_line(row: np.ndarray, labels: Sequence[str], src: int, palette: Palette) -> go.Figure:
    """One destination's attention to every source; a point carries its source.

    The axis ends where all but the first source do.
    """
    places = np.arange(len(row))
    figure = Chart(
        "scatter",
        x=places,
        y=row,
        mode="lines+markers",
        line={"color": palette.sequential[2], "width": 1},
        marker={"size": 4, "color": palette.sequential[3]},
        customdata=places[:, None],
        hovertext=[_named(i, labels) for i in range(len(row))],
        hovertemplate="%{hovertext}<br>attention %{y:.4f}<extra></extra>",
        name="attention",
        showlegend=False,
    )
    figure.add_vline(x=src, line={"color": palette.accent, "dash": "dash", "width": 1.5})
    figure.update_xaxes(title="Source (key), position in the text", rangemode="tozero")
    most = float(row[1:].max(initial=0)) or 1.0
    figure.update_yaxes(title="Attention", range=[0, 1.08 * most])
    figure.update_layout(clickmode="event+select", hoverdistance=60, dragmode=False)
    return finish(figure, height=280)


def _named(place: int, labels: Sequence[str]) -> str:
    return f"{place} {plotly_text(display_token(labels[place]))}"
