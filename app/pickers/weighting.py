"""What the cells of a page's patterns are: attention, or attention weighted by what comes of it."""

from dataclasses import dataclass, replace

import numpy as np
import streamlit as st
from jaxtyping import Float

from analysis.definitions import WEIGHTINGS, Quantity, Weighting
from analysis.head import Head
from analysis.models.reasons import scale_note
from app.compute import calls
from app.figures.base import colour_limit
from app.links.selection import Selection
from app.links.session import widget_key
from app.links.subject import Subject
from app.pickers.answer import answer_and_foil, pick_answer_and_foil

# How to read a cell.
_READINGS = {
    "attention": "",
    "value": "A cell is attention times the length of what the head would write of that token, so "
    "that a token it only rests on fades.",
    "answer": "A cell is what the head adds there to the logit of the answer; blue pushes towards "
    "it, red away from it, and a row sums to the head's direct attribution.",
}


@dataclass(frozen=True, slots=True)
class Weighted:
    """Patterns of some layers on one sequence as a page shows them, and what their cells are."""

    weighting: Weighting
    values: Float[np.ndarray, "layer head dest src"]
    answer: int | None = None
    foil: int | None = None

    @property
    def quantity(self) -> Quantity:
        """What is shown."""
        return self.weighting.quantity

    @property
    def reading(self) -> str:
        """How to read a cell; empty for attention."""
        return _READINGS[self.weighting.key]

    @property
    def top(self) -> float:
        """The size at which colours of all heads end."""
        if self.weighting.plain:
            return 1.0
        return colour_limit(np.abs(self.values).max((-1, -2)))

    def about(self, subject: Subject) -> Subject:
        """A subject whose patterns these are."""
        return replace(subject, answer=self.answer, foil=self.foil)


def weighted(
    selection: Selection,
    sequence: int,
    layers: tuple[int, ...],
    without: tuple[Head, ...] = (),
) -> Weighted:
    """The patterns of these layers, weighted as the view says; `without` ablates heads.

    Raises:
        AnalysisError: The model has no such weights, or what is typed is not one token.
    """
    # An encoder's heads have no writes of their own to weigh by.
    encoder = selection.info.bidirectional
    chosen = WEIGHTINGS["attention" if encoder else selection["weighting"]]
    if chosen.plain:
        return Weighted(chosen, calls.patterns(selection, sequence, layers, without).values[0])
    by_answer = chosen.key == "answer"
    answer, foil = answer_and_foil(selection).checked() if by_answer else (None, None)
    found = calls.weighted_patterns(selection, sequence, layers, chosen.key, answer, foil, without)
    return Weighted(chosen, found.values[0], answer, foil)


def pick_weighting(selection: Selection, answers: bool = True) -> None:
    """The choice of what cells are; with answer and foil, where these are not chosen elsewhere.

    Of an encoder there is none.
    """
    if selection.info.bidirectional:
        return
    st.segmented_control(
        "A cell of a pattern is",
        list(WEIGHTINGS),
        format_func=lambda key: WEIGHTINGS[key].label,
        required=True,
        key=widget_key(selection, "weighting"),
    )
    if selection["weighting"] != "answer":
        return
    if answers:
        pick_answer_and_foil(selection)
    else:
        st.caption("Answer and foil are chosen where the page is about logits, further down.")
    if note := scale_note(selection.info):
        st.caption(note)
