"""What pages show of an encoder's heads: their scores on a text, which are its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import CHANCE, ENCODER_SCORES, PATTERN
from analysis.head import Head, all_heads
from app.compute import calls
from app.figures import heads as head_figures
from app.frame.clicks import draw_choice, draw_rows_to_open, open_head
from app.frame.frame import draw_table, figure_frame, part
from app.frame.layout import beside
from app.frame.paper import paper_pattern
from app.links.selection import Selection
from app.links.session import widget_key
from app.links.subject import Subject
from app.pickers.cell import cell_of
from app.shell.theme import palette

if TYPE_CHECKING:
    from analysis.heads.encoder import EncoderScores
    from analysis.tokens import Tokens

_NUMBER = st.column_config.NumberColumn(format="%.3f")


def encoder_marks(scores: EncoderScores) -> list[str]:
    """The scores that heads carry as a badge: shares of attention, with a chance level below 1."""
    return [name for name in scores.known if name != "entropy"]


def note_texts(tokens: Tokens) -> None:
    """Say where the second text begins, where there are two."""
    if len(set(tokens.segments)) > 1:
        st.caption(
            f"Two texts: tokens 0 to {tokens.segments.index(1) - 1} are segment A, tokens "
            f"{tokens.segments.index(1)} to {tokens.length - 1} segment B."
        )


def draw_detectors(selection: Selection, scores: EncoderScores) -> None:
    """Heads above the threshold in each score that is a share of attention, beside chance."""
    marks = encoder_marks(scores)
    threshold = selection["threshold"]
    with figure_frame(
        Subject(selection),
        "Detectors",
        f"Heads whose mean attention to that place is above {threshold:g}; they are marked in the "
        "pictures. Tokens look both ways, so chance is that of attention spread over all tokens.",
        *(ENCODER_SCORES[name] for name in marks),
    ):
        st.slider(
            "Threshold", 0.0, 1.0, step=0.05, key=widget_key(selection, "threshold"), width=320
        )
        for column, name in zip(st.columns(len(marks)), marks, strict=True):
            quantity, values = ENCODER_SCORES[name], scores.values[name]
            column.markdown(f"**{quantity.name}** · chance {scores.chance[name]:.2f}")
            ranked = sorted(all_heads(selection.info), key=lambda h, v=values: -v[h.layer, h.head])  # type: ignore[misc]
            found = [head for head in ranked if values[head.layer, head.head] > threshold]
            if not found:
                column.caption("No head. Lower the threshold to see the nearest ones.")
                continue
            with column:
                draw_table(
                    [{"Head": h.label, "Score": float(values[h.layer, h.head])} for h in found],
                    quantity.name,
                    {"Score": _NUMBER},
                )
        st.caption(CHANCE)


def draw_every_head(selection: Selection) -> None:
    """Every head with every score of an encoder."""
    scores = calls.encoder_scores(selection)
    known = scores.known
    rank = max(known, key=lambda name: name == selection["rank"])
    heads = sorted(all_heads(selection.info), key=lambda head: -known[rank][head.layer, head.head])
    with figure_frame(
        Subject(selection),
        "Every head, every score",
        "One row for each head, one column for each score of an encoder, and in its title its "
        f"chance level. Ranked by {ENCODER_SCORES[rank].name}.",
        *(ENCODER_SCORES[name] for name in known),
        acts="Sort by a column's title; tick a row to open that head.",
    ):
        rows = [
            {
                "Head": head.label,
                **{
                    f"{ENCODER_SCORES[name].name} · chance {scores.chance[name]:.2f}": float(
                        values[head.layer, head.head]
                    )
                    for name, values in known.items()
                },
            }
            for head in heads
        ]
        draw_rows_to_open(rows, heads, "heads", selection)
        missing = [ENCODER_SCORES[name].name for name in ENCODER_SCORES if name not in known]
        absent = f" No token comes twice, so there is no {missing[0]}." if missing else ""
        st.caption(f"{len(heads)} heads. {CHANCE}{absent}")


def draw_head(selection: Selection, tokens: Tokens) -> None:
    """One head: its pattern on the text, and its scores among those of the others."""
    head = Head(selection["layer"], selection["head"])
    note_texts(tokens)
    picture, numbers = beside("dossier", 470, 300)
    with picture, part():
        _draw_pattern(selection, head, tokens.labels[0])
    with numbers:
        _draw_scores(selection, head)
        open_head(selection, head, "finder")
        open_head(selection, head, "attention")
    st.caption(
        "What a head adds to the logits, what breaks without it and what it writes are defined "
        "here for models that predict each token from those before it."
    )


def _draw_pattern(selection: Selection, head: Head, labels: tuple[str, ...]) -> None:
    pattern = calls.patterns(selection, 0, (head.layer,)).values[0, 0, head.head]
    with figure_frame(
        Subject(selection, head=head, sequence=0),
        f"Where {head.label} looks",
        "Each row is a destination and shows where it looks, before and after it.",
        PATTERN,
    ):
        cell = cell_of(selection, pattern)
        title = f"Pattern of {head.label}"
        draw_choice(
            head_figures.pattern_cells(pattern, labels, palette(), cell, bidirectional=True),
            "pattern",
            ("dest", "src"),
            lambda origin: paper_pattern(pattern, labels, title, origin, bidirectional=True),
        )


def _draw_scores(selection: Selection, head: Head) -> None:
    scores = calls.encoder_scores(selection)
    at = (head.layer, head.head)
    with figure_frame(
        Subject(selection, head=head),
        "Scores",
        "Rank 1 is the highest of all heads.",
        *(ENCODER_SCORES[name] for name in scores.known),
    ):
        rows = [
            {
                "Score": ENCODER_SCORES[name].name,
                "Value": float(values[at]),
                "Chance": scores.chance[name],
                "Rank": f"{1 + int(np.sum(values > values[at]))} of {values.size}",
            }
            for name, values in scores.known.items()
        ]
        draw_table(rows, "scores", {"Value": _NUMBER, "Chance": _NUMBER})
        st.caption(CHANCE)
