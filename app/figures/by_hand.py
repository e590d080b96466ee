"""Plotly figures of a circuit that a person puts together, and of how good it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from analysis.effects.circuit import HeadCircuit, Wire
from analysis.head import Head
from app.figures.base import finish, name_strips
from app.figures.chart import Chart
from app.figures.graph import Link
from app.figures.heads import add_diagonal
from app.figures.patching import input_styles
from app.theme import Palette

if TYPE_CHECKING:
    from analysis.effects.circuit_score import CircuitScore
    from analysis.models.info import ModelInfo

# Heads that a hover lists.
_LISTED = 8


@dataclass(frozen=True, slots=True)
class DrawnWire:
    """An edge as it is drawn: what it is worth by an estimate, and whether the circuit has it."""

    wire: Wire
    label: str
    score: float
    kept: bool


def wire_links(
    drawn: Sequence[DrawnWire],
    heads: Collection[Head],
    info: ModelInfo,
    palette: Palette,
    unit: str,
    chosen: bool,
) -> list[Link]:
    """Edges between heads of a circuit; a click on one carries its place among them.

    Args:
        drawn: The edges.
        heads: The circuit's.
        info: The model.
        palette: Colours.
        unit: Of what an edge is worth.
        chosen: Whether edges are chosen one by one.
    """
    largest = max((abs(each.score) for each in drawn), default=0) or 1.0
    links = []
    for place, each in enumerate(drawn):
        colour, dash = input_styles(palette)[each.wire.input]
        act = ("<br>click to take it out" if each.kept else "<br>click to add it") if chosen else ""
        ends = [head for head in each.wire.readers(info) if head in heads]
        links += [
            Link(
                each.wire.writer,
                end,
                share=abs(each.score) / largest,
                hover=f"<b>{each.label}</b><br>{each.score:+.3f} {unit} (estimate){act}",
                numbers=(place,),
                colour=colour if each.kept else palette.muted,
                opacity=0.85 if each.kept else 0.35,
                dash=dash,
            )
            for end in (ends if each.wire.input != "logits" else [None])
        ]
    return links


def enough_strip(scores: Mapping[str, CircuitScore], unit: str, palette: Palette) -> go.Figure:
    """F of circuits by their names, the first with random ones below, between none and all."""
    own = next(iter(scores.values()))
    rows = [(name, [_listed(each.circuit)], [each.faithfulness]) for name, each in scores.items()]
    if own.random is not None:
        groups = [_listed(each) for each in own.random.circuits]
        rows.append(("Random circuits", groups, own.random.faithfulness.tolist()))
    figure = go.Figure()
    for place, (name, texts, values) in enumerate(rows):
        colour = palette.accent if place == 0 else palette.sequential[3]
        alone = len(values) == 1
        figure.add_scatter(
            x=values,
            y=[place] * len(values),
            mode="markers",
            marker={
                "size": 14 if alone else 11,
                "symbol": "diamond" if alone else "circle",
                "color": colour if alone else palette.muted,
                "opacity": 0.85,
            },
            hovertext=[
                f"<b>{text}</b><br>{value:+.3f} {unit}"
                for text, value in zip(texts, values, strict=True)
            ],
            hovertemplate="%{hovertext}<extra></extra>",
            name=name,
            showlegend=False,
        )
    for value, said in ((own.empty, "no head"), (own.whole, "all heads")):
        figure.add_scatter(
            x=[value, value],
            y=[-0.6, len(rows) - 0.4],
            mode="lines+text",
            text=[said, ""],
            textposition="top center",
            cliponaxis=False,
            line={"color": palette.muted, "dash": "dash", "width": 1.5},
            hoverinfo="skip",
            name=said,
            showlegend=False,
        )
    figure.update_xaxes(title=unit[:1].upper() + unit[1:], zeroline=False)
    name_strips(figure, [name for name, *_ in rows])
    return finish(figure, height=130 + 44 * len(rows), top=40)


def missing_scatter(scores: Mapping[str, CircuitScore], unit: str, palette: Palette) -> go.Figure:
    """For each set of heads taken out, what is left of a circuit over what is left of the model."""
    own = next(iter(scores.values()))
    clouds = [
        (name, each.removed, each.whole_without, each.circuit_without)
        for name, each in scores.items()
    ]
    if (random := own.random) is not None:
        clouds.append(
            ("Random circuits", random.removed, random.whole_without, random.circuit_without)
        )
    figure = go.Figure()
    colours = [palette.accent, palette.sequential[3], palette.muted]
    symbols = ["diamond", "square", "circle"]
    every = np.concatenate([part for _, _, *both in clouds for part in both])
    add_diagonal(figure, every, palette, "nothing is missing")
    for (name, removed, whole, circuit), colour, symbol in zip(
        clouds, colours, symbols, strict=False
    ):
        figure.add_scatter(
            x=whole,
            y=circuit,
            mode="markers",
            marker={"size": 11, "color": colour, "symbol": symbol, "opacity": 0.8},
            hovertext=[
                f"<b>without {_names(k)}</b><br>model {a:+.3f}, circuit {b:+.3f}"
                for k, a, b in zip(removed, whole, circuit, strict=True)
            ],
            hovertemplate="%{hovertext}<extra></extra>",
            name=name,
        )
    figure.update_layout(legend={"orientation": "h", "yanchor": "bottom", "y": 1, "x": 0})
    figure.update_xaxes(title=f"The model without K ({unit})", zeroline=False)
    figure.update_yaxes(title=f"The circuit without K ({unit})", zeroline=False)
    return finish(figure, height=420, top=50)


def needed_bars(
    labels: Sequence[str],
    needs: Sequence[float],
    random: np.ndarray | None,
    palette: Palette,
    unit: str,
) -> go.Figure:
    """What each part of a circuit is worth to it, beside heads of random circuits."""
    order = np.argsort(-np.array(needs), kind="stable")
    figure = Chart(
        "bar",
        orientation="h",
        x=[needs[i] for i in order],
        y=[labels[i] for i in order],
        marker={"color": palette.accent, "line": {"width": 0}},
        hovertemplate="%{y}: %{x:+.3f}<extra></extra>",
        name="this circuit",
        showlegend=False,
    )
    if random is not None:
        mean, sd = float(random.mean()), float(random.std())
        figure.add_vrect(
            x0=mean - sd, x1=mean + sd, fillcolor=palette.muted, opacity=0.25, line_width=0
        )
        figure.add_vline(x=mean, line={"color": palette.muted, "dash": "dash", "width": 1.5})
    figure.update_xaxes(title=f"Lost without it ({unit})")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return finish(figure, height=100 + 24 * len(labels))


def _listed(circuit: HeadCircuit) -> str:
    return _names(circuit.heads)


def _names(heads: Sequence[Head]) -> str:
    more = f" and {len(heads) - _LISTED} more" if len(heads) > _LISTED else ""
    return ", ".join(head.label for head in heads[:_LISTED]) + more
