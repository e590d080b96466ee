"""Which token's logit a page splits, and which one it is compared with."""

from dataclasses import dataclass

import streamlit as st

from analysis.errors import AnalysisError
from app.compute import calls
from app.links.parameters import MAX_WORD
from app.links.selection import Selection
from app.links.session import widget_key

NEXT = ("the token that comes next", "none")


@dataclass(frozen=True, slots=True)
class Asked:
    """The ids of the tokens typed, None where nothing is; `refusal`: a text is not one token."""

    answer: int | None
    foil: int | None
    refusal: AnalysisError | None = None

    def checked(self) -> tuple[int | None, int | None]:
        """Both ids.

        Raises:
            AnalysisError: A text is not one token.
        """
        if self.refusal:
            raise self.refusal
        return self.answer, self.foil


def answer_and_foil(selection: Selection) -> Asked:
    """What is typed for both."""
    found: list[int | None] = []
    for parameter in ("answer", "foil"):
        text = selection[parameter]
        try:
            found.append(calls.single_token(selection, text) if text else None)
        except AnalysisError as refusal:
            return Asked(None, None, refusal)
    return Asked(found[0], found[1])


def pick_answer_and_foil(selection: Selection, unless: tuple[str, str] = NEXT) -> None:
    """The fields that both are typed into; `unless` says what counts while they are empty."""
    left, right = st.columns(2)
    left.text_input(
        "Answer token",
        key=widget_key(selection, "answer"),
        max_chars=MAX_WORD,
        placeholder=unless[0],
        help="One token whose logit the page is about. A space in front belongs to it.",
    )
    right.text_input(
        "Foil token",
        key=widget_key(selection, "foil"),
        max_chars=MAX_WORD,
        placeholder=unless[1],
        help="One token to compare with: why the answer rather than the foil?",
    )
