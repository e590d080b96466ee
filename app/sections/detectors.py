"""Heads above a threshold in scores that are shares of attention, beside chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import streamlit as st

from app.frame.clicks import draw_listed_heads
from app.frame.frame import figure_frame
from app.links.selection import Selection
from app.links.session import widget_key
from app.links.subject import Subject

if TYPE_CHECKING:
    from analysis.definitions import Quantity
    from analysis.heads.encoder import EncoderScores
    from analysis.heads.scores import HeadScores


def draw_detectors(
    selection: Selection,
    scores: HeadScores | EncoderScores,
    quantities: Mapping[str, Quantity],
    chance: str,
    where: str,
) -> None:
    """The heads that each of these scores finds, with a threshold to move.

    Args:
        selection: The view.
        scores: Of every head.
        quantities: The scores that are shown, by name.
        chance: What their chance level is.
        where: The end of the sentence on what is found: over what, and where else it is seen.
    """
    threshold = selection["threshold"]
    with figure_frame(
        Subject(selection),
        "Detectors",
        f"Heads whose mean attention to that place is above {threshold:g}{where}",
        *quantities.values(),
    ):
        st.slider(
            "Threshold", 0.0, 1.0, step=0.05, key=widget_key(selection, "threshold"), width=320
        )
        for column, (name, quantity) in zip(
            st.columns(len(quantities)), quantities.items(), strict=True
        ):
            found = scores.above(name, threshold)
            column.markdown(f"**{quantity.name}** · chance {scores.chance[name]:.2f}")
            if found:
                with column:
                    rows = [{"Head": head.label, "Score": float(value)} for head, value in found]
                    heads = [head for head, _ in found]
                    draw_listed_heads(rows, heads, quantity.name, selection, bars="Score")
            else:
                column.caption("No head. Lower the threshold to see the nearest ones.")
        st.caption(chance)
