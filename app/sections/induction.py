"""The sections of the induction page that explain one head and the circuit around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import DISTANCE_PROFILE, RESTING
from analysis.head import Head
from app.compute import calls
from app.figures import induction as induction_figures
from app.frame.frame import draw, figure_frame
from app.links.selection import Selection
from app.links.subject import Subject
from app.theme import Palette

if TYPE_CHECKING:
    from analysis.heads.scores import HeadScores
    from analysis.runs.inputs import Tokens

MAX_RESTING = 6


def draw_distances(selection: Selection, tokens: Tokens, focus: Head, theme: Palette) -> None:
    """How far back the head in focus looks."""
    half = tokens.half_length
    profile = calls.distance_profile(selection)[focus.layer, focus.head]
    if half is not None:
        # Farther back only some destinations have a source: the tail is the first token.
        profile = profile[: half + 2]
    peak = int(profile.argmax())
    reading = f"Mean over destinations and sequences; the largest is {profile[peak]:.2f}, "
    reading += "on the token itself." if peak == 0 else f"{peak} back."
    if half is not None:
        reading += (
            f" Only the repeated half counts. S-1 = {half - 1} back is the token after the "
            f"earlier copy: an induction head peaks there, and not at its neighbours."
        )
    with figure_frame(
        Subject(selection, head=focus),
        f"How far back {focus.label} looks",
        reading,
        DISTANCE_PROFILE,
    ):
        draw(induction_figures.distance_bars(profile, half, theme), key="distances")


def draw_resting(selection: Selection, scores: HeadScores, theme: Palette) -> None:
    """Where the strongest induction heads rest while there is nothing to copy."""
    rest = calls.resting_attention(selection)
    order = np.argsort(scores.induction, axis=None)[::-1][:MAX_RESTING]
    n_heads = selection.info.n_heads
    heads = [Head(*divmod(int(place), n_heads)) for place in order]
    heads = [head for head in heads if scores.induction[head.layer, head.head] > 0.1] or heads[:1]
    with figure_frame(
        Subject(selection, heads=tuple(heads)),
        "The off switch",
        "The strongest induction heads rest on the first token while nothing repeats, and leave "
        f"it as soon as something does. Chance is {rest.chance[0]:.2f} and {rest.chance[1]:.2f}.",
        RESTING,
    ):
        first, second = (
            np.array([half[head.layer, head.head] for head in heads])
            for half in (rest.first_half, rest.second_half)
        )
        draw(induction_figures.resting_bars(first, second, heads, theme), key="resting")


def explain_two_layers() -> None:
    """Why induction takes two heads, one after the other."""
    with st.expander("Why one layer is not enough"):
        st.markdown(
            "A score is made of two vectors, a query and a key. In the first layer both know one "
            "token and its position and nothing else, so no head there can ask for *the token "
            "that came after* an earlier copy: the key of that token does not say what stands "
            "before it. A previous-token head in an earlier layer writes exactly that into the "
            "stream. A later head can then compare its own token with the one that each key says "
            "came before it: this is K-composition, and the two heads are an induction circuit."
        )
