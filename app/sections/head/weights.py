"""The sections of one head's dossier that come from its weights alone."""

from __future__ import annotations

import numpy as np
import streamlit as st

from analysis.definitions import (
    COMPOSITION,
    COMPOSITION_BASELINE,
    COPYING,
    EIGENVALUES,
    OV_CIRCUIT,
    PARTNERS,
    TOKEN_OUTPUTS,
    TOKEN_PREFERENCES,
)
from analysis.head import all_heads
from app.compute import calls
from app.figures import heads as head_figures
from app.frame.clicks import draw_choice
from app.frame.frame import Metric, draw_metrics, figure_frame, part
from app.links.subject import Subject
from app.pickers.token import pick_token, token_of
from app.sections.head.on_input import HeadView
from app.sections.shared.token import draw_token_circuits
from app.text import display_token

KINDS = ("Q", "K", "V")


def draw_circuits(view: HeadView, src: int) -> None:
    """What the head writes and looks for, for one token; whether it copies."""
    selection, head = view.selection, view.head
    token = token_of(selection, int(view.tokens.ids[view.row, src]), view.labels[src])
    with figure_frame(
        Subject(selection, head=head, token=token.id, on_input=False),
        "What it writes and what it looks for",
        "From the weights alone: what attending to a token does to every logit (OV), and which "
        "tokens look for which (QK).",
        TOKEN_OUTPUTS,
        TOKEN_PREFERENCES,
        COPYING,
        EIGENVALUES,
        also=(OV_CIRCUIT,),
    ):
        with part():
            _draw_copying(view)
        pick_token(selection, f"the source chosen above: {display_token(view.labels[src])}")
        with part():
            draw_token_circuits(selection, head, token)


def draw_partners(view: HeadView) -> None:
    """Which earlier heads this one may read, and which later heads may read it."""
    head, info = view.head, view.selection.info
    with (
        figure_frame(
            Subject(view.selection, head=head, on_input=False),
            "Who it works with",
            "Composition scores against random pairs, from the weights alone.",
            PARTNERS,
            also=(COMPOSITION, COMPOSITION_BASELINE),
            acts="Click a dot to open that head.",
        ),
        part(),
    ):
        found = {kind: calls.composition(view.selection, kind) for kind in KINDS}
        baseline = found["Q"].baseline
        at = (head.layer, head.head)
        every = all_heads(info)
        read = {kind: result.values[at] for kind, result in found.items()}
        written = {kind: result.values[(..., *at)] for kind, result in found.items()}
        sides = {
            "reads": (written, [h for h in every if h.layer < head.layer]),
            "is read by": (read, [h for h in every if h.layer > head.layer]),
        }
        # Always two, so that nothing jumps on the way from head to head.
        for column, (verb, (scores, heads)) in zip(st.columns(2), sides.items(), strict=True):
            with column:
                st.markdown(f"**{head.label} {verb}**")
                if not heads:
                    place = (
                        "earlier head it could read" if verb == "reads" else "later head to read it"
                    )
                    st.caption(f"In layer {head.layer} of {info.n_layers} there is no {place}.")
                    continue
                layers, numbers = [h.layer for h in heads], [h.head for h in heads]
                figure = head_figures.partner_dots(
                    {kind: values[layers, numbers] for kind, values in scores.items()},
                    heads,
                    (baseline.mean, baseline.std),
                    view.theme,
                )
                draw_choice(figure, verb, ("layer", "head"))
        st.caption(f"Random pairs score {baseline.mean:.3f} ± {baseline.std:.3f}.")
        st.caption(found["Q"].assumes)


def _draw_copying(view: HeadView) -> None:
    head = view.head
    copying = calls.ov_copying(view.selection, (head,))
    values = calls.ov_eigenvalues(view.selection).vocabulary_score
    mine = float(values[head.layer, head.head])
    known = np.isfinite(mine)
    rank = 1 + int((values > mine).sum())
    shares = [
        Metric("Copies, top guess" if k == 1 else f"Copies, top {k}", share, f"{share:.1%}")
        for k, share in copying.accuracy.items()
    ]
    eigenvalue = Metric(
        "Eigenvalue score", mine if known else None, f"{mine:+.2f}" if known else "n/a"
    )
    draw_metrics([*shares, eigenvalue], "copying")
    st.caption(
        f"Copying: the share of all {view.selection.info.d_vocab:,} tokens that the head raises "
        f"most when it attends to them. Eigenvalue score: +1 copies, -1 inverts"
        + (f"; rank {rank} of {values.size} heads. " if known else ". The head writes nothing. ")
        + copying.assumes
    )
