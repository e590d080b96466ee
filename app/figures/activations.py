"""Plotly figures of single activations, and of the model they are read from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go

from app.figures.base import (
    bars_by_position,
    colour_scale,
    finish,
    some_ticks,
    token_ticks,
)
from app.figures.chart import Chart
from app.text import display_token, plotly_text
from app.theme import Palette

# Values beyond this share of all have the end colour: a few large ones, on the BOS token mostly,
# would leave everything else pale.
COLOURED_SHARE = 0.99
_SLICE_HEIGHT = 520


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a hook point stands in the picture: to the right, and upwards."""

    x: float
    y: float


# The stream runs up at x = 0; what reads from it and writes to it stands to its right.
_ATTENTION = {
    "resid_pre": _Spot(0, 2),
    "scale1": _Spot(1.5, 2.6),
    "normalized1": _Spot(3.2, 2.6),
    "q": _Spot(1.5, 3.7),
    "k": _Spot(2.7, 3.7),
    "v": _Spot(3.9, 3.7),
    "attn_scores": _Spot(2.1, 4.4),
    "pattern": _Spot(2.1, 5.05),
    "z": _Spot(3.2, 5.6),
    "attn_out": _Spot(1.5, 6.4),
}
_MLP = {
    "resid_mid": _Spot(0, 7.4),
    "scale2": _Spot(1.5, 8.0),
    "normalized2": _Spot(3.2, 8.0),
    "pre": _Spot(2.4, 9.1),
    "post": _Spot(2.4, 10.0),
    "mlp_out": _Spot(1.5, 10.9),
}
_RIGHT = 5.3
_BESIDE = {
    "resid_pre": "bottom right",
    "resid_post": "bottom right",
    "scale": "top center",
    "scale1": "top center",
    "scale2": "top center",
}


def architecture(
    points: Mapping[str, str], chosen: str, layer: int, n_layers: int, palette: Palette
) -> go.Figure:
    """One block of the model with its hook points, and what stands below and above all blocks.

    A point carries its place in `points`.

    Args:
        points: What each activation is, by its short name: those of the block, and the model's.
        chosen: The short name of the one to mark.
        layer: The block that is drawn.
        n_layers: How many there are.
        palette: Colours of the theme.
    """
    has_mlp, normed = "mlp_out" in points, "scale" in points
    top = 11.9 if has_mlp else 7.4
    spots = {
        "embed": _Spot(0, 0),
        "pos_embed": _Spot(1.5, 0.6),
        **_ATTENTION,
        **_MLP,
        "resid_post": _Spot(0, top),
        "scale": _Spot(1.5, top + 1.3),
        "normalized": _Spot(3.2, top + 1.3),
        "logits": _Spot(0, top + (2.4 if normed else 1.5)),
    }
    figure = Chart()
    _draw_box(figure, (-0.5, 1.4), (_RIGHT, top + 0.45), palette.muted, "dot")
    _write(figure, _Spot(_RIGHT - 0.1, top + 0.15), f"layer {layer}, of {n_layers}", palette.muted)
    blue = palette.diverging[4]
    for name, low, high in [("Attention", 3.25, 6.0), ("MLP", 8.6, 10.45)][: 1 + has_mlp]:
        _draw_box(figure, (1.05, low), (_RIGHT - 0.15, high), blue, "solid")
        _write(figure, _Spot(_RIGHT - 0.25, high - 0.3), name, blue)
    end = "resid_post" if normed else "logits"
    lines = [("embed", end, 5.0), *((a, b, 1.5) for a, b in _edges(points))]
    for start, stop, width in lines:
        figure.add_scatter(
            x=[spots[start].x, spots[stop].x],
            y=[spots[start].y, spots[stop].y],
            mode="lines",
            line={"color": palette.muted, "width": width},
            hoverinfo="skip",
            showlegend=False,
        )
    names = list(points)
    colours = [palette.accent if name == chosen else blue for name in names]
    figure.add_scatter(
        x=[spots[name].x for name in names],
        y=[spots[name].y for name in names],
        mode="markers+text",
        text=[f"<b>{name}</b>" if name == chosen else name for name in names],
        # Beside the lines that run to the right, not on them.
        textposition=[_BESIDE.get(name, "middle right") for name in names],
        textfont={"size": 13, "color": palette.text},
        cliponaxis=False,
        marker={
            "size": [18 if name == chosen else 14 for name in names],
            "color": colours,
            "opacity": 1,  # of different sizes, they would be transparent
            "line": {"color": palette.background, "width": 2},
        },
        # Streamlit's click selects; the other points must not fade.
        unselected={"marker": {"opacity": 1}, "textfont": {"color": palette.text}},
        customdata=[[i] for i in range(len(names))],
        hovertext=[f"<b>{name}</b><br>{points[name]}" for name in names],
        hoverinfo="text",
        showlegend=False,
    )
    figure.update_xaxes(visible=False, range=[-0.7, _RIGHT + 0.1], fixedrange=True)
    figure.update_yaxes(visible=False, range=[-0.6, spots["logits"].y + 0.6], fixedrange=True)
    figure.update_layout(clickmode="event+select", hoverdistance=40, dragmode=False)
    return finish(figure, height=int(80 + 42 * spots["logits"].y))


def _edges(points: Mapping[str, str]) -> list[tuple[str, str]]:
    """What flows from where to where, beside the stream itself."""
    has_mlp, normed = "mlp_out" in points, "scale1" in points
    first = "normalized1" if normed else "resid_pre"
    # Side by side, attention and MLP read the same stream.
    middle = "resid_mid" if "resid_mid" in points else "resid_pre"
    edges = [(first, name) for name in "qkv"]
    if "pos_embed" in points:
        edges.append(("pos_embed", "resid_pre"))
    # Where scores cannot be worked out there is no point for them.
    met = "attn_scores" if "attn_scores" in points else "pattern"
    edges += [("q", met), ("k", met), ("pattern", "z"), ("v", "z"), ("z", "attn_out")]
    if met != "pattern":
        edges.append((met, "pattern"))
    edges.append(("attn_out", "resid_mid" if "resid_mid" in points else "resid_post"))
    if has_mlp:
        edges += [("normalized2" if normed else middle, "pre"), ("pre", "post")]
        edges += [("post", "mlp_out"), ("mlp_out", "resid_post")]
    if normed:
        chains = [("resid_pre", "scale1", "normalized1"), ("resid_post", "scale", "normalized")]
        chains += [(middle, "scale2", "normalized2")] * has_mlp
        edges += [edge for chain in chains for edge in pairwise(chain)] + [("normalized", "logits")]
    return edges


def _draw_box(
    figure: go.Figure, low: tuple[float, float], high: tuple[float, float], colour: str, dash: str
) -> None:
    figure.add_shape(
        type="rect",
        x0=low[0],
        y0=low[1],
        x1=high[0],
        y1=high[1],
        line={"color": colour, "width": 1.5, "dash": dash},
        layer="below",
    )


def _write(figure: go.Figure, at: _Spot, text: str, colour: str) -> None:
    figure.add_annotation(
        x=at.x,
        y=at.y,
        text=text,
        showarrow=False,
        xanchor="right",
        font={"color": colour, "size": 13},
    )


def slice_map(
    values: np.ndarray,
    labels: Sequence[str],
    columns: Sequence[str],
    axis: str,
    palette: Palette,
) -> go.Figure:
    """An activation [pos, feature] with a token for each row; colours are centred on 0.

    Args:
        values: [pos, feature].
        labels: Tokens as the tokenizer gives them.
        columns: A name for each feature, as text.
        axis: What the features are.
        palette: Colours of the theme.
    """
    limit = max(float(np.quantile(np.abs(values), COLOURED_SHARE)), 1e-6)
    rows = [f"{i} {plotly_text(display_token(label))}" for i, label in enumerate(labels)]
    figure = Chart(
        "heatmap",
        z=values,
        x=list(columns),
        y=rows,
        colorscale=colour_scale(palette.diverging),
        zmin=-limit,
        zmax=limit,
        hovertemplate=f"position %{{y}}<br>{axis} %{{x}}<br>%{{z:+.3f}}<extra></extra>",
        colorbar={"title": {"text": "activation", "side": "right"}, "thickness": 12},
    )
    figure.update_xaxes(
        title=axis.capitalize(),
        type="category",
        showgrid=False,
        tickangle=-60,
        **some_ticks(columns, 16),
    )
    figure.update_yaxes(
        title="Position",
        type="category",
        showgrid=False,
        autorange="reversed",
        **token_ticks(labels, 34),
    )
    return finish(figure, height=min(_SLICE_HEIGHT, 150 + 16 * len(labels)))


def weight_map(values: np.ndarray, across: str, down: str, palette: Palette) -> go.Figure:
    """A weight [row, column], colours centred on 0; `across` and `down` name its axes."""
    limit = max(float(np.quantile(np.abs(values), COLOURED_SHARE)), 1e-6)
    figure = Chart(
        "heatmap",
        z=values,
        colorscale=colour_scale(palette.diverging),
        zmin=-limit,
        zmax=limit,
        hovertemplate=f"{across} %{{x}}<br>{down} %{{y}}<br>%{{z:+.4f}}<extra></extra>",
        colorbar={"title": {"text": "weight", "side": "right"}, "thickness": 12},
    )
    figure.update_xaxes(title=across.capitalize(), showgrid=False)
    figure.update_yaxes(title=down.capitalize(), showgrid=False, autorange="reversed")
    return finish(figure, height=420)


def token_bars(values: np.ndarray, labels: Sequence[str], palette: Palette, unit: str) -> go.Figure:
    """One number for each token of a text, in order."""
    names = [f"{i} {plotly_text(display_token(label))}" for i, label in enumerate(labels)]
    figure = bars_by_position(values, names, f"%{{customdata}}<br>{unit} %{{y:.3f}}", palette)
    figure.update_xaxes(title="Position", tickangle=-60, **token_ticks(labels, 40))
    figure.update_yaxes(title=unit.capitalize(), zerolinecolor=palette.muted)
    return finish(figure, height=340)
