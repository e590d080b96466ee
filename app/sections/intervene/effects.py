"""What the recipe does: next tokens, the loss of each token, attention that moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import (
    EDITED_PATTERN,
    LOSS_WITH_RECIPE,
    MOVED_ATTENTION,
    NEXT_WITH_RECIPE,
    RECIPE_DIFFERENCE,
)
from analysis.effects.steps import Look, Weigh
from app.components.pattern_pair.payload import Pane
from app.compute import calls
from app.figures import heads as head_figures
from app.figures import intervene as figures
from app.figures.base import head_map
from app.frame.clicks import draw_choice, draw_head_map, open_head
from app.frame.frame import Metric, draw, draw_metrics, figure_frame
from app.links.subject import Subject
from app.pickers.answer import pick_answer_and_foil
from app.pickers.sequence import position_of
from app.sections.intervene.adder import add_button
from app.sections.intervene.subject import Bench
from app.sections.shared.pair import draw_pair
from app.shell.theme import palette
from app.text import display_token, markdown_text

if TYPE_CHECKING:
    from analysis.effects.intervene import Intervened


def draw_effects(bench: Bench) -> None:
    """Everything that the recipe does.

    Raises:
        AnalysisError: The recipe has no place in this model or prompt.
    """
    subject = bench.subject
    found = calls.intervened(subject, bench.tokens)
    _draw_answer(bench, subject, found)
    _draw_losses(bench, subject, found)
    _draw_moved(bench, subject, found)
    _draw_patterns(bench, subject, found)


def _draw_answer(bench: Bench, subject: Subject, found: Intervened) -> None:
    with figure_frame(
        subject,
        "What comes next",
        "The likeliest next tokens of either run: grey as it is, orange with the recipe.",
        NEXT_WITH_RECIPE,
        RECIPE_DIFFERENCE,
    ):
        ids = np.array([[subject.answer], [subject.foil]])
        answer, foil = (row[0] for row in calls.token_labels(bench.selection, ids))
        before, after = found.difference
        clean, edited = found.losses
        draw_metrics(
            [
                Metric("Logit difference, clean", float(before), f"{before:+.2f}"),
                Metric("With the recipe", float(after), f"{after:+.2f}"),
                Metric("Loss, clean", clean, f"{clean:.3f}"),
                Metric("Loss with the recipe", edited, f"{edited:.3f}"),
            ],
            "differences",
        )
        st.caption(
            markdown_text(
                f"Logit of “{display_token(answer)}” minus logit of “{display_token(foil)}” after "
                "the last token; loss in nats per token."
            )
        )
        draw(figures.next_token_bars(found.labels, found.probs, palette()), key="next")
        pick_answer_and_foil(
            bench.selection, unless=("the likeliest next token", "the second likeliest")
        )


def _draw_losses(bench: Bench, subject: Subject, found: Intervened) -> None:
    with figure_frame(
        subject,
        "Which tokens become harder",
        "How much the loss of each token rises with the recipe; below 0 it is predicted better.",
        LOSS_WITH_RECIPE,
    ):
        draw(figures.change_bars(bench.labels, found.log_probs, palette()), key="losses")


def _draw_moved(bench: Bench, subject: Subject, found: Intervened) -> None:
    with figure_frame(
        subject,
        "Whose attention moves",
        "One cell per head: the share of its attention that goes to other tokens with the recipe, "
        "in the mean over destinations.",
        MOVED_ATTENTION,
        acts="Click a head to see both its patterns.",
    ):
        draw_head_map(
            head_map(found.moved, palette(), unit="Moved attention", focus=bench.head), "moved"
        )


def _draw_patterns(bench: Bench, subject: Subject, found: Intervened) -> None:
    head, labels = bench.head, bench.labels
    with figure_frame(
        subject,
        f"{head.label} without and with the recipe",
        "Each row is a destination and shows where it looks back to. In the difference blue is "
        "more attention with the recipe, red less.",
        EDITED_PATTERN,
    ):
        titles = (f"{head.label}, clean", f"{head.label}, with the recipe")
        panes = [
            Pane(title, "", pattern, labels)
            for title, pattern in zip(titles, found.patterns, strict=True)
        ]
        draw_pair(panes[0], panes[1], palette(), subject, key="pair")
        open_head(bench.selection, head)
    clickable = len(labels) <= head_figures.MAX_CLICKABLE
    with figure_frame(
        subject,
        f"Edit where {head.label} looks",
        "Its pattern with the recipe.",
        EDITED_PATTERN,
        acts="Click a cell, then say what becomes of it."
        if clickable
        else "The text is too long for clicks: add a step above.",
    ):
        last = len(labels) - 1
        dest = position_of(bench.selection, "dest", last + 1, last)
        src = position_of(bench.selection, "src", dest + 1, int(found.patterns[1][dest].argmax()))
        figure = head_figures.pattern_cells(found.patterns[1], labels, palette(), (dest, src))
        draw_choice(figure, "edited", ("dest", "src"))
        st.caption(
            markdown_text(
                f"From {dest} “{display_token(labels[dest])}” to {src} "
                f"“{display_token(labels[src])}”: {found.patterns[1][dest, src]:.3f}, clean "
                f"{found.patterns[0][dest, src]:.3f}."
            )
        )
        bar = st.container(horizontal=True)
        with bar:
            add_button(bench.steps, "Remove this cell", Weigh(head, dest, src, 0.0), "remove cell")
            add_button(bench.steps, "Look only here", Look(head, dest, src), "look here")
