"""Which token's logit a page splits, and which one it is compared with."""

import streamlit as st

from app.compute import calls
from app.links.parameters import MAX_WORD
from app.links.selection import Selection
from app.links.session import widget_key


def choose_answer_and_foil(
    selection: Selection, unless: tuple[str, str] = ("the token that really comes next", "none")
) -> tuple[int | None, int | None]:
    """The ids of the tokens typed, None where nothing is; `unless` says what counts then.

    Raises:
        AnalysisError: A text is not one token; both inputs are drawn by then.
    """
    left, right = st.columns(2)
    answer = left.text_input(
        "Answer token",
        key=widget_key(selection, "answer"),
        max_chars=MAX_WORD,
        placeholder=unless[0],
        help="One token whose logit the page is about. A space in front belongs to it.",
    )
    foil = right.text_input(
        "Foil token",
        key=widget_key(selection, "foil"),
        max_chars=MAX_WORD,
        placeholder=unless[1],
        help="One token to compare with: why the answer rather than the foil?",
    )
    return (
        calls.single_token(selection, answer) if answer else None,
        calls.single_token(selection, foil) if foil else None,
    )
