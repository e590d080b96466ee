"""Plotly figures about a head over a whole text. Numbers and colours in."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from app.figures.base import finish
from app.figures.chart import Chart
from app.theme import Palette


def distance_bars(
    others: np.ndarray,
    first: np.ndarray,
    chance: np.ndarray,
    bins: Sequence[tuple[int, int]],
    palette: Palette,
) -> go.Figure:
    """Share of attention by distance: on other tokens, and on top of it on the first."""
    names = [str(low) if low == high else f"{low}–{high}" for low, high in bins]
    figure = Chart()
    for name, values, colour in (
        ("other tokens", others, palette.sequential[3]),
        ("first token", first, palette.muted),
    ):
        figure.add_bar(
            x=names,
            y=values,
            name=name,
            marker_color=colour,
            hovertemplate=f"%{{x}} back, {name}: %{{y:.3f}}<extra></extra>",
        )
    figure.add_scatter(
        x=names,
        y=chance,
        name="Chance",
        mode="markers",
        marker={"symbol": "line-ew-open", "size": 18, "color": palette.accent},
        hovertemplate="uniform attention, %{x} back: %{y:.3f}<extra></extra>",
    )
    figure.update_xaxes(title="Tokens back", type="category")
    figure.update_yaxes(title="Share of attention", rangemode="tozero")
    figure.update_layout(
        barmode="stack", legend={"orientation": "h", "yanchor": "bottom", "y": 1, "x": 0}
    )
    return finish(figure, height=320, top=40)


def share_bars(
    counts: np.ndarray, what: str, axis: str, palette: Palette, edges: Sequence[float] = ()
) -> go.Figure:
    """A histogram over shares from 0 to 1; `edges` are drawn as lines."""
    n_bins = len(counts)
    lows = np.arange(n_bins) / n_bins
    names = [f"{low:.2f}–{low + 1 / n_bins:.2f}" for low in lows]
    figure = Chart(
        "bar",
        x=names,
        y=counts / max(counts.sum(), 1),
        marker_color=palette.sequential[3],
        hovertext=[
            f"{name}: {count:,} {what}" for name, count in zip(names, counts.tolist(), strict=True)
        ],
        hoverinfo="text",
    )
    line = {"color": palette.accent, "dash": "dot", "width": 1.5}
    for edge in edges:
        # Bars stand at 0, 1, ..., and each is as wide as 1.
        figure.add_vline(edge * n_bins - 0.5, line=line)
    figure.update_xaxes(title=axis, type="category", nticks=6)
    figure.update_yaxes(title=f"Share of {what}", rangemode="tozero")
    return finish(figure, height=280)
