"""Every head of a model as one cell."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from analysis.head import Head
from app.figures.base import add_click_targets, colour_scale, finish
from app.figures.chart import Chart
from app.theme import Palette


def model_map(values: np.ndarray, unit: str, top: float, palette: Palette) -> go.Figure:
    """A small map [layer, head] of one model; a point carries `(layer, head)`."""
    n_layers, n_heads = values.shape
    figure = Chart(
        "heatmap",
        z=values,
        colorscale=colour_scale(palette.sequential),
        zmin=0,
        zmax=top,
        xgap=1,
        ygap=1,
        hoverinfo="skip",
        colorbar={"thickness": 8},
    )
    layer, head = np.divmod(np.arange(values.size), n_heads)
    add_click_targets(
        figure,
        rows=layer,
        columns=head,
        size=16,
        hovertext=[
            f"<b>{Head(a, b).label}</b> {unit} {values[a, b]:.3f}"
            for a, b in np.ndindex(values.shape)
        ],
    )
    across, down = max(1, n_heads // 8), max(1, n_layers // 8)
    figure.update_xaxes(title="Head", dtick=across, range=[-0.5, n_heads - 0.5], showgrid=False)
    figure.update_yaxes(title="Layer", dtick=down, range=[n_layers - 0.5, -0.5], showgrid=False)
    figure.update_layout(clickmode="event+select", hoverdistance=200, dragmode=False)
    return finish(figure, height=90 + min(24 * n_layers, 300))
