"""The circuit behind the prediction of the input: which edges between heads carry it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from analysis.definitions import EDGE_ATTRIBUTION, FAITHFULNESS
from app.compute import calls
from app.frame.frame import Metric, figure_frame, part
from app.links.selection import Selection
from app.links.subject import Subject
from app.sections.ablation.subject import AblationView, asked_for
from app.sections.shared.circuit import STEPS, draw_circuit

if TYPE_CHECKING:
    from analysis.effects.edges import Faithfulness


# Forward passes for each layer: gradients, and every number of edges that is tried.
PASSES = 10


def draw_input_circuit(view: AblationView) -> None:
    """The strongest edges between heads on the view's input, as a graph."""
    selection = view.selection
    with (
        figure_frame(
            Subject(selection),
            "Find the circuit",
            "The edges between heads that the prediction of this input needs most, the first layer "
            "at the bottom. The thicker the line, the more nats it is worth.",
            EDGE_ATTRIBUTION,
            FAITHFULNESS,
            acts="Click a head to open it.",
        ) as frame,
        part(),
    ):
        # Until it is found, Code is about as many as are tried first.
        frame.narrow(edges=selection["edges"] or STEPS[0])
        if not asked_for(view, "Find the circuit", PASSES * selection.info.n_layers):
            return
        draw_circuit(
            frame,
            selection,
            calls.edge_attribution(selection),
            lambda edges: calls.faithfulness(selection, edges),
            _said,
            "nats",
        )
        _draw_caption(selection)


def _said(result: Faithfulness) -> tuple[Metric, str]:
    return (
        Metric("Loss with these edges", result.loss, f"{result.loss:.3f}"),
        f"Loss with all edges {result.clean_loss:.3f} nats, with none {result.empty_loss:.3f}; "
        "these are exact.",
    )


def _draw_caption(selection: Selection) -> None:
    used, tokens = calls.circuit_tokens(selection), calls.tokens_of(selection)
    note = calls.replacement_note(selection, "mean")
    cut = f"a mean instead of what the head wrote. {note}"
    if not note:
        cut = "its mean over the sequences instead of what the head wrote."
    rows = f" Found on the first {used.batch} of {tokens.batch} sequences."
    st.caption(f"An edge that is cut carries {cut}" + (rows if used.batch < tokens.batch else ""))
