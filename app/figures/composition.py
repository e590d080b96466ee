"""Plotly figures of heads that work together: pairs of them, and what a head reads."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from analysis.head import Head
from app.figures.base import (
    add_click_targets,
    colour_scale,
    finish,
    largest,
    name_axes,
    outline_cell,
    signed_colours,
    token_ticks,
)
from app.figures.chart import Chart
from app.figures.graph import Link
from app.text import display_token, plotly_text
from app.theme import Palette

# More rows than these leave no room for their names.
MAX_ROWS = 36
# More dots than these hide each other, and slow a browser down.
MAX_DOTS = 400

Pair = tuple[Head, Head]


def pair_map(
    values: np.ndarray,
    baseline: tuple[float, float],
    palette: Palette,
    chosen: Pair,
    layers: tuple[int | None, int | None] = (None, None),
) -> tuple[go.Figure, int]:
    """Composition scores of writers (rows) and readers (columns), white where pairs are random.

    Args:
        values: [writer layer, writer head, reader layer, reader head]; NaN cells stay empty.
        baseline: Mean and standard deviation of random pairs.
        palette: Colours of the theme.
        chosen: Writer and reader to outline.
        layers: A layer whose heads are the rows, and one whose heads are the columns; None: the
            heads that stand out.

    Returns:
        The figure, whose cells carry writer layer, writer head, reader layer and reader head, and
        how many heads were left out: of more than `MAX_ROWS` the ones that stand out most stay.
    """
    n_layers, n_heads = values.shape[:2]
    mean, sd = baseline
    # The last layer has no reader after it and the first no writer before it.
    writers = [Head(a, b) for a in range(n_layers - 1) for b in range(n_heads)]
    readers = [Head(a, b) for a in range(1, n_layers) for b in range(n_heads)]
    table = values[:-1, :, 1:].reshape(len(writers), len(readers))
    of_layers = (_of_layer(writers, layers[0]), _of_layer(readers, layers[1]))
    writers, readers = (
        [heads[i] for i in kept] for heads, kept in zip((writers, readers), of_layers, strict=True)
    )
    table = table[np.ix_(*of_layers)]
    shown_rows = _standing_out(table - mean, axis=1)
    shown_columns = _standing_out(table - mean, axis=0)
    table = table[np.ix_(shown_rows, shown_columns)]
    rows, columns = [writers[i] for i in shown_rows], [readers[i] for i in shown_columns]
    known = table[~np.isnan(table)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    figure = Chart(
        "heatmap",
        z=table,
        colorscale=centred_scale(palette.diverging, low, mean, high),
        zmin=min(low, mean),
        zmax=max(high, mean + 1e-6),
        texttemplate="%{z:.3f}" if len(columns) <= 12 else None,
        xgap=1,
        ygap=1,
        hoverinfo="skip",
        colorbar={"title": {"text": "composition score", "side": "right"}, "thickness": 12},
    )
    places = np.argwhere(~np.isnan(table))
    figure.add_scatter(
        x=places[:, 1],
        y=places[:, 0],
        mode="markers",
        marker={"symbol": "square", "size": 18, "opacity": 0},
        selected_marker_opacity=0,
        unselected_marker_opacity=0,
        customdata=[_numbers(rows[i], columns[j]) for i, j in places],
        hovertext=[
            f"<b>{rows[i].label} to {columns[j].label}</b><br>score {table[i, j]:.3f}"
            f"<br>{(table[i, j] - mean) / sd:+.1f} sd from random pairs"
            for i, j in places
        ],
        hoverinfo="text",
        showlegend=False,
    )
    writer, reader = chosen
    if writer in rows and reader in columns:
        outline_cell(figure, rows.index(writer), columns.index(reader), palette)
    name_axes(figure, [h.label for h in rows], [h.label for h in columns])
    figure.update_xaxes(title="Later head, which reads", tickangle=-60)
    figure.update_yaxes(title="Earlier head, which writes")
    figure.update_layout(clickmode="event+select", hoverdistance=200, dragmode=False)
    left_out = len(writers) + len(readers) - len(rows) - len(columns)
    return finish(figure, height=130 + max(20, 34 - len(rows)) * len(rows)), left_out


def baseline_figure(
    sample: np.ndarray,
    closed_form: float,
    kinds: dict[str, list[tuple[Head, Head, float]]],
    palette: Palette,
) -> go.Figure:
    """Histogram of random pairs, and below it every real pair as a dot, a row for each kind.

    Args:
        sample: Scores of random pairs.
        closed_form: What theory says they are.
        kinds: By kind, pairs `(writer, reader, score)`; a dot carries the four numbers of its pair.
        palette: Colours of the theme.
    """
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.5, 0.5], vertical_spacing=0.06
    )
    counts, edges = np.histogram(sample, bins=30)
    figure.add_bar(
        x=(edges[1:] + edges[:-1]) / 2,
        y=counts,
        width=edges[1] - edges[0],
        marker_color=palette.muted,
        marker_line_width=0,
        hovertemplate="%{y} random pairs at %{x:.4f}<extra></extra>",
        row=1,
        col=1,
    )
    colours = (palette.diverging[3], palette.accent, palette.muted)
    for (kind, pairs), colour in zip(kinds.items(), colours, strict=True):
        figure.add_scatter(
            x=[score for _, _, score in pairs],
            y=[kind] * len(pairs),
            mode="markers",
            marker={"size": 9, "color": colour, "opacity": 0.75},
            unselected_marker_opacity=0.75,
            customdata=[_numbers(writer, reader) for writer, reader, _ in pairs],
            hovertemplate="<b>L%{customdata[0]}H%{customdata[1]} to "
            "L%{customdata[2]}H%{customdata[3]}</b><br>" + kind + " %{x:.3f}<extra></extra>",
            row=2,
            col=1,
        )
    figure.add_vline(
        closed_form, line={"color": palette.accent, "dash": "dash", "width": 1.5}, layer="below"
    )
    figure.update_yaxes(title="Random pairs", row=1, col=1)
    figure.update_yaxes(title="Read as", autorange="reversed", row=2, col=1)
    figure.update_xaxes(title="Composition score", row=2, col=1)
    figure.update_layout(
        showlegend=False, clickmode="event+select", dragmode=False, bargap=0, hoverdistance=15
    )
    return finish(figure, height=360)


def composition_links(
    pairs: Sequence[tuple[Head, Head, float]],
    baseline: tuple[float, float],
    palette: Palette,
    chosen: Pair,
) -> list[Link]:
    """Pairs of heads as edges, which carry writer layer and head, reader layer and head."""
    mean, sd = baseline
    strongest = max((score for _, _, score in pairs), default=1.0)
    return [
        Link(
            writer,
            reader,
            share=max(score - mean, 0) / max(strongest - mean, 1e-9),
            hover=f"<b>{writer.label} to {reader.label}</b><br>score {score:.3f}"
            f"<br>{(score - mean) / sd:+.1f} sd from random pairs",
            numbers=tuple(_numbers(writer, reader)),
            colour=palette.accent if (writer, reader) == chosen else palette.diverging[3],
            opacity=1 if (writer, reader) == chosen else 0.7,
        )
        for writer, reader, score in pairs
    ]


def change_bars(values: np.ndarray, labels: Sequence[str], palette: Palette) -> go.Figure:
    """Change of a score without each of the heads named; the largest ones of many."""
    shown = largest(np.abs(values), MAX_ROWS)
    figure = Chart(
        "bar",
        x=[labels[i] for i in shown],
        y=values[shown],
        marker_color=signed_colours(values[shown], palette),
        texttemplate="%{y:+.2f}" if len(shown) <= 16 else None,
        textposition="outside",
        cliponaxis=False,
        hovertemplate="without <b>%{x}</b>: %{y:+.3f}<extra></extra>",
    )
    low, high = min(float(values.min()), -0.1), max(float(values.max()), 0.1)
    figure.update_xaxes(title="Head that is silenced", type="category", tickangle=-60)
    figure.update_yaxes(
        title="Change of the induction score",
        range=[1.15 * low, 1.15 * high],
        zeroline=True,
        zerolinecolor=palette.muted,
    )
    return finish(figure, height=360)


def change_map(
    changes: np.ndarray, sources: Sequence[str], targets: Sequence[str], palette: Palette
) -> go.Figure:
    """Change of every target's score without each source, [source, target]; NaN stays empty."""
    limit = max(float(np.nanmax(np.abs(changes))), 0.1)
    figure = Chart(
        "heatmap",
        z=changes,
        x=list(range(len(targets))),
        y=list(range(len(sources))),
        customdata=[[[source, target] for target in targets] for source in sources],
        colorscale=colour_scale(palette.diverging),
        zmin=-limit,
        zmax=limit,
        texttemplate="%{z:+.2f}",
        xgap=1,
        ygap=1,
        hovertemplate="%{customdata[1]} without <b>%{customdata[0]}</b>: %{z:+.3f}<extra></extra>",
        colorbar={"title": {"text": "change", "side": "right"}, "thickness": 12},
    )
    name_axes(figure, sources, targets)
    figure.update_xaxes(title="Head whose stripe it is", tickangle=-60)
    figure.update_yaxes(title="Head that is silenced")
    return finish(figure, height=130 + 24 * len(sources))


def norm_map(
    norms: np.ndarray,
    components: Sequence[str],
    labels: Sequence[str] | None,
    palette: Palette,
    top: float,
) -> go.Figure:
    """Length of each component's part of a query or key, [component, pos].

    `labels` are the tokens, where there is one sequence; `top` is the end of the colours.
    """
    n_components, n = norms.shape
    at = [str(i) for i in range(n)]
    if labels is not None:
        at = [f"{i} “{plotly_text(display_token(label))}”" for i, label in enumerate(labels)]
    figure = Chart(
        "heatmap",
        z=norms,
        x=at,
        y=list(components),
        colorscale=colour_scale(palette.sequential),
        zmin=0,
        zmax=top,
        hovertemplate="<b>%{y}</b> at position %{x}<br>length %{z:.2f}<extra></extra>",
        colorbar={"title": {"text": "length", "side": "right"}, "thickness": 12},
    )
    ticks: dict[str, Any] = {"nticks": 12, "tickangle": 0}
    if labels is not None:
        ticks = {"tickangle": -60, **token_ticks(labels, 24)}
    figure.update_xaxes(title="Position", showgrid=False, **ticks)
    figure.update_yaxes(autorange="reversed", showgrid=False, dtick=1)
    return finish(figure, height=110 + max(16, 30 - n_components) * n_components)


def component_map(
    stds: np.ndarray, components: Sequence[str], chosen: tuple[int, int], palette: Palette
) -> tuple[go.Figure, int]:
    """How much each pair of components moves the scores, [query side, key side].

    Returns:
        The figure, whose cells carry the numbers of both components, and how many components were
        left out: of more than `MAX_ROWS` the ones that stand out most stay.
    """
    size = np.maximum(stds.max(0), stds.max(1))
    shown = largest(size, MAX_ROWS)
    table = stds[np.ix_(shown, shown)]
    names = [components[i] for i in shown]
    n = len(shown)
    figure = Chart(
        "heatmap",
        z=table,
        colorscale=colour_scale(palette.sequential),
        zmin=0,
        zmax=max(float(table.max(initial=0)), 1e-6),
        texttemplate="%{z:.1f}" if n <= 14 else None,
        xgap=1,
        ygap=1,
        hoverinfo="skip",
        colorbar={"title": {"text": "sd of the score", "side": "right"}, "thickness": 12},
    )
    rows, columns = (part.ravel() for part in np.indices(table.shape))
    add_click_targets(
        figure,
        rows=rows,
        columns=columns,
        size=16,
        hovertext=[
            f"query from <b>{names[a]}</b><br>key from <b>{names[b]}</b><br>sd {table[a, b]:.3f}"
            for a, b in np.ndindex(table.shape)
        ],
        carried=np.stack([shown[rows], shown[columns]], -1),
    )
    places = {int(component): place for place, component in enumerate(shown)}
    if chosen[0] in places and chosen[1] in places:
        outline_cell(figure, places[chosen[0]], places[chosen[1]], palette)
    name_axes(figure, names, names)
    figure.update_xaxes(title="Key from", tickangle=-60)
    figure.update_yaxes(title="Query from")
    figure.update_layout(clickmode="event+select", hoverdistance=200, dragmode=False)
    return finish(figure, height=150 + max(18, 34 - n) * n), len(components) - n


def centred_scale(
    colours: Sequence[str], low: float, middle: float, high: float
) -> list[tuple[float, str]]:
    """Diverging colours for `low`..`high` with their middle at `middle`.

    Both arms keep the same pace, so the shorter one ends before its last colour.
    """
    low, high = min(low, middle), max(high, middle + 1e-6)
    reach = max(high - middle, middle - low)
    points = np.unique([*np.linspace(low, middle, 9), *np.linspace(middle, high, 9)])
    shares = 0.5 + (points - middle) / (2 * reach)
    found = sample_colorscale([*colours], shares.clip(0, 1).tolist())
    return [
        (float(place), colour)
        for place, colour in zip((points - low) / (high - low), found, strict=True)
    ]


def _standing_out(deviation: np.ndarray, axis: int) -> np.ndarray:
    size = np.nan_to_num(np.abs(deviation)).max(axis=axis, initial=0)
    return largest(size, MAX_ROWS)


def _of_layer(heads: Sequence[Head], layer: int | None) -> np.ndarray:
    return np.array([i for i, head in enumerate(heads) if layer in (None, head.layer)], dtype=int)


def _numbers(writer: Head, reader: Head) -> list[int]:
    return [writer.layer, writer.head, reader.layer, reader.head]
