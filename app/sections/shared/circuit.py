"""A circuit on a page: the strongest edges between heads, and what they do by themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import streamlit as st

from app.figures import graph as graph_figures
from app.figures import patching as patching_figures
from app.frame.clicks import draw_head_graph
from app.frame.export import Frame
from app.frame.frame import Metric, draw_metrics, draw_table
from app.links.parameters import MAX_EDGES
from app.links.selection import Selection
from app.links.session import widget_key
from app.shell.theme import palette

if TYPE_CHECKING:
    from analysis.effects.edges import Edge, Faithfulness, RankedEdges
    from analysis.effects.pair_edges import PairFaithfulness

# The page takes the first of these numbers of edges that do `ENOUGH` of what all edges do.
STEPS = (8, 16, 24, 40, MAX_EDGES)
ENOUGH = 0.8


Result = TypeVar("Result", "Faithfulness", "PairFaithfulness")


def draw_circuit(
    frame: Frame,
    selection: Selection,
    found: RankedEdges,
    test: Callable[[tuple[Edge, ...]], Result],
    said: Callable[[Result], tuple[Metric, str]],
    unit: str,
) -> None:
    """The strongest edges as a graph, and how much they do.

    Args:
        frame: The frame that it stands in.
        selection: The view; its `edges` says how many.
        found: Every edge.
        test: What some edges do when all others are cut.
        said: Of that, what is measured, and the same without a cut and without edges in a sentence.
        unit: That of an edge's worth.
    """
    count = selection["edges"] or _enough(found, test)
    frame.narrow(edges=count)
    edges = _strongest(found, count)
    result = test(edges)
    st.slider(
        "Strongest edges",
        1,
        min(MAX_EDGES, len(found.edges)),
        key=widget_key(selection, "edges", shown=min(count, len(found.edges))),
        width=320,
        help="Those that do not lie on a path to the logits explain nothing and are left out.",
    )
    measured, around = said(result)
    _draw_numbers(result, edges, measured)
    st.caption(f"{around} The worth of a single edge is an estimate.")
    if result.no_share:
        st.info(result.no_share)
    if not edges:
        st.info("None of these edges lies on a path to the logits. Take more of them.")
        return
    figure = graph_figures.head_graph(
        patching_figures.circuit_links(edges, palette(), unit),
        (selection.info.n_layers, selection.info.n_heads),
        palette(),
    )
    patching_figures.add_input_legend(figure, {edge.reader.input for edge in edges}, palette())
    rows = [{"Edge": edge.label, f"≈ {unit}": edge.score} for edge in edges]
    draw_head_graph(figure, "circuit", selection, (), rows)
    _draw_table(rows, unit)


def _enough(found: RankedEdges, test: Callable[[tuple[Edge, ...]], Result]) -> int:
    for count in STEPS:
        result = test(_strongest(found, count))
        # Without a share no number of them is enough: the first is as good as any.
        if result.no_share or result.recovered >= ENOUGH:
            return count
    return MAX_EDGES


def _strongest(found: RankedEdges, count: int) -> tuple[Edge, ...]:
    """The strongest edges that lie on a path to the logits."""
    least = found.edges[: min(count, len(found.edges))][-1]
    return found.above(abs(least.score))


def _draw_numbers(
    result: Faithfulness | PairFaithfulness, edges: tuple[Edge, ...], measured: Metric
) -> None:
    heads = {edge.writer for edge in edges}
    share = (None, "n/a") if result.no_share else (result.recovered, f"{result.recovered:.1%}")
    draw_metrics(
        [
            Metric("Edges kept", result.kept, f"{result.kept} of {result.total:,}"),
            Metric("Heads that write them", len(heads), str(len(heads))),
            Metric("Faithfulness", *share),
            measured,
        ],
        "faithfulness",
    )


def _draw_table(rows: Sequence[Mapping[str, object]], unit: str) -> None:
    with st.expander(f"All {len(rows)} edges"):
        draw_table(rows, "edges", {f"≈ {unit}": st.column_config.NumberColumn(format="%+.3f")})
