"""The sections of one head's dossier that come from its weights alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from analysis.definitions import (
    COMPOSITION,
    COMPOSITION_BASELINE,
    COPYING,
    EIGENVALUES,
    OV_CIRCUIT,
    TOKEN_PREFERENCES,
)
from analysis.head import Head, all_heads
from app.compute import calls
from app.figures import heads as head_figures
from app.frame.clicks import draw_choice
from app.frame.export import as_rows
from app.frame.frame import draw_table, figure_frame, part
from app.frame.layout import METRIC
from app.links.parameters import MAX_WORD
from app.links.selection import Selection
from app.links.session import widget_key
from app.sections.head.on_input import HeadView
from app.text import display_token, markdown_text

if TYPE_CHECKING:
    from analysis.circuits.ranking import TokenRanking

KINDS = ("Q", "K", "V")


def draw_circuits(view: HeadView, src: int) -> None:
    """What the head writes and looks for, for one token; whether it copies."""
    selection, head = view.selection, view.head
    with figure_frame(
        "What it writes and what it looks for",
        "From the weights alone: what attending to a token does to every logit (OV), and which "
        "tokens look for which (QK).",
        OV_CIRCUIT,
        TOKEN_PREFERENCES,
        COPYING,
        EIGENVALUES,
    ):
        with part():
            _draw_copying(view)
        text = st.text_input(
            "Token",
            key=widget_key(selection, "token"),
            max_chars=MAX_WORD,
            placeholder=f"the source chosen above: {display_token(view.labels[src])}",
            help="One token to look up. A space in front belongs to it.",
        )
        with part():
            token_id = (
                calls.single_token(selection, text) if text else int(view.tokens.ids[view.row, src])
            )
            token = f"“{display_token(text or view.labels[src])}”"
            draw_token_circuits(selection, head, token_id, token)


def draw_token_circuits(selection: Selection, head: Head, token_id: int, token: str) -> None:
    """What attending to one token writes, and what it looks for and is looked for by.

    `token` is its name on the screen.
    """
    written = calls.ov_top_tokens(selection, head, token_id)
    st.caption(
        markdown_text(
            f"Attending to {token} raises {token} itself to rank {written.rank:,} of "
            f"{selection.info.d_vocab:,}; rank 1 is a copy."
        )
    )
    tables = [
        (f"OV: attending to {token} raises", "Logits", written.raised, 1),
        (f"OV: attending to {token} lowers", "Logits", written.lowered, -1),
    ]
    _draw_rankings(tables)
    with part():
        wanted = calls.qk_preferences(selection, head, token_id)
        tables = [
            (f"QK: the query {token} looks for", "Score", wanted.keys, 1),
            (f"QK: the key {token} is looked for by", "Score", wanted.queries, 1),
        ]
        _draw_rankings(tables)
    st.caption(written.assumes)


def draw_partners(view: HeadView) -> None:
    """Which earlier heads this one may read, and which later heads may read it."""
    head, info = view.head, view.selection.info
    with (
        figure_frame(
            "Who it works with",
            "Composition scores against random pairs, from the weights alone. Click a dot to open "
            "that head.",
            COMPOSITION,
            COMPOSITION_BASELINE,
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
        drawn = {verb: side for verb, side in sides.items() if side[1]}
        # A side without heads leaves its room to the other one.
        columns = st.columns(max(len(drawn), 1))
        for column, (verb, (scores, heads)) in zip(columns, drawn.items(), strict=False):
            with column:
                st.markdown(f"**{head.label} {verb}**")
                layers, numbers = [h.layer for h in heads], [h.head for h in heads]
                figure = head_figures.partner_dots(
                    {kind: values[layers, numbers] for kind, values in scores.items()},
                    heads,
                    (baseline.mean, baseline.std),
                    view.theme,
                )
                draw_choice(figure, verb, ("layer", "head"))
        for place, there in (
            ("earlier head it could read", head.layer > 0),
            ("later head to read it", head.layer + 1 < info.n_layers),
        ):
            if not there:
                st.caption(f"In layer {head.layer} of {info.n_layers} there is no {place}.")
        st.caption(f"Random pairs score {baseline.mean:.3f} ± {baseline.std:.3f}.")
        st.caption(found["Q"].assumes)


def _draw_copying(view: HeadView) -> None:
    head = view.head
    copying = calls.ov_copying(view.selection, (head,))
    values = calls.ov_eigenvalues(view.selection).vocabulary_score
    mine = float(values[head.layer, head.head])
    rank = 1 + int((values > mine).sum())
    bar = st.container(horizontal=True)
    for k, accuracy in copying.accuracy.items():
        title = "Copies, top guess" if k == 1 else f"Copies, top {k}"
        bar.metric(title, f"{accuracy:.1%}", border=True, width=METRIC)
    bar.metric("Eigenvalue score", f"{mine:+.2f}", border=True, width=METRIC)
    st.caption(
        f"Copying: the share of all {view.selection.info.d_vocab:,} tokens that the head raises "
        f"most when it attends to them. Eigenvalue score: +1 copies, -1 inverts; rank {rank} of "
        f"{values.size} heads."
    )


def _draw_rankings(tables: list[tuple[str, str, TokenRanking, int]]) -> None:
    for column, (title, unit, ranking, sign) in zip(st.columns(2), tables, strict=True):
        column.markdown(f"**{markdown_text(title)}**")
        rows = as_rows(
            {
                "Token": [display_token(label) for label in ranking.labels],
                unit: (sign * ranking.values).tolist(),
            }
        )
        with column:
            draw_table(rows, title, {unit: st.column_config.NumberColumn(format="%+.2f")})
