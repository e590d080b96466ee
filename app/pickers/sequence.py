"""Which of several repeated sequences a page draws, and which place in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.links.selection import Selection
from app.links.session import widget_key

if TYPE_CHECKING:
    from analysis.runs.inputs import Tokens


def choose_sequence(selection: Selection, tokens: Tokens) -> int:
    """The index of the sequence to draw; a picker where there is more than one."""
    if tokens.remark:
        st.text(f"⚠ {tokens.remark}")
    if tokens.batch == 1:
        return 0
    return int(
        st.number_input(
            "Sequence to draw",
            0,
            tokens.batch - 1,
            key=widget_key(selection, "sequence"),
            help="The scores and means are over all sequences; a picture shows one of them.",
            width=200,
        )
    )


def position_of(selection: Selection, parameter: str, count: int, otherwise: int) -> int:
    """The position that a parameter names, of `count`; a sentence where there is none such."""
    asked = selection[parameter]
    if asked is None:
        return otherwise
    if asked < count:
        return int(asked)
    st.caption(
        f"There is no position {asked} for this; they run from 0 to {count - 1}, and this is "
        f"position {otherwise}."
    )
    return otherwise
