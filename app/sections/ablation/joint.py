"""Heads ablated together: any set of them, and the strongest two at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import ABLATION, JOINT_ABLATION, SET_ABLATION
from analysis.head import Head
from app.compute import calls
from app.figures import ablation as ablation_figures
from app.frame.clicks import draw_options
from app.frame.frame import Metric, draw_metrics, figure_frame, part
from app.links.parameters import MAX_KEPT
from app.pickers.heads import joint_heads, pick_joint_heads
from app.sections.ablation.subject import AblationView, asked_for
from app.sections.shared.cancel import stoppable

if TYPE_CHECKING:
    from analysis.effects.ablation import PairAblation

PAIRED = 8
# Nats: a smaller excess says nothing.
LEAST_EXCESS = 0.02


def draw_together(view: AblationView) -> None:
    """What any heads cost when they are ablated at the same time."""
    heads = joint_heads(view.selection, "together")
    with figure_frame(
        replace(view.subject, heads=heads),
        "Heads ablated together",
        "The loss without all of them at once, beside the sum of what each costs alone. The page "
        "begins with the induction heads.",
        SET_ABLATION,
        also=(JOINT_ABLATION, ABLATION),
        acts="Pick any heads.",
    ):
        pick_joint_heads(
            view.selection,
            heads,
            "together",
            label="Heads ablated together",
            most=MAX_KEPT,
            text="Empty it to get the induction heads back.",
        )
        with part():
            together = calls.joint_ablation(view.selection, heads, view.method).value
            known = view.known.found
            numbers = [Metric("All at once", together, f"{together:+.3f}")]
            if missing := [head.label for head in heads if head not in known]:
                draw_metrics(numbers, "together")
                st.caption(
                    f"The effect of {', '.join(missing[:3])} alone is not exact yet; the sum of "
                    "all follows when it is."
                )
                return
            alone = sum(known[head].value for head in heads)
            numbers.append(Metric("Sum of each alone", alone, f"{alone:+.3f}"))
            numbers.append(Metric("Excess", together - alone, f"{together - alone:+.3f}"))
            draw_metrics(numbers, "together")
            st.caption(_excess_said(heads, together - alone))


def _excess_said(heads: tuple[Head, ...], excess: float) -> str:
    if len(heads) == 1:
        return "Add a head to see what two cost at once."
    if excess > LEAST_EXCESS:
        return (
            "Losing all at once costs more than the sum: they cover for each other, so ablating "
            "one alone shows too little of what it does."
        )
    if excess < -LEAST_EXCESS:
        return (
            "Losing all at once costs less than the sum: they are parts of one mechanism, which "
            "the loss of one already breaks."
        )
    return "Losing all at once costs what each costs alone: they work independently here."


def draw_pairs(view: AblationView, values: np.ndarray) -> None:
    """The excess of every pair of the strongest heads; `values` of all heads rank them."""
    strongest = np.argsort(-values, axis=None)[:PAIRED]
    heads = tuple(sorted(view.every_head[i] for i in strongest))
    if len(heads) < 2:
        return
    with figure_frame(
        replace(view.subject, heads=heads),
        f"Pairs of the {len(heads)} strongest heads",
        "What both cost at once, minus the sum of what each costs alone, in nats. Blue: each "
        "covers for the other. Red: parts of one mechanism.",
        JOINT_ABLATION,
        acts="Click a cell to take that pair above.",
    ):
        count = len(heads) * (len(heads) + 1) // 2
        if not asked_for(view, "Ablate the pairs", count):
            return
        with part():
            with stoppable("Ablating pairs") as progress:
                found = calls.pair_ablation(view.selection, heads, view.method, progress)
            st.caption(_pairs_said(found))
            draw_options(
                ablation_figures.excess_map(found, view.theme),
                "head-pairs",
                [
                    {"together": ",".join(dict.fromkeys((a.label, b.label)))}
                    for a in heads
                    for b in heads
                ],
            )


def _pairs_said(found: PairAblation) -> str:
    excess = found.excess
    said = []
    most, least = int(np.nanargmax(excess)), int(np.nanargmin(excess))
    if excess.flat[most] > LEAST_EXCESS:
        said.append(
            f"{_names(found, most)} cost {excess.flat[most]:.2f} nats more together than the sum "
            "of each alone: each covers for the other."
        )
    if excess.flat[least] < -LEAST_EXCESS:
        said.append(
            f"{_names(found, least)} cost {-excess.flat[least]:.2f} nats less together than the "
            "sum: parts of one mechanism."
        )
    return " ".join(said) or "Every pair costs what its heads cost alone: no two interact here."


def _names(found: PairAblation, place: int) -> str:
    first, second = divmod(place, len(found.heads))
    return f"{found.heads[first].label} and {found.heads[second].label}"
