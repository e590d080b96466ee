"""A conversation by who speaks: which heads read whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import SPEAKER_ATTENTION, SPEAKER_ATTRIBUTION
from app.compute import calls
from app.figures.base import head_map
from app.frame.clicks import draw_head_map, draw_linked_heads
from app.frame.frame import figure_frame, part
from app.links.session import widget_key
from app.links.subject import Subject
from app.pickers.heads import ranked
from app.sections.shared.speakers import NAMES
from app.shell.theme import palette
from app.text import chance_text

if TYPE_CHECKING:
    from app.links.selection import Selection


def draw_attention(selection: Selection) -> None:
    """Every head by the share of its attention that goes from the answer to one speaker."""
    with part():
        found = calls.speaker_attention(selection)
        about = Subject(selection, whose=calls.tokens_of(selection).parts)
        with figure_frame(
            about,
            "Whom does the answer read?",
            f"{_from_where(found.dests)}: the share of each head's attention that goes to what one "
            "speaker said. Template is what the chat template writes around turns.",
            SPEAKER_ATTENTION,
            acts="Click a cell to put its head in focus.",
        ):
            chosen = _pick(selection, found.parts)
            at = found.parts.index(chosen)
            values, spread = found.values[..., at], found.spread[..., at]
            figure = head_map(values, palette(), unit="Attention", top=1)
            draw_head_map(figure, "speakers")
            levels = [
                f"{NAMES[each].lower()} {chance_text(float(level))}"
                for each, level in zip(found.parts, found.chance, strict=True)
            ]
            st.caption(f"Spread evenly it would be: {', '.join(levels)}.")
            heads = ranked(values)
            rows = [
                {
                    "Head": head.label,
                    **{
                        NAMES[each]: float(found.values[head.layer, head.head, place])
                        for place, each in enumerate(found.parts)
                    },
                    "Spread": float(spread[head.layer, head.head]),
                }
                for head in heads
            ]
            if np.isnan(spread).all():  # a single position has none
                rows = [{k: v for k, v in row.items() if k != "Spread"} for row in rows]
            bars = st.column_config.ProgressColumn(format="%.3f", min_value=0, max_value=1)
            spreads = st.column_config.NumberColumn(
                format="%.3f",
                help=f"Standard deviation over the answer's tokens, of {NAMES[chosen].lower()}",
            )
            config = {**dict.fromkeys((NAMES[each] for each in found.parts), bars)}
            draw_linked_heads(rows, heads, "by speaker", selection, {**config, "Spread": spreads})


def draw_attribution(subject: Subject, dest: int, goal: str) -> None:
    """Every head by what it adds to an answer from what one speaker said.

    Args:
        subject: Answer and foil.
        dest: The position that the answer comes after.
        goal: What it is, in words.
    """
    selection = subject.selection
    with part():
        found = calls.speaker_attribution(selection, dest, subject.answer, subject.foil)
        about = replace(subject, dest=dest, whose=calls.tokens_of(selection).parts)
        with figure_frame(
            about,
            "From whom do heads have it?",
            f"What each head adds to the logit of {goal} by reading what one speaker said; blue "
            "raises, red lowers. Template is what the chat template writes around turns.",
            SPEAKER_ATTRIBUTION,
            acts="Click a cell to put its head in focus.",
        ):
            chosen = _pick(selection, found.parts)
            values = found.values[..., found.parts.index(chosen)]
            draw_head_map(
                head_map(values, palette(), unit="Logits", diverging=True), "from speakers"
            )
            sums = found.values.sum((0, 1))
            totals = [
                f"{NAMES[each].lower()} {total:+.2f}"
                for each, total in zip(found.parts, sums, strict=True)
            ]
            st.caption(f"All heads together, in logits: {', '.join(totals)}.")
            heads = ranked(np.abs(values))
            rows = [
                {
                    "Head": head.label,
                    **{
                        NAMES[each]: float(found.values[head.layer, head.head, place])
                        for place, each in enumerate(found.parts)
                    },
                    "All": float(found.values[head.layer, head.head].sum()),
                }
                for head in heads
            ]
            signed = st.column_config.NumberColumn(format="%+.3f")
            names = [*(NAMES[each] for each in found.parts), "All"]
            draw_linked_heads(rows, heads, "from speaker", selection, dict.fromkeys(names, signed))


def _pick(selection: Selection, parts: Sequence[str]) -> str:
    """The part that is drawn: the chosen one, or the first where it is not there."""
    shown = selection["speaker"] if selection["speaker"] in parts else parts[0]
    st.segmented_control(
        "Speaker",
        list(parts),
        format_func=NAMES.__getitem__,
        required=True,
        key=widget_key(selection, "speaker", shown=shown),
    )
    return str(shown)


def _from_where(dests: Sequence[int]) -> str:
    if len(dests) == 1:
        return f"From position {dests[0]}, which says what comes next"
    return f"From the answer's {len(dests)} tokens, {dests[0]} to {dests[-1]}, on average"
