"""Windows in which the head acts most, and a fair sample of the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import (
    CORPUS_EFFECTS,
    CORPUS_VALUES,
    CORPUS_WINDOWS,
    PATTERN,
    TOKEN_ABLATION,
)
from analysis.errors import AnalysisError
from analysis.heads.corpus.results import INTERVALS
from app.components.progress import wanted
from app.components.windows import Strip, window_strips
from app.compute import calls
from app.figures.corpus import share_bars
from app.frame.frame import draw, figure_frame, offer_rows
from app.links.session import widget_key
from app.sections.corpus.view import CorpusView
from app.sections.shared.cancel import stoppable
from app.text import display_token

if TYPE_CHECKING:
    from analysis.heads.corpus.results import KeptWindow

_ORDERS = {
    "attention": "Attention",
    "value": "Value-weighted",
    "effect": "Effect on the next token",
    "loss": "Loss without the head",
}
_TOP = INTERVALS - 1
_SHOWN = (PATTERN, CORPUS_VALUES, CORPUS_EFFECTS, TOKEN_ABLATION)


def choose_order(view: CorpusView) -> tuple[KeptWindow, ...]:
    """The windows that are kept, in the order that is chosen."""
    st.segmented_control(
        "Windows ordered by",
        list(_ORDERS),
        format_func=_ORDERS.__getitem__,
        required=True,
        key=widget_key(view.selection, "order"),
        help="Of the windows that are kept: by the largest attention to a token that is not the "
        "first, by that times the length of what the head writes of the token, by what the head "
        "itself adds to the logit of the token that comes next, or by how much that token costs "
        "more without the head (zero ablation).",
    )
    order = view.selection["order"]
    losses = _losses(view) if order == "loss" else {}
    windows = view.scan.windows(view.head, order, losses)
    if order in ("value", "effect") and np.isnan(windows[0].rank(order)):
        st.info(
            f"What a head of {view.selection.info.name} writes of one token, or adds to a logit, "
            "is not known, because of what stands between it and the stream or the logits. The "
            "windows are in the order of the text."
        )
    return windows


def draw_best(view: CorpusView, windows: Sequence[KeptWindow]) -> None:
    """Windows in which the head attends most sharply."""
    best = [window for window in windows if window.interval == _TOP]
    with figure_frame(
        view.subject,
        f"Where {view.head.label} acts most",
        f"The {len(best)} windows in which it attends most sharply, of {view.read}. The token "
        "that is active at first has the largest attention to one that is not the first.",
        CORPUS_WINDOWS,
        also=_SHOWN,
        acts="Point at a token to see what it attends to; click to keep it; turn the direction to "
        "see what attends to it.",
    ):
        _draw(view, best, "best-windows")


def draw_rest(view: CorpusView, windows: Sequence[KeptWindow]) -> None:
    """A fair sample of the other windows, and how sharp all of them are."""
    with figure_frame(
        view.subject,
        "How sharply it acts, window by window",
        f"{view.read}, by the largest attention in each to a token that is not the first. Dotted "
        "lines: fifths of the first windows read.",
        CORPUS_WINDOWS,
    ):
        counts = view.scan.max_histogram[view.at]
        edges = view.scan.edges[view.at].tolist()
        draw(share_bars(counts, "windows", "Largest attention", view.theme, edges), key="maxima")
    rest = [window for window in windows if window.interval < _TOP]
    if not rest:
        st.caption("All windows are among those with the largest maxima, so there is no rest.")
        return
    with figure_frame(
        view.subject,
        "A fair sample of the rest",
        "At most three windows of each fifth below, drawn at random: what the head does when it "
        "does less.",
        CORPUS_WINDOWS,
        also=_SHOWN,
    ):
        _draw(view, rest, "other-windows")


def _draw(view: CorpusView, windows: Sequence[KeptWindow], key: str) -> None:
    labels = [view.scan.labels(window.ids.tolist()) for window in windows]
    offer_rows([_row(*each) for each in zip(windows, labels, strict=True)], key)
    window_strips([_strip(*each) for each in zip(windows, labels, strict=True)], view.head, key=key)


def _strip(window: KeptWindow, labels: Sequence[str]) -> Strip:
    query, key = window.strongest
    parts = [f"Largest attention {window.maximum:.2f}"]
    if query:
        parts[0] += f", from {query} “{display_token(labels[query])}” to {key} "
        parts[0] += f"“{display_token(labels[key])}”"
    if not np.isnan(window.largest_value):
        parts.append(f"value-weighted at most {window.largest_value:.2f}")
    for what, unit, values in (
        ("adds at most", "logits to", window.effects),
        ("without it", "nats on", window.losses),
    ):
        if not np.isnan(values).all():
            at = int(np.nanargmax(values))
            parts.append(f"{what} {values[at]:+.2f} {unit} “{display_token(labels[at + 1])}”")
    place = "strongest fifth" if window.interval == _TOP else f"fifth {window.interval + 1} of 5"
    return Strip(
        f"Window {window.number} · {place}",
        "; ".join(parts) + ".",
        labels,
        window.keys,
        window.attention,
        query,
    )


def _row(window: KeptWindow, labels: Sequence[str]) -> Mapping[str, object]:
    query, key = window.strongest
    return {
        "Window": window.number,
        "Fifth": window.interval + 1,
        "Maximum": window.maximum,
        "Query": display_token(labels[query]),
        "Key": display_token(labels[key]),
        "text": "".join(labels),
    }


def _losses(view: CorpusView) -> dict[int, np.ndarray]:
    """The rise of the loss in each kept window, if that is short work or has been asked for."""
    kept = view.scan.windows(view.head)
    if not view.whole:
        st.caption("Losses without the head follow when the text has been read.")
        return {}
    ids = np.stack([window.ids for window in kept])
    if not wanted(view.selection.info, ids, "Measure the losses without the head", 2):
        return {}
    try:
        with stoppable(f"Windows without {view.head.label}") as progress:
            return calls.window_losses(view.selection, view.head, kept, progress)
    except AnalysisError as refusal:
        st.text(f"⚠ {refusal}")
        return {}
