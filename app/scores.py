"""Which score a page shows of every head."""

import streamlit as st

from analysis.definitions import SCORES
from app.selection import Selection


def choose_score(selection: Selection) -> None:
    """A picker of the score that `selection["score"]` names."""
    st.selectbox(
        "Score",
        SCORES,
        format_func=lambda score: SCORES[score].name,
        key=selection.key("score"),
        width=260,
    )
