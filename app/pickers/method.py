"""The picker of what an ablated head's output is replaced by."""

import streamlit as st

from analysis.limits import MAX_SEED
from app.compute import calls
from app.links.selection import Selection
from app.links.session import widget_key

# Short: the three have to fit side by side on a phone.
METHODS = {"zero": "Zero", "mean": "Its mean", "resample": "From another text"}


def choose_method(selection: Selection, label: str) -> str:
    """What a head's output is replaced by, and which sequence stands in for which.

    Of a single sequence it says what that is set against; a set of prompts is its own.
    """
    bar = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    bar.segmented_control(
        label,
        list(METHODS),
        format_func=METHODS.__getitem__,
        required=True,
        key=widget_key(selection, "method"),
    )
    if selection["method"] == "resample":
        bar.number_input(
            "Seed of the exchange",
            0,
            MAX_SEED,
            step=1,
            key=widget_key(selection, "swap"),
            help="Which sequence, or stretch of the reference text, stands in for which.",
            width=170,
        )
    method = str(selection["method"])
    if not selection.over_set and (note := calls.replacement_note(selection, method)):
        st.caption(note)
    return method
