"""How far the head looks, at what and from what, how much it rests, and its scores on text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import (
    CHANCE,
    CORPUS_DISTANCES,
    CORPUS_FIRST,
    CORPUS_SCORES,
    CORPUS_TOKENS,
    CORPUS_VALUES,
    SCORES,
)
from analysis.heads.corpus.results import distance_bins
from app.compute import calls
from app.figures.corpus import distance_bars, share_bars
from app.frame.frame import Metric, draw, draw_metrics, draw_table, figure_frame
from app.frame.layout import beside
from app.sections.corpus.view import CorpusView
from app.text import display_token

if TYPE_CHECKING:
    from analysis.heads.corpus.results import TokenAttention


def draw_statistics(view: CorpusView) -> None:
    """How far it looks, how much it rests, and at what and from what it looks."""
    left, right = beside("corpus-where", 420, 420)
    with left:
        _draw_distances(view)
    with right:
        _draw_first(view)
    _draw_tokens(view)


def draw_comparison(view: CorpusView) -> None:
    """Its scores on the text, beside those on random tokens."""
    on_random = calls.reference_scores(view.selection)
    scan, at = view.scan, view.at
    with figure_frame(
        view.subject,
        "On text and on random tokens",
        f"The same scores over {view.read}, and over the course's random tokens repeated.",
        CORPUS_SCORES,
        also=tuple(SCORES[name] for name in scan.scores),
    ):
        induction = scan.scores["induction"][at]
        if not np.isnan(induction):
            st.markdown(
                f"Induction: **{on_random.induction[at]:.2f}** on random tokens, "
                f"**{induction:.2f}** on this text (chance {scan.chance['induction']:.2f})."
            )
        number = st.column_config.NumberColumn(format="%.3f")
        columns = ("On this text", "Chance", "On random tokens", "Chance there")
        draw_table(
            [
                dict(
                    zip(
                        ("Score", *columns),
                        (
                            SCORES[name].name,
                            float(values[at]),
                            scan.chance[name],
                            float(on_random[name][at]),
                            on_random.chance[name],
                        ),
                        strict=True,
                    )
                )
                for name, values in scan.scores.items()
            ],
            "scores",
            dict.fromkeys(columns, number),
        )
        st.caption(CHANCE)


def _draw_distances(view: CorpusView) -> None:
    scan, queries = view.scan, view.scan.queries
    first = scan.first_by_distance[view.at] / queries
    others = scan.by_distance[view.at] / queries - first
    chance, _ = scan.chance_by_distance
    with figure_frame(
        view.subject,
        f"How far {view.head.label} looks",
        "Share of its attention by how many tokens back; 0 is the token itself. Grey: on the "
        "first token of the window, where heads rest.",
        CORPUS_DISTANCES,
    ):
        bins = distance_bins(scan.window)
        draw(distance_bars(others, first, chance / queries, bins, view.theme), key="distances")


def _draw_first(view: CorpusView) -> None:
    scan = view.scan
    share, written = float(scan.at_first[view.at]), float(scan.written_at_first[view.at])
    with figure_frame(
        view.subject,
        "How much rests on the first token",
        "Queries by the share of their attention that is on the first token of the window.",
        CORPUS_FIRST,
        *(() if np.isnan(written) else (CORPUS_VALUES,)),
    ):
        metrics = [Metric("Mean", share, f"{share:.2f}")]
        if not np.isnan(written):
            metrics.append(Metric("Of what it writes", written, f"{written:.2f}"))
        draw_metrics(metrics, "first-mean")
        counts = scan.first_histogram[view.at]
        draw(share_bars(counts, "queries", "Attention on the first token", view.theme), key="first")


def _draw_tokens(view: CorpusView) -> None:
    scan, head = view.scan, view.head
    # All attention that is not on a first token: the same sum, once by key and once by query.
    total = float((scan.by_distance[view.at] - scan.first_by_distance[view.at]).sum())
    with figure_frame(
        view.subject,
        f"What {head.label} looks at, and from what",
        "Tokens with the largest shares of all attention that is not on a first token. Over "
        "chance: times as much as uniform attention gives them; those of a few places are often "
        "high by accident.",
        CORPUS_TOKENS,
    ):
        for place, (title, key, found) in zip(
            beside("corpus-tokens", 380, 380),
            (
                ("What it looks at", "looked-at", scan.top_keys(head)),
                ("What it looks from", "looked-from", scan.top_queries(head)),
            ),
            strict=True,
        ):
            with place:
                st.markdown(f"**{title}**")
                draw_table(
                    [_row(view, token, total) for token in found],
                    key,
                    {
                        "Share": st.column_config.NumberColumn(format="%.4f"),
                        "Over chance": st.column_config.NumberColumn(format="%.2f"),
                    },
                    height=320,
                )


def _row(view: CorpusView, token: TokenAttention, total: float) -> dict[str, object]:
    return {
        "Token": display_token(view.scan.labels([token.id])[0]),
        "Share": token.attention / total if total else float("nan"),
        "Over chance": token.attention / token.chance,
        "Places": token.count,
    }
