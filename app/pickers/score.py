"""Which score a page shows of every head."""

import streamlit as st

from analysis.definitions import SCORES
from app.links.selection import Selection
from app.links.session import widget_key


def choose_score(selection: Selection) -> None:
    """A picker of the score that `selection["score"]` names."""
    st.selectbox(
        "Score",
        SCORES,
        format_func=lambda score: SCORES[score].name,
        key=widget_key(selection, "score"),
        width=260,
    )


def not_measured(*names: str) -> str:
    """What stands in place of scores that are newer than a result which came with the model."""
    if not names:
        return ""
    listed = ", ".join(SCORES[name].name for name in names)
    return f"Not measured: {listed}; newer than what came with this model."
