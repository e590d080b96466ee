"""Plotly figures about roles of heads and whether they matter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from app.figures.base import add_click_targets, colour_scale, finish, name_axes
from app.figures.chart import Chart
from app.theme import Palette

if TYPE_CHECKING:
    from analysis.roles.verdict import GroupTest

# Columns up to which a cell has room for its number.
MAX_NUMBERS = 16


def role_map(
    values: Float[np.ndarray, "role head"],
    roles: Sequence[str],
    heads: Sequence[str],
    palette: Palette,
) -> go.Figure:
    """Screens of some heads for every role; a point carries its place, row by row."""
    figure = Chart(
        "heatmap",
        z=values,
        colorscale=colour_scale(palette.sequential),
        zmin=0,
        zmax=1,
        texttemplate="%{z:.2f}" if len(heads) <= MAX_NUMBERS else None,
        xgap=2,
        ygap=2,
        hoverinfo="skip",
        colorbar={"title": {"text": "Screen", "side": "right"}, "thickness": 12},
    )
    name_axes(figure, roles, heads)
    row, column = np.divmod(np.arange(values.size), len(heads))
    add_click_targets(
        figure,
        rows=row,
        columns=column,
        size=20,
        hovertext=[
            f"<b>{heads[b]}</b><br>{roles[a]}: {values[a, b]:.3f}"
            for a, b in np.ndindex(values.shape)
        ],
        carried=np.arange(values.size)[:, None],
    )
    figure.update_layout(clickmode="event+select", hoverdistance=200, dragmode=False)
    return finish(figure, height=110 + 26 * len(roles))


def group_strip(found: GroupTest, palette: Palette) -> go.Figure:
    """A group's effect with its interval, and below it that of every random group."""
    name = ", ".join(head.label for head in found.heads)
    low, high = found.interval
    figure = Chart(
        "scatter",
        x=[low, high],
        y=[0, 0],
        mode="lines",
        line={"color": palette.accent, "width": 4},
        hoverinfo="skip",
        showlegend=False,
        name="95 % interval",
    )
    figure.add_scatter(
        x=[found.effect],
        y=[0],
        mode="markers",
        marker={"size": 14, "symbol": "diamond", "color": palette.accent},
        hovertext=[f"<b>{name}</b><br>{found.effect:+.3f}"],
        hovertemplate="%{hovertext}<extra></extra>",
        name="The group",
        showlegend=False,
    )
    figure.add_scatter(
        x=found.random,
        y=np.ones(len(found.random)),
        mode="markers",
        marker={"size": 11, "color": palette.sequential[2], "opacity": 0.75},
        hovertext=[
            f"<b>{', '.join(head.label for head in group)}</b><br>{effect:+.3f}"
            for group, effect in zip(found.groups, found.random, strict=True)
        ],
        hovertemplate="%{hovertext}<extra></extra>",
        name="Random groups",
        showlegend=False,
    )
    figure.update_xaxes(title="Change of the logit difference without them", zeroline=True)
    figure.update_yaxes(
        tickvals=[0, 1],
        ticktext=["The group", "Random groups"],
        range=[1.6, -0.6],
        showgrid=False,
        zeroline=False,
    )
    return finish(figure, height=200)
