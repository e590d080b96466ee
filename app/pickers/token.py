"""Which token a page looks up in the circuits."""

from dataclasses import dataclass

import streamlit as st

from analysis.errors import AnalysisError
from app.compute import calls
from app.links.parameters import MAX_WORD
from app.links.selection import Selection
from app.links.session import widget_key
from app.text import display_token


@dataclass(frozen=True, slots=True)
class LookedUp:
    """One token of the vocabulary; `refusal` says why what is typed is none, so another stands."""

    id: int
    label: str
    refusal: AnalysisError | None = None

    @property
    def quoted(self) -> str:
        """Its name on the screen."""
        return f"“{display_token(self.label)}”"


def token_of(selection: Selection, otherwise: int, label: str) -> LookedUp:
    """The token that is typed; with none the one of id `otherwise`."""
    text = selection["token"]
    if not text:
        return LookedUp(otherwise, label)
    try:
        return LookedUp(calls.single_token(selection, text), text)
    except AnalysisError as refusal:
        return LookedUp(otherwise, label, refusal)


def pick_token(selection: Selection, otherwise: str) -> None:
    """The field that a token is typed into; `otherwise` says what counts while it is empty."""
    st.text_input(
        "Token",
        key=widget_key(selection, "token"),
        max_chars=MAX_WORD,
        placeholder=otherwise,
        help="One token to look up. A space in front belongs to it.",
    )
