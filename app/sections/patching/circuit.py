"""The section that finds a circuit: the strongest edges, and what they do by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from analysis.definitions import EDGE_ATTRIBUTION, FAITHFULNESS
from app.compute import calls
from app.figures import graph as graph_figures
from app.figures import patching as patching_figures
from app.frame.clicks import draw_head_graph
from app.frame.frame import Metric, draw_metrics, draw_table, figure_frame, part
from app.links.parameters import MAX_EDGES
from app.links.selection import Selection
from app.links.session import widget_key
from app.links.subject import Subject
from app.shell.theme import palette

if TYPE_CHECKING:
    from analysis.effects.edges import Edge, EdgeAttribution, Faithfulness

# The page takes the first of these numbers of edges that do `ENOUGH` of what all edges do.
STEPS = (8, 16, 24, 40, MAX_EDGES)
ENOUGH = 0.8


def draw_circuit(selection: Selection) -> None:
    """The strongest edges between heads on the view's input, as a graph."""
    with (
        figure_frame(
            Subject(selection),
            "Find the circuit",
            "The edges between heads that the prediction of the input in the sidebar needs most, "
            "the first layer at the bottom. The thicker the line, the more nats it is worth.",
            EDGE_ATTRIBUTION,
            FAITHFULNESS,
            acts="Click a head to open it.",
        ) as frame,
        part(),
    ):
        found = calls.edge_attribution(selection)
        count = selection["edges"] or _enough(selection, found)
        frame.narrow(edges=count)
        edges = strongest(found, count)
        result = calls.faithfulness(selection, edges)
        st.slider(
            "Strongest edges",
            1,
            min(MAX_EDGES, len(found.edges)),
            key=widget_key(selection, "edges", shown=min(count, len(found.edges))),
            width=320,
            help="Those that do not lie on a path to the logits explain nothing and are left out.",
        )
        _draw_numbers(result, edges)
        if not edges:
            st.info("None of these edges lies on a path to the logits. Take more of them.")
            return
        figure = graph_figures.head_graph(
            patching_figures.circuit_links(edges, palette()),
            (selection.info.n_layers, selection.info.n_heads),
            palette(),
        )
        patching_figures.add_input_legend(figure, edges, palette())
        rows = [{"Edge": edge.label, "≈ nats": edge.score} for edge in edges]
        draw_head_graph(figure, "circuit", selection, (), rows)
        _draw_table(rows)
        _draw_caption(selection)


def _enough(selection: Selection, found: EdgeAttribution) -> int:
    for count in STEPS:
        result = calls.faithfulness(selection, strongest(found, count))
        # Without a share no number of them is enough: the first is as good as any.
        if result.no_share or result.recovered >= ENOUGH:
            return count
    return MAX_EDGES


def strongest(found: EdgeAttribution, count: int) -> tuple[Edge, ...]:
    """The strongest edges that lie on a path to the logits."""
    least = found.edges[: min(count, len(found.edges))][-1]
    return found.above(abs(least.score))


def _draw_numbers(result: Faithfulness, edges: tuple[Edge, ...]) -> None:
    heads = {edge.writer for edge in edges}
    draw_metrics(
        [
            Metric("Edges kept", result.kept, f"{result.kept} of {result.total:,}"),
            Metric("Heads that write them", len(heads), str(len(heads))),
            Metric("Faithfulness", *_share(result)),
            Metric("Loss with only these", result.loss, f"{result.loss:.3f}"),
        ],
        "faithfulness",
    )
    st.caption(
        f"Loss with all edges {result.clean_loss:.3f} nats, with none {result.empty_loss:.3f}. "
        "The losses are exact; the worth of a single edge is an estimate."
    )
    if result.no_share:
        st.info(result.no_share)


def _share(result: Faithfulness) -> tuple[float | None, str]:
    return (None, "n/a") if result.no_share else (result.recovered, f"{result.recovered:.1%}")


def _draw_table(rows: Sequence[Mapping[str, object]]) -> None:
    with st.expander(f"All {len(rows)} edges"):
        draw_table(rows, "edges", {"≈ nats": st.column_config.NumberColumn(format="%+.3f")})


def _draw_caption(selection: Selection) -> None:
    used, tokens = calls.circuit_tokens(selection), calls.tokens_of(selection)
    note = calls.replacement_note(selection, "mean")
    cut = f"a mean instead of what the head wrote. {note}"
    if not note:
        cut = "its mean over the sequences instead of what the head wrote."
    rows = f" Found on the first {used.batch} of {tokens.batch} sequences."
    st.caption(f"An edge that is cut carries {cut}" + (rows if used.batch < tokens.batch else ""))
