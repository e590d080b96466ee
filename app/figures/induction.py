"""Plotly figures about how induction heads look back, and where they rest."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from analysis.head import Head
from app.figures.base import finish
from app.figures.chart import Chart
from app.theme import Palette


def distance_bars(profile: np.ndarray, half_length: int | None, palette: Palette) -> go.Figure:
    """One head's mean attention by distance; on repeated tokens S-1 and S are marked."""
    marked = {} if half_length is None else {half_length - 1: "S-1", half_length: "S"}
    figure = Chart(
        "bar",
        x=np.arange(len(profile)),
        y=profile,
        marker_color=[
            palette.accent if marked.get(distance) == "S-1" else palette.diverging[3]
            for distance in range(len(profile))
        ],
        marker_line_width=0,
        hovertemplate="%{x} back: %{y:.3f}<extra></extra>",
    )
    for distance, name in marked.items():
        figure.add_annotation(
            x=distance,
            y=float(profile[distance]),
            text=name,
            showarrow=False,
            # S-1 stands to the left of S: side by side the names would lie on each other.
            xanchor="right" if name == "S-1" else "left",
            yanchor="bottom",
            font_color=palette.text,
        )
    figure.update_xaxes(title="Distance from destination back to source")
    figure.update_yaxes(title="Mean attention", rangemode="tozero")
    return finish(figure, height=320)


def resting_bars(
    first: np.ndarray, second: np.ndarray, heads: Sequence[Head], palette: Palette
) -> go.Figure:
    """Mean attention of heads to the first token, in the random and in the repeated half."""
    figure = Chart()
    for name, values, colour in (
        ("random half", first, palette.accent),
        ("repeated half", second, palette.diverging[3]),
    ):
        figure.add_bar(
            x=[head.label for head in heads],
            y=values,
            name=name,
            marker_color=colour,
            marker_line_width=0,
            text=[f"{value:.2f}" for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate=f"<b>%{{x}}</b>, {name}: %{{y:.3f}}<extra></extra>",
        )
    figure.update_xaxes(type="category")
    figure.update_yaxes(title="Attention to the first token", range=[0, 1.1])
    figure.update_layout(barmode="group", legend={"orientation": "h", "y": 1.14, "x": 0})
    return finish(figure, height=320)
