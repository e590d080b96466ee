"""Heads that look for longer matches than one token."""

from __future__ import annotations

import numpy as np
import streamlit as st

from analysis.definitions import ABLATION, PAIR_ABLATION
from analysis.head import Head
from app.compute import calls
from app.figures import ablation as ablation_figures
from app.frame.clicks import draw_choice
from app.frame.frame import figure_frame, part
from app.links.subject import Subject
from app.sections.ablation.subject import AblationView, asked_for
from app.sections.shared.cancel import stoppable


def draw_repeats(view: AblationView) -> None:
    """Heads that look for longer matches than one token."""
    selection = view.selection
    with figure_frame(
        Subject(selection, method="mean"),
        "Heads that look for longer matches",
        "Mean ablation where all of the first half comes again, and where only pairs of "
        "neighbours do, in random order. A head that helps with the first and not with the second "
        "compares more than one token; the dashed line is a head that both need alike.",
        PAIR_ABLATION,
        also=(ABLATION,),
        acts="Click a bar to put its head in focus.",
    ):
        if view.tokens.half_length is None or view.tokens.batch < 2:
            st.info("This needs at least 2 sequences of repeated tokens. Set the input to those.")
            return
        # Two sweeps, each of which runs half of the model for a head.
        if not asked_for(view, "Compare both", len(view.every_head)):
            return
        with part():
            with stoppable("Full repeats") as progress:
                full = calls.ablation_sweep(selection, "mean").wait(progress)
            with stoppable("Pairs") as progress:
                pairs = calls.paired_sweep(selection).wait(progress)
            repeated, paired = full.values(selection.info), pairs.values(selection.info)
            strongest = np.argsort(repeated, axis=None)[::-1][: ablation_figures.MAX_PAIRS]
            shown = np.sort(strongest[repeated.flat[strongest] >= ablation_figures.LEAST_EFFECT])
            if not len(shown):
                st.info("No head is needed here, so none can be compared. Take a larger S.")
                return
            st.caption(_pairs_said(repeated, paired))
            draw_choice(
                ablation_figures.pair_bars(
                    repeated.flat[shown],
                    paired.flat[shown],
                    [view.every_head[i] for i in shown],
                    view.theme,
                ),
                "pairs",
                ("layer", "head"),
            )


def _pairs_said(repeated: np.ndarray, paired: np.ndarray) -> str:
    needed = repeated >= ablation_figures.LEAST_EFFECT
    lost = np.where(needed & (paired < 0.5 * repeated), repeated - paired, -np.inf)
    layer, head = np.unravel_index(int(lost.argmax()), lost.shape)
    if not np.isfinite(lost[layer, head]):
        return "Every head that is needed on full repeats is needed on pairs too."
    return (
        f"{Head(int(layer), int(head)).label} is worth {repeated[layer, head]:+.2f} nats on full "
        f"repeats and {paired[layer, head]:+.2f} on pairs: it serves matches of more than one "
        "token."
    )
