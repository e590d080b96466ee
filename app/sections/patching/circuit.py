"""The circuit between the two prompts: which edges carry what tells them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from analysis.definitions import PAIR_EDGES, PAIR_FAITHFULNESS
from app.compute import calls
from app.frame.frame import Metric, figure_frame, part
from app.sections.patching.prompts import PatchView
from app.sections.shared.circuit import draw_circuit

if TYPE_CHECKING:
    from analysis.effects.pair_edges import PairFaithfulness


def draw_pair_circuit(view: PatchView) -> None:
    """The strongest edges between heads for the answer of the clean prompt, as a graph."""
    selection, pair = view.selection, view.pair
    with (
        figure_frame(
            view.subject,
            "Find the circuit",
            "The edges between heads that the answer to the clean prompt needs most, the first "
            "layer at the bottom. The thicker the line, the more logits it is worth.",
            PAIR_EDGES,
            PAIR_FAITHFULNESS,
            acts="Click a head to open it.",
        ) as frame,
        part(),
    ):
        draw_circuit(
            frame,
            selection,
            calls.pair_edges(selection, pair),
            lambda edges: calls.pair_faithfulness(selection, pair, edges),
            _said,
            "logits",
        )
        st.caption("An edge that is cut carries what its head writes in the corrupt prompt.")


def _said(result: PairFaithfulness) -> tuple[Metric, str]:
    difference = result.difference
    return (
        Metric("Logit difference, these", difference, f"{difference:+.2f}"),
        f"Logit difference with all edges {result.clean:+.2f}, with none {result.empty:+.2f}; "
        "these are exact.",
    )
