"""Plotly figures of circuits: products of weights, as maps, bars and points."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from app.figures.base import colour_scale, finish, finish_square, scale_above, token_ticks
from app.figures.chart import Chart
from app.text import display_token, plotly_text
from app.theme import Palette

# The first positions of a positional pattern: more cells than these are thinner than a pixel.
MAX_POSITIONS = 100


def ov_map(
    values: np.ndarray, ids: np.ndarray, labels: Sequence[str], palette: Palette
) -> go.Figure:
    """An OV circuit on sampled tokens: rows are attended to, columns are what they raise.

    Args:
        values: [token, token], logits.
        ids: The same tokens on both axes.
        labels: What the ids stand for; two ids may look alike.
        palette: Colours of the theme.
    """
    limit = max(float(np.abs(values).max(initial=0)), 1e-6)
    # A category axis names a cell's tokens without a string for every cell; the id makes each
    # name one of a kind.
    names = [
        f"“{plotly_text(display_token(label))}” (id {token_id})"
        for label, token_id in zip(labels, ids, strict=True)
    ]
    figure = Chart(
        "heatmap",
        z=values,
        x=names,
        y=names,
        colorscale=colour_scale(palette.diverging),
        zmin=-limit,
        zmax=limit,
        hovertemplate="attending to %{y}<br>adds %{z:+.2f} to the logit of %{x}<extra></extra>",
        colorbar={"title": {"text": "logits", "side": "right"}, "thickness": 12},
    )
    figure.update_xaxes(
        title="Output token", tickangle=-60, showgrid=False, **token_ticks(labels, 24)
    )
    figure.update_yaxes(
        title="Token attended to", autorange="reversed", showgrid=False, **token_ticks(labels, 40)
    )
    return finish(figure, height=720)


def copying_bars(
    names: Sequence[str], accuracy: Mapping[int, Sequence[float]], palette: Palette
) -> go.Figure:
    """Copying accuracy by k, one group of bars for each of `names`."""
    figure = Chart()
    for (k, shares), colour in zip(
        accuracy.items(), (palette.sequential[3], palette.sequential[2]), strict=True
    ):
        figure.add_bar(
            x=list(names),
            y=shares,
            name="top guess" if k == 1 else f"among the top {k}",
            marker_color=colour,
            texttemplate="%{y:.0%}" if len(names) <= 6 else None,
            textposition="outside",
            cliponaxis=False,
            hovertemplate="<b>%{x}</b> %{y:.2%} of all tokens<extra></extra>",
        )
    figure.update_yaxes(title="Tokens copied", tickformat=".0%", range=[0, 1.08])
    figure.update_layout(barmode="group", legend={"orientation": "h", "y": 1.18, "x": 0})
    return finish(figure, height=320)


def eigenvalue_plane(values: np.ndarray, palette: Palette) -> go.Figure:
    """Eigenvalues of one head in the complex plane, both axes to the same scale."""
    limit = 1.1 * max(float(np.abs(values).max(initial=0)), 1e-6)
    figure = Chart(
        "scatter",
        x=values.real,
        y=values.imag,
        mode="markers",
        marker={
            "size": 9,
            "color": values.real,
            "colorscale": colour_scale(palette.diverging),
            "cmin": -limit,
            "cmax": limit,
            "line": {"color": palette.muted, "width": 1},
        },
        customdata=np.abs(values),
        hovertemplate="%{x:.3g} %{y:+.3g}i<br>size %{customdata:.3g}<extra></extra>",
    )
    axis = {
        "range": [-limit, limit],
        "constrain": "domain",
        "zeroline": True,
        "zerolinecolor": palette.muted,
        "nticks": 4,
        "tickangle": 0,
    }
    figure.update_xaxes(title="Real part", **axis)
    figure.update_yaxes(title="Imaginary part", scaleanchor="x", **axis)
    return finish(figure, height=440)


def position_map(pattern: np.ndarray, palette: Palette) -> go.Figure:
    """The first rows of a pattern made of positions only, [dest, src]."""
    n = min(len(pattern), MAX_POSITIONS)
    shown = np.where(np.tri(n, dtype=bool), pattern[:n, :n], np.nan)
    figure = Chart(
        "heatmap",
        z=shown,
        colorscale=colour_scale(palette.sequential),
        zmin=0,
        zmax=1,
        hovertemplate="destination (query) %{y}<br>source (key) %{x}<br>attention %{z:.3f}"
        "<extra></extra>",
        colorbar=scale_above("attention"),
    )
    places = [str(place) for place in range(n)]
    return finish_square(figure, places, places)


def singular_bars(values: np.ndarray, palette: Palette) -> go.Figure:
    """All singular values of one head's OV, largest first."""
    figure = Chart(
        "bar",
        x=np.arange(len(values)),
        y=values,
        marker_color=palette.sequential[3],
        hovertemplate="direction %{x}: %{y:.3g}<extra></extra>",
    )
    figure.update_xaxes(title="Direction")
    figure.update_yaxes(title="Singular value", rangemode="tozero")
    return finish(figure, height=220)
