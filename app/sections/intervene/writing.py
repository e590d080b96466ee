"""What the model writes on with and without the recipe, one above the other."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import streamlit as st

from analysis.definitions import WRITTEN
from analysis.limits import MAX_SEED, MAX_TEMPERATURE, MAX_WRITTEN
from app.components.chips import Chip, chips_html
from app.compute import calls
from app.frame.export import as_rows
from app.frame.frame import figure_frame, offer_rows
from app.links.session import choose, widget_key
from app.sections.intervene.subject import Bench
from app.sections.shared.cancel import cancellable
from app.shell.theme import palette
from app.text import display_token, markdown_text
from app.theme import Palette

if TYPE_CHECKING:
    from analysis.effects.writing import Written

ACTS = {"both": "everywhere", "prompt": "on the prompt alone", "written": "on new tokens alone"}
USUAL = 20
# Times its probability from which on a token has a stripe, and one of the stronger colour.
CHANGED, MUCH = 1.5, 4.0
# Seconds between two pictures of a text that grows.
SHOW_EVERY = 0.3
# Tokens that are written by now, for who stops.
_SO_FAR = "written so far"


def draw_writing(bench: Bench) -> None:
    """Both continuations, once they are asked for.

    Raises:
        AnalysisError: The recipe has no place in this model or prompt, or it is too much work.
    """
    selection = bench.selection
    subject = bench.subject
    with figure_frame(
        subject,
        "What it writes",
        "The text goes on from the input, as it is and with the recipe. A stripe under a token: on "
        f"the same text the recipe made it {CHANGED:g} times as likely or more (blue), or as "
        f"unlikely (red); in a strong colour {MUCH:g} times.",
        WRITTEN,
        acts="Point at a token for its probabilities.",
    ):
        bar = st.container(horizontal=True, vertical_alignment="bottom")
        bar.number_input(
            "Temperature",
            0.0,
            MAX_TEMPERATURE,
            step=0.1,
            key=widget_key(selection, "temperature"),
            help="0 takes the likeliest token each time; above it tokens are drawn with the seed.",
            width=150,
        )
        if selection["input"] != "repeated":  # that of repeated tokens is in the sidebar
            bar.number_input(
                "Seed", 0, MAX_SEED, step=1, key=widget_key(selection, "seed"), width=150
            )
        bar.selectbox(
            "The recipe acts",
            list(ACTS),
            format_func=ACTS.__getitem__,
            key=widget_key(selection, "acts"),
            help="Steps that name tokens, or take a pattern or stream there, are of the prompt.",
            width=220,
        )
        count = selection["write"]
        more = min(max(2 * count, USUAL), MAX_WRITTEN)
        bar.button(
            f"Write {more} tokens", on_click=choose, kwargs={"write": more}, key="write more"
        )
        if not count:
            st.caption("Nothing is written yet.")
            return
        _draw_texts(_written(bench))


def _written(bench: Bench) -> Written:
    """Both texts; while they grow they are shown, and who stops keeps what is there."""
    shown = st.empty()
    last = time.monotonic()

    def told(found: Written) -> None:
        nonlocal last
        st.session_state[_SO_FAR] = found.count
        if time.monotonic() - last > SHOW_EVERY:
            with shown.container():
                _draw_chips(found)
            last = time.monotonic()

    st.session_state[_SO_FAR] = 0
    with cancellable(
        "Writing", "Stop writing", lambda: {"write": st.session_state.get(_SO_FAR, 0)}
    ) as progress:
        found = calls.written(bench.subject, bench.tokens, progress, told)
    shown.empty()
    return found


def _draw_chips(found: Written) -> None:
    before, after = found.probs
    theme = palette()
    st.caption("As it is")
    st.html(
        chips_html(
            [
                Chip(label, highlighted=False, card=(), heading=f"new token {i}")
                for i, label in enumerate(found.clean_labels)
            ],
            theme,
        )
    )
    st.caption("With the recipe")
    st.html(
        chips_html(
            [
                Chip(
                    label,
                    False,
                    [("without", f"{before[i]:.3f}"), ("with the recipe", f"{after[i]:.3f}")],
                    heading=f"new token {i}",
                    stripe=_stripe(float(before[i]), float(after[i]), theme),
                )
                for i, label in enumerate(found.edited_labels)
            ],
            theme,
        )
    )


def _stripe(before: float, after: float, theme: Palette) -> str:
    """The colour of a change of probability; none for a small one."""
    strong_down, down, _, up, strong_up = theme.diverging
    if after >= CHANGED * before:
        return strong_up if after >= MUCH * before else up
    if before >= CHANGED * after:
        return strong_down if before >= MUCH * after else down
    return ""


def _draw_texts(found: Written) -> None:
    _draw_chips(found)
    at = found.differs_at
    before, after = found.probs
    if at is None:
        st.caption("Both texts are the same.")
    else:
        labels = [
            display_token(side[at]) if at < len(side) else "the end"
            for side in (found.clean_labels, found.edited_labels)
        ]
        st.caption(
            markdown_text(
                f"They part at new token {at}: “{labels[0]}” as it is, “{labels[1]}” with the "
                "recipe."
            )
        )
    offer_rows(
        as_rows(
            {
                "Token with the recipe": [display_token(label) for label in found.edited_labels],
                "Probability without it": before.tolist(),
                "Probability with it": after.tolist(),
            }
        ),
        "written",
    )
