"""Plotly figures about what breaks, and what survives, when heads are taken away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from analysis.head import Head
from app.figures.base import add_click_targets, colour_scale, finish, head_map, name_axes
from app.figures.chart import Chart
from app.figures.heads import add_diagonal, score_scatter
from app.theme import Palette

if TYPE_CHECKING:
    from analysis.effects.ablation import PairAblation

# More bars with their numbers than this cannot be told apart on a projector.
MAX_PAIRS = 12
# Heads in a row up to which a cell has room for its number.
MAX_NUMBERS = 16
# A head whose loss is smaller than this, in nats, has no share of it to speak of.
LEAST_EFFECT = 0.05


def effect_map(
    estimate: np.ndarray, exact: np.ndarray, palette: Palette, focus: Head | None = None
) -> go.Figure:
    """Effect of each head [layer, head]: the exact one, or the estimate with a ring and `≈`."""
    known = ~np.isnan(exact)
    values = np.where(known, exact, estimate)
    details = {"exact": exact, "estimate": estimate}
    figure = head_map(values, palette, unit="nats", diverging=True, focus=focus, details=details)
    if values.shape[1] <= MAX_NUMBERS:
        text = [[signed(value) for value in row] for row in values]
        for layer, head in zip(*np.nonzero(~known), strict=True):
            text[layer][head] = f"≈{text[layer][head]}"
        # Plotly fits it to the cells.
        figure.update_traces(selector={"type": "heatmap"}, text=text, texttemplate="%{text}")
    layer, head = np.nonzero(~known)
    figure.add_scatter(
        x=head + 0.36,
        y=layer - 0.3,
        mode="markers",
        marker={"symbol": "circle-open", "size": 7, "color": palette.text, "line_width": 1.5},
        unselected_marker_opacity=1,
        hoverinfo="skip",
        name="estimate",
        # In the legend for as long as there is one.
        showlegend=bool(len(layer)),
    )
    figure.update_layout(legend={"orientation": "h", "yanchor": "bottom", "y": 1, "x": 0})
    return figure.update_layout(margin_t=36)


def estimate_scatter(
    estimate: np.ndarray, exact: np.ndarray, palette: Palette, focus: Head | None = None
) -> go.Figure:
    """Estimate and exact effect of the heads whose exact effect is known, [layer, head] each.

    A dot carries `(layer, head)`; on the dashed line both are the same.
    """
    known = ~np.isnan(exact)
    titles = ("Estimated effect (nats)", "Exact effect (nats)")
    figure = score_scatter(estimate, exact, titles, palette, shown=known, focus=focus)
    both = np.concatenate([estimate[known], exact[known]])
    add_diagonal(figure, both, palette)
    return figure


def excess_map(found: PairAblation, palette: Palette) -> go.Figure:
    """Excess of every pair; a point carries its pair's place, row by row."""
    names = [head.label for head in found.heads]
    excess = found.excess
    n = len(names)
    limit = max(float(np.nanmax(np.abs(excess))), 1e-6)
    figure = Chart(
        "heatmap",
        z=excess,
        text=[[signed(value) if np.isfinite(value) else "" for value in row] for row in excess],
        texttemplate="%{text}",
        colorscale=colour_scale(palette.diverging),
        zmin=-limit,
        zmax=limit,
        xgap=2,
        ygap=2,
        hoverinfo="skip",
        colorbar={"title": {"text": "nats", "side": "right"}, "thickness": 12},
    )
    row, column = np.divmod(np.arange(n * n), n)
    add_click_targets(
        figure,
        rows=row,
        columns=column,
        size=24,
        hovertext=[
            f"<b>{names[a]}</b> alone {found.alone[a]:+.3f} nats"
            if a == b
            else f"<b>{names[a]} and {names[b]}</b><br>together {found.together[a, b]:+.3f} nats"
            f"<br>sum of each alone {found.alone[a] + found.alone[b]:+.3f}"
            f"<br>excess {excess[a, b]:+.3f}"
            for a, b in zip(row, column, strict=True)
        ],
        carried=np.arange(n * n)[:, None],
    )
    name_axes(figure, names, names)
    figure.update_layout(clickmode="event+select", hoverdistance=200, dragmode=False)
    return finish(figure, height=90 + 40 * n)


def offset_map(
    values: np.ndarray, kept: Sequence[Sequence[int]], layer: int, palette: Palette
) -> go.Figure:
    """Loss increase of each head of a layer [kept, head] when it reads some distances only.

    Coloured by the share of what the head loses with no distance at all (the first row), so that
    a head of small effect can be read beside one of large effect.
    """
    full = values[0]
    share = np.where(full >= LEAST_EFFECT, values / np.where(full == 0, 1, full), np.nan)
    rows = [", ".join(map(str, offsets)) or "none" for offsets in kept]
    heads = [Head(layer, head).label for head in range(values.shape[1])]
    figure = Chart(
        "heatmap",
        z=np.clip(share, 0, 1),
        text=values,
        colorscale=colour_scale(palette.sequential),
        zmin=0,
        zmax=1,
        xgap=2,
        ygap=2,
        hoverinfo="skip",
        # Above the cells, whose numbers need all the width of a narrow window.
        colorbar={
            "title": {"text": "share of the head's work lost", "side": "top"},
            "orientation": "h",
            "thickness": 10,
            "len": 0.5,
            "x": 0,
            "xanchor": "left",
            "y": 1.02,
            "yanchor": "bottom",
            "tickformat": ".0%",
            "nticks": 3,
        },
    )
    many = values.shape[1] > 16
    row, column = np.divmod(np.arange(values.size), values.shape[1])
    # The numbers are a layer of their own: cells without a share have no colour, not no number.
    figure.add_scatter(
        x=column,
        y=row,
        mode="markers" if many else "text",
        marker={"opacity": 0, "size": 16},
        text=[signed(value).replace("+0.00", "0") for value in values.flat],
        textfont={
            "size": 12,
            "color": [
                palette.background if np.isfinite(part) and part > 0.5 else palette.text
                for part in share.flat
            ],
        },
        hovertext=[
            f"<b>{heads[b]}</b>, distances kept: {rows[a]}<br>loss {values[a, b]:+.3f} nats"
            + (f"<br>{share[a, b]:.0%} of its work lost" if np.isfinite(share[a, b]) else "")
            for a, b in zip(row, column, strict=True)
        ],
        hoverinfo="text",
        showlegend=False,
    )
    name_axes(figure, rows, heads)
    figure.update_xaxes(title=f"Head of layer {layer}")
    figure.update_yaxes(title="Distances kept")
    return finish(figure, height=170 + 36 * len(rows), top=60)


def pair_bars(
    repeated: np.ndarray, paired: np.ndarray, heads: Sequence[Head], palette: Palette
) -> go.Figure:
    """What is left on pairs of each head's effect on full repeats; a bar carries its head.

    All of `repeated` are at least `LEAST_EFFECT`: a share of nearly nothing says nothing.
    """
    names = [head.label for head in heads]
    share = paired / repeated
    figure = Chart(
        "bar",
        x=np.arange(len(heads)),
        y=share,
        marker_color=[palette.accent if s < 0.5 else palette.diverging[3] for s in share],
        marker_line_width=0,
        # Streamlit's click selects; the other bars must not fade.
        unselected_marker_opacity=1,
        customdata=[[head.layer, head.head] for head in heads],
        hovertext=[
            f"<b>{label}</b><br>full repeats {a:+.3f} nats<br>pairs {b:+.3f} nats"
            for label, a, b in zip(names, repeated, paired, strict=True)
        ],
        hoverinfo="text",
    )
    figure.add_hline(1, line={"color": palette.muted, "dash": "dash", "width": 1.5})
    # Both effects stand under the head: at the bar's end the dashed line would run through them.
    figure.update_xaxes(
        tickvals=list(range(len(heads))),
        ticktext=[
            f"{name}<br>{signed(a)}<br>→ {signed(b)}"
            for name, a, b in zip(names, repeated, paired, strict=True)
        ],
    )
    figure.update_yaxes(
        title="Effect on pairs / on full repeats", zerolinecolor=palette.muted, rangemode="tozero"
    )
    figure.update_layout(clickmode="event+select", dragmode=False)
    return finish(figure, height=340)


def signed(value: float) -> str:
    """A number with its sign and two decimals; what rounds to 0 has no minus."""
    return f"{round(float(value), 2) + 0.0:+.2f}"
