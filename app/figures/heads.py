"""Plotly figures about one head, or about heads as points. Numbers, labels and colours in."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from analysis.definitions import ATTENTION, Weighting
from analysis.head import Head
from app.figures.base import (
    BAR_TICKS,
    add_click_targets,
    attribution_bars,
    bars_by_position,
    colour_scale,
    finish,
    largest,
    outline_cell,
    pattern_map,
    token_ticks,
)
from app.figures.chart import Chart
from app.figures.pixels import cells_seen
from app.text import display_token, plotly_text
from app.theme import Palette

# A point for every cell of a longer text would take more than half a megabyte.
MAX_CLICKABLE = 128
# More bars than this cannot be told apart on a projector.
MAX_BARS = 24
MAX_PARTNERS = 24
# Room of a name on a scatter, as a share of its width and of its height.
_NAME_WIDTH, _NAME_HEIGHT = 0.1, 0.045


def pattern_cells(
    pattern: np.ndarray,
    labels: Sequence[str],
    palette: Palette,
    cell: tuple[int, int],
    weighting: Weighting = ATTENTION,
    bidirectional: bool = False,
) -> go.Figure:
    """`pattern_map` with one cell outlined; a click gives any other one.

    Up to `MAX_CLICKABLE` tokens a point on every cell takes the click and carries `(dest, src)`.
    """
    unit, signed = weighting.unit, weighting.signed
    figure = pattern_map(pattern, labels, palette, unit, signed, bidirectional)
    n, (dest, src) = len(labels), cell
    if n <= MAX_CLICKABLE:
        # The heatmap's own hover would never show.
        figure.update_traces(hovertemplate=None, hoverinfo="skip")
        rows, columns = np.nonzero(cells_seen(pattern.shape, bidirectional))
        names = [f"{i} {plotly_text(display_token(label))}" for i, label in enumerate(labels)]
        add_click_targets(
            figure,
            rows=rows,
            columns=columns,
            size=8,
            hovertext=[
                f"destination (query) {names[a]}<br>source (key) {names[b]}"
                f"<br>{unit} {pattern[a, b]:{'+' if signed else ''}.3f}"
                for a, b in zip(rows, columns, strict=True)
            ],
        )
        figure.update_layout(clickmode="event+select", hoverdistance=40, dragmode=False)
    # A scatter would widen the axes by a margin for its markers.
    figure.update_xaxes(range=[-0.5, n - 0.5], zeroline=False)
    figure.update_yaxes(range=[n - 0.5, -0.5], autorange=False, zeroline=False)
    outline_cell(figure, dest, src, palette)
    return figure


def side_bars(values: np.ndarray, components: Sequence[str], palette: Palette) -> go.Figure:
    """One side of a split score: its strongest components, the others as one bar; same sum."""
    if len(values) > MAX_BARS:
        strongest = largest(np.abs(values), MAX_BARS - 1)
        others = float(np.delete(values, strongest).sum())
        components = [*(components[i] for i in strongest), "all others"]
        values = np.append(values[strongest], others)
    return attribution_bars(values, components, palette, unit="attention score")


def position_bars(
    values: np.ndarray, at: Sequence[str], towards: Sequence[str], palette: Palette
) -> go.Figure:
    """What one head adds to the logit of a token, at each position it is predicted from."""
    hover = [
        f"at {i} “{plotly_text(display_token(here))}” towards “{plotly_text(display_token(goal))}”"
        for i, (here, goal) in enumerate(zip(at, towards, strict=True))
    ]
    figure = bars_by_position(values, hover, "%{customdata}: %{y:+.3f} logits", palette)
    figure.update_xaxes(
        title="Position the prediction is made at", tickangle=-60, **token_ticks(at, BAR_TICKS)
    )
    figure.update_yaxes(title="Logits", zerolinecolor=palette.muted)
    return finish(figure, height=300)


def partner_dots(
    scores: Mapping[str, np.ndarray],
    heads: Sequence[Head],
    baseline: tuple[float, float],
    palette: Palette,
) -> go.Figure:
    """Composition scores of one head with others, by kind; a dot carries `(layer, head)`.

    Args:
        scores: By kind (`Q`, `K`, `V`), one score for each of `heads`.
        heads: The partners; the `MAX_PARTNERS` with the highest scores are drawn.
        baseline: Mean and standard deviation of random pairs.
        palette: Colours of the theme.
    """
    best = np.nanmax(np.stack(list(scores.values())), axis=0)
    shown = largest(best, MAX_PARTNERS)
    mean, sd = baseline
    names = [heads[i].label for i in shown]
    looks = zip(
        ("circle", "diamond", "square"),
        (palette.diverging[3], palette.accent, palette.muted),
        strict=True,
    )
    figure = Chart()
    for (kind, values), (symbol, colour) in zip(scores.items(), looks, strict=True):
        figure.add_scatter(
            x=names,
            y=values[shown],
            mode="markers",
            name=kind,
            marker={"symbol": symbol, "size": 11, "color": colour},
            # Streamlit's click selects; the other dots must not fade.
            unselected_marker_opacity=1,
            customdata=[[heads[i].layer, heads[i].head] for i in shown],
            hovertext=[
                f"<b>{name}</b> {kind}-composition {value:.3f}<br>"
                f"{(value - mean) / sd:+.1f} sd from random pairs"
                for name, value in zip(names, values[shown], strict=True)
            ],
            hoverinfo="text",
        )
    figure.add_hline(
        mean,
        line={"color": palette.muted, "dash": "dash", "width": 1.5},
        # In the legend: beside the line it would lie on the dots.
        showlegend=True,
        name="random",
    )
    figure.update_xaxes(type="category", tickangle=-45)
    figure.update_yaxes(title="Composition score", rangemode="tozero")
    figure.update_layout(
        clickmode="event+select",
        dragmode=False,
        # Grows upwards: in a narrow column the entries stand below each other.
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.03, "x": 0},
    )
    return finish(figure, height=360)


def add_diagonal(
    figure: go.Figure, values: np.ndarray, palette: Palette, name: str | None = None
) -> None:
    """The dashed line on which both axes are the same; with a name it stands in the legend."""
    ends = [float(values.min()), float(values.max())]
    figure.add_scatter(
        x=ends,
        y=ends,
        mode="lines",
        line={"color": palette.muted, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
        name=name,
        showlegend=name is not None,
    )


def score_scatter(
    x: np.ndarray,
    y: np.ndarray,
    titles: tuple[str, str],
    palette: Palette,
    *,
    shown: np.ndarray,
    focus: Head | None = None,
) -> go.Figure:
    """Two scores of every head against each other; a dot carries `(layer, head)`.

    Args:
        x: [layer, head].
        y: [layer, head].
        titles: Names of the two scores.
        palette: Colours of the theme.
        shown: [layer, head], which heads are drawn; at least one.
        focus: Head to ring.
    """
    layer, head = np.nonzero(shown)
    across, up = x[layer, head], y[layer, head]
    heads = [Head(int(a), int(b)) for a, b in zip(layer, head, strict=True)]
    named = _apart(across, up, first=heads.index(focus) if focus in heads else None)
    n_layers = len(x)
    figure = Chart(
        "scatter",
        x=across,
        y=up,
        mode="markers+text",
        text=[h.label if i in named else "" for i, h in enumerate(heads)],
        textposition=_name_sides(across),
        textfont_size=12,
        cliponaxis=False,
        marker={
            "size": 13,
            "color": layer,
            "colorscale": colour_scale(palette.sequential[1:]),
            "cmin": 0,
            "cmax": max(n_layers - 1, 1),
            "line": {"color": palette.muted, "width": 1},
            "showscale": n_layers > 1,
            "colorbar": {
                "title": {"text": "layer", "side": "right"},
                "thickness": 12,
                "dtick": max(1, n_layers // 8),
            },
        },
        unselected_marker_opacity=1,
        customdata=np.stack([layer, head], -1),
        hovertext=[
            f"<b>{h.label}</b><br>{titles[0]} {a:.3f}<br>{titles[1]} {b:.3f}"
            for h, a, b in zip(heads, across, up, strict=True)
        ],
        hoverinfo="text",
        showlegend=False,
    )
    if focus in heads:
        at = heads.index(focus)
        figure.add_scatter(
            x=[across[at]],
            y=[up[at]],
            mode="markers",
            marker={
                "symbol": "circle-open",
                "size": 20,
                "color": palette.accent,
                "line_width": 3,
            },
            hoverinfo="skip",
            showlegend=False,
        )
    figure.update_xaxes(title=titles[0])
    figure.update_yaxes(title=titles[1])
    figure.update_layout(clickmode="event+select", dragmode=False)
    return finish(figure, height=480, top=30)


def _name_sides(x: np.ndarray) -> list[str]:
    """A name stands on the side of its dot that is towards the middle of the figure."""
    return ["middle right" if near else "middle left" for near in _left_half(x)]


def _left_half(x: np.ndarray) -> np.ndarray:
    return np.asarray(x <= (x.min() + x.max()) / 2)


def _apart(x: np.ndarray, y: np.ndarray, first: int | None) -> set[int]:
    """Points whose names lie on no other point and no other name, those farthest up first."""
    across, up = (v / max(float(np.ptp(v)), 1e-9) for v in (x, y))
    towards = np.where(_left_half(x), 1, -1)
    order = np.argsort(-np.maximum(across - across.min(), up - up.min())).tolist()
    named: list[int] = [] if first is None else [first]
    for i in order:
        ahead = towards[i] * (across - across[i])
        level = np.abs(up - up[i]) < _NAME_HEIGHT
        hidden = level & (ahead > 0) & (ahead < _NAME_WIDTH)
        beside = level[named] & (np.abs(ahead[named]) < 2 * _NAME_WIDTH)
        if not hidden.any() and not beside.any():
            named.append(i)
    return set(named)
