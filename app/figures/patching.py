"""Plotly figures of patching: what each activation of the clean prompt restores, and circuits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.head import Head
from app.figures.base import (
    add_click_targets,
    colour_scale,
    finish,
    outline_cell,
    some_ticks,
    token_ticks,
)
from app.figures.chart import Chart
from app.figures.graph import Link
from app.text import display_token, plotly_text
from app.theme import Palette

if TYPE_CHECKING:
    from analysis.effects.edges import Edge
    from analysis.effects.patching import PatchKind, PatchMap, PathMap

# Kinds of activation in the order of the overview, and what they are called.
BY_POSITION: dict[PatchKind, str] = {
    "resid_pre": "resid_pre (what enters the layer)",
    "attn_out": "Attention output",
    "mlp_out": "MLP output",
}
BY_HEAD: dict[PatchKind, str] = {"z": "z", "q": "q", "k": "k", "v": "v", "pattern": "pattern"}
# Wider maps have no room for numbers in their cells.
MAX_NUMBERS = 16
# Colours of a map in which nothing is restored would be those of noise.
LEAST_LIMIT = 0.05
# Lower figures have no room for the numbers of their colour bar.
MIN_HEIGHT = 240
# Heads that are named on an axis.
MAX_TICKS = 32
# What an edge of a circuit carries: no head, so a click on it opens none.
NO_HEAD = (-1,)


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a map: the axis, their names, and for heads the query heads they serve."""

    title: str
    ticks: Mapping[str, list[int] | list[str]]
    names: Sequence[str]
    serves: Sequence[range] | None = None

    def heads(self, layer: int, column: int) -> tuple[Head, ...]:
        """The query heads that a cell is about; none if it is a position."""
        if self.serves is None:
            return ()
        return tuple(Head(layer, head) for head in self.serves[column])

    def cell(self, layer: int, column: int) -> str:
        """Name of a cell, such as `L1H4`; plain text."""
        if self.serves is None:
            return f"layer {layer}, {self.names[column]}"
        return f"L{layer}{self.names[column]}"


def position_columns(labels: Sequence[str]) -> Columns:
    """The positions of a prompt, by its tokens."""
    return Columns(
        "Position",
        token_ticks(labels, 40),
        [f"position {i} “{display_token(label)}”" for i, label in enumerate(labels)],
    )


def head_columns(count: int, n_heads: int) -> Columns:
    """`count` heads; fewer than query heads: key/value heads, each of which serves a group."""
    group = n_heads // count
    serves = [range(i * group, (i + 1) * group) for i in range(count)]
    if group == 1:
        names = [f"H{i}" for i in range(count)]
        return Columns("Head", some_ticks([str(i) for i in range(count)], MAX_TICKS), names, serves)
    names = [f"KV{i} ({_span(some)})" for i, some in enumerate(serves)]
    ticks = some_ticks([f"KV{i}" for i in range(count)], MAX_TICKS)
    return Columns("Key/value head", ticks, names, serves)


def columns_of(result: PatchMap, labels: Sequence[str], n_heads: int) -> Columns:
    """The columns of a result."""
    if result.axis == "position":
        return position_columns(labels)
    return head_columns(result.values.shape[1], n_heads)


def restored(result: PatchMap | PathMap) -> np.ndarray:
    """What is drawn: shares of the difference, or logits where a share would mislead."""
    return result.effects if result.no_share else result.values


def unit_of(result: PatchMap | PathMap) -> str:
    """What that is counted in."""
    return "logits restored" if result.no_share else "share restored"


def patch_map(
    estimate: np.ndarray,
    exact: np.ndarray | None,
    columns: Columns,
    palette: Palette,
    focus: tuple[int, int],
    unit: str = "share restored",
) -> go.Figure:
    """Share restored by each patch, [layer, column]; the exact values stand over the estimates.

    A cell carries layer and column. Estimates are marked by `≈`, or, in maps that are too wide for
    numbers, exact values by a dot.
    """
    n_layers, n_columns = estimate.shape
    known = np.zeros(estimate.shape, bool) if exact is None else np.isfinite(exact)
    values = estimate if exact is None else np.where(known, exact, estimate)
    limit = _limit([values])
    numbers = n_columns <= MAX_NUMBERS
    figure = Chart(
        "heatmap",
        z=values,
        colorscale=colour_scale(palette.diverging),
        zmin=-limit,
        zmax=limit,
        text=[
            [f"{'' if known[at] else '≈'}{_number(values[at])}" for at in _row(i, n_columns)]
            for i in range(n_layers)
        ],
        texttemplate="%{text}" if numbers else None,
        xgap=1,
        ygap=1,
        hoverinfo="skip",
        colorbar=_bar(unit),
    )
    if not numbers and known.any():
        rows, places = np.nonzero(known)
        figure.add_scatter(
            x=places,
            y=rows,
            mode="markers",
            marker={
                "size": 7,
                "color": palette.text,
                "line": {"color": palette.background, "width": 1.5},
                "opacity": 1,
            },
            unselected_marker_opacity=1,
            hoverinfo="skip",
            showlegend=False,
        )
    rows, places = np.divmod(np.arange(values.size), n_columns)
    add_click_targets(
        figure,
        rows=rows,
        columns=places,
        size=18,
        hovertext=[
            f"<b>{plotly_text(columns.cell(*at))}</b><br>"
            + (f"exact {values[at]:+.3f}<br>" if known[at] else "")
            + f"estimate {estimate[at]:+.3f}"
            for at in np.ndindex(values.shape)
        ],
    )
    layer, column = focus
    outline_cell(figure, layer, column, palette)
    _lay_out(figure, columns, n_layers, n_columns)
    return finish(figure, height=max(MIN_HEIGHT, 130 + max(18, 44 - n_layers) * n_layers))


def overview(
    results: Mapping[PatchKind, PatchMap],
    names: Mapping[PatchKind, str],
    labels: Sequence[str],
    n_heads: int,
    palette: Palette,
) -> tuple[go.Figure, list[dict[str, str | int]]]:
    """Estimates of several kinds, below each other by position and beside each other by head.

    Returns:
        The figure, whose cells carry a place in the list, and the list: kind, layer and column.
    """
    kinds = [kind for kind in names if kind in results]
    stacked = results[kinds[0]].axis == "position"
    place = {kind: (i + 1, 1) if stacked else (1, i + 1) for i, kind in enumerate(kinds)}
    n_layers = len(results[kinds[0]].values)
    row_height = max(9, 34 - n_layers)
    height = max(MIN_HEIGHT, 90 + (row_height * n_layers + 46) * (len(kinds) if stacked else 1))
    figure = make_subplots(
        rows=len(kinds) if stacked else 1,
        cols=1 if stacked else len(kinds),
        subplot_titles=[names[kind] for kind in kinds],
        shared_xaxes=stacked,
        shared_yaxes=not stacked,
        horizontal_spacing=0.02,
        vertical_spacing=min(0.9 / max(len(kinds) - 1, 1), 46 / height),
    )
    # Queries of each head, keys and values of groups: then each map says what its columns are.
    grouped = len({results[kind].values.shape[1] for kind in kinds}) > 1
    options: list[dict[str, str | int]] = []
    for kind in kinds:
        result = results[kind]
        columns = columns_of(result, labels, n_heads)
        row, col = place[kind]
        figure.add_heatmap(
            z=restored(result),
            coloraxis="coloraxis",
            hoverinfo="skip",
            xgap=1,
            ygap=1,
            row=row,
            col=col,
        )
        cells = list(np.ndindex(result.values.shape))
        figure.add_scatter(
            x=[column for _, column in cells],
            y=[layer for layer, _ in cells],
            mode="markers",
            marker={"symbol": "square", "size": 12, "opacity": 0},
            selected_marker_opacity=0,
            unselected_marker_opacity=0,
            customdata=[[len(options) + i] for i in range(len(cells))],
            hovertext=[
                f"<b>{kind}: {plotly_text(columns.cell(*at))}</b>"
                f"<br>estimate {restored(result)[at]:+.3f}"
                for at in cells
            ],
            hoverinfo="text",
            showlegend=False,
            row=row,
            col=col,
        )
        options += [{"patch": kind, "layer": layer, "column": column} for layer, column in cells]
        # Below a phone's narrow maps there is room for it once.
        shown = kind == (kinds[-1] if stacked else kinds[len(kinds) // 2]) or grouped
        figure.update_xaxes(
            title=columns.title if shown else None,
            range=[-0.5, result.values.shape[1] - 0.5],
            showgrid=False,
            zeroline=False,
            tickangle=-60 if stacked else 0,
            row=row,
            col=col,
            **(columns.ticks if stacked else {"nticks": 4}),
        )
        figure.update_yaxes(
            title="Layer" if stacked or kind == kinds[0] else None,
            range=[n_layers - 0.5, -0.5],
            dtick=-(-n_layers // 8),
            showgrid=False,
            zeroline=False,
            row=row,
            col=col,
        )
    limit = _limit([restored(results[kind]) for kind in kinds])
    figure.update_layout(
        coloraxis={
            "colorscale": colour_scale(palette.diverging),
            "cmin": -limit,
            "cmax": limit,
            "colorbar": _bar(f"≈ {unit_of(results[kinds[0]]).split()[0]}"),
        },
        clickmode="event+select",
        hoverdistance=60,
        dragmode=False,
    )
    figure.update_annotations(font_size=13)
    return finish(figure, height=height, top=34), options


def circuit_links(edges: Sequence[Edge], palette: Palette, unit: str = "nats") -> list[Link]:
    """The edges of a circuit; one into a shared key or value leads to the heads that use it."""
    writers = {edge.writer for edge in edges}
    largest = max((abs(edge.score) for edge in edges), default=1.0)
    links = []
    for edge in edges:
        colour, dash = input_styles(palette)[edge.reader.input]
        helps = "helps" if edge.score > 0 else "hurts"
        shared = ""
        if edge.reader.group > 1:
            served = _span([head.head for head in edge.reader.heads])
            shared = f"<br>key/value head {edge.reader.head} serves {served}"
        hover = f"<b>{edge.label}</b><br>{edge.score:+.3f} {unit} (estimate): it {helps}{shared}"
        # Of the heads that share a key those whose own edges are left out explain nothing.
        ends: list[Head | None] = [head for head in edge.reader.heads if head in writers]
        links += [
            Link(
                edge.writer,
                end,
                share=abs(edge.score) / largest,
                hover=hover,
                numbers=NO_HEAD,
                colour=colour,
                opacity=0.85,
                dash=dash,
            )
            for end in (ends if edge.reader.heads else [None])
        ]
    return links


def add_input_legend(figure: go.Figure, inputs: Collection[str], palette: Palette) -> None:
    """Says which line is which input of the reader."""
    names = {"q": "Q: query", "k": "K: key", "v": "V: value", "logits": "to the logits"}
    for each, (colour, dash) in input_styles(palette).items():
        if each in inputs:
            figure.add_scatter(
                x=[None],
                y=[None],
                mode="lines",
                line={"color": colour, "dash": dash, "width": 3},
                name=names[each],
            )
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.04, "x": 0})


def input_styles(palette: Palette) -> dict[str, tuple[str, str]]:
    """Colour and dash of an edge by what it leads to; told apart without colour as well."""
    return {
        "q": (palette.diverging[1], "dot"),
        "k": (palette.diverging[3], "solid"),
        "v": (palette.accent, "dash"),
        "logits": (palette.muted, "solid"),
    }


def _lay_out(figure: go.Figure, columns: Columns, n_layers: int, n_columns: int) -> None:
    figure.update_xaxes(
        title=columns.title,
        range=[-0.5, n_columns - 0.5],
        showgrid=False,
        zeroline=False,
        tickangle=-60 if columns.serves is None else 0,
        **columns.ticks,
    )
    figure.update_yaxes(
        title="Layer", dtick=1, range=[n_layers - 0.5, -0.5], showgrid=False, zeroline=False
    )
    # "event+select" with a wide hover distance: a click anywhere in a cell finds its point.
    figure.update_layout(clickmode="event+select", hoverdistance=200, dragmode=False)


def _bar(title: str) -> dict[str, Any]:
    return {"title": {"text": title, "side": "right"}, "thickness": 12, "nticks": 5}


def _limit(tables: Sequence[np.ndarray]) -> float:
    return max(*(float(np.nanmax(np.abs(table), initial=0)) for table in tables), LEAST_LIMIT)


def _row(layer: int, n_columns: int) -> list[tuple[int, int]]:
    return [(layer, column) for column in range(n_columns)]


def _number(value: float) -> str:
    """Two decimals; what rounds to 0 has no minus."""
    return f"{round(float(value), 2) + 0.0:.2f}"


def _span(heads: Sequence[int]) -> str:
    return f"H{heads[0]}" if len(heads) == 1 else f"H{heads[0]}–H{heads[-1]}"
