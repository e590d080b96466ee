"""Which distances the heads of a layer need."""

from __future__ import annotations

import numpy as np
import streamlit as st

from analysis.definitions import OFFSET_ABLATION
from analysis.head import Head
from app.components.ticks import draw_ticks
from app.compute import calls
from app.figures import ablation as ablation_figures
from app.frame.frame import draw, figure_frame, part
from app.links.session import choose, widget_key
from app.links.subject import Subject
from app.sections.ablation.subject import AblationView, asked_for
from app.sections.shared.cancel import stoppable

KEPT_SETS = ((), (0,), (1,), (2,), (3,), (1, 2), (1, 2, 3))
OFFERED_OFFSETS = 10


def draw_offsets(view: AblationView) -> None:
    """Which distances the heads of one layer need."""
    selection, info = view.selection, view.selection.info
    layer = selection["layer"] or 0
    own = tuple(sorted({int(at) for at in selection["offsets"].split(",") if at}))
    with figure_frame(
        Subject(selection, layer=layer),
        "Which distances a head needs",
        "Each row lets a head read values only at these distances back (0: the token itself, 1: "
        "the one before); all others hold their mean over sequences, which says nothing "
        "of the text. A pale cell: those distances are all it needs.",
        OFFSET_ABLATION,
    ):
        if note := calls.replacement_note(selection, "mean"):
            st.caption(note)
        bar = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
        with bar:
            st.selectbox(
                "Layer",
                range(info.n_layers),
                key=widget_key(selection, "layer", shown=layer),
                width=110,
            )
            draw_ticks(
                "One more row with these distances",
                sorted({*range(min(OFFERED_OFFSETS, view.tokens.length)), *own}),
                own,
                key="view.offsets.ticks",
                shown=str,
                take=_take_offsets,
                label_visibility="visible",
            )
        if not asked_for(view, "Restrict the heads", len(KEPT_SETS) * info.n_heads):
            return
        with part():
            # The visitor's own row by itself: another choice must not run the others again.
            rows = [KEPT_SETS, *([(own,)] if own not in KEPT_SETS else [])]
            with stoppable("Restricting every head") as progress:
                results = [calls.offset_ablation(selection, layer, r, progress) for r in rows]
            values = np.concatenate([result.values for result in results])
            kept = tuple(offsets for result in results for offsets in result.kept)
            st.caption(_offsets_said(values, kept, layer))
            draw(ablation_figures.offset_map(values, kept, layer, view.theme), key="offsets")


def _take_offsets() -> None:
    ticked = st.session_state["view.offsets.ticks"]
    choose(offsets=",".join(map(str, sorted(ticked))))


def _offsets_said(values: np.ndarray, kept: tuple[tuple[int, ...], ...], layer: int) -> str:
    """For each head that loses something, the shortest set of distances that keeps 90 % of it."""
    found = []
    for head in np.argsort(values[0])[::-1][:4]:
        if values[0, head] < ablation_figures.LEAST_EFFECT:
            break
        enough = [
            (len(offsets), ", ".join(map(str, offsets)))
            for offsets, value in zip(kept, values[:, head], strict=True)
            if offsets and value < 0.1 * values[0, head]
        ]
        name = Head(layer, int(head)).label
        if enough:
            found.append(f"{name} needs only distance {min(enough)[1]}")
        else:
            found.append(f"{name} needs more than these")
    if not found:
        return f"No head of layer {layer} loses anything here, whatever it may read."
    return "; ".join(found) + "."
