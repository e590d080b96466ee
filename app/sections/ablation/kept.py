"""The loss with only the heads that a visitor ticks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import streamlit as st

from analysis.definitions import KEEP_ONLY, LEAST_SHARED, SCORES
from analysis.head import Head
from app.components.ticks import draw_ticks
from app.compute import calls
from app.frame.frame import Metric, draw_metrics, figure_frame
from app.links.parameters import MAX_KEPT
from app.links.parsers import NO_HEAD, heads_in
from app.links.selection import Selection
from app.links.session import choose
from app.links.subject import Subject
from app.pickers.heads import INDUCTION
from app.sections.ablation.subject import AblationView

# Rows of ticks that fit without scrolling past the loss they change.
MAX_TICK_ROWS = 12
# How many of the strongest heads are offered to be kept.
STRONGEST = 10


def draw_keep_only(view: AblationView, effects: np.ndarray | None) -> None:
    """The loss when every head but the ticked ones is silenced.

    `effects` of all heads rank them, as far as they are known.
    """
    selection = view.selection
    circuit = _circuit(selection)
    kept = _kept(selection, circuit)
    with figure_frame(
        Subject(selection, kept=kept),
        "Only these heads",
        "Every head that is not ticked is silenced. The page begins with previous-token and "
        "induction heads.",
        KEEP_ONLY,
        also=(SCORES["previous"], SCORES["induction"]),
        acts="Untick one and watch the loss.",
    ):
        _draw_losses(view, kept)
        _draw_ticks(view, kept, circuit, effects)


def _draw_ticks(
    view: AblationView,
    kept: tuple[Head, ...],
    circuit: tuple[Head, ...],
    effects: np.ndarray | None,
) -> None:
    info = view.selection.info

    def keep(heads: Iterable[Head]) -> None:
        labels = ",".join(head.label for head in sorted(heads))
        choose(keep=None if tuple(sorted(heads)) == circuit else labels or NO_HEAD)

    buttons = st.container(horizontal=True, vertical_alignment="bottom")
    for name, heads in (
        ("Induction circuit", circuit),
        ("All", view.every_head),
        ("None", ()),
    ):
        buttons.button(name, on_click=keep, args=(heads,))
    if effects is not None:
        with buttons:
            _draw_strongest(view, effects, keep)

    def take() -> None:
        keep(
            [
                Head(layer, head)
                for layer in range(info.n_layers)
                for head in st.session_state[_tick_key(layer)]
            ]
        )

    rows = st.container(gap="xsmall", height=480 if info.n_layers > MAX_TICK_ROWS else "content")
    for layer in range(info.n_layers):
        row = rows.container(horizontal=True, vertical_alignment="center", gap="xsmall")
        row.markdown(f"Layer {layer}", width=64)
        with row:
            draw_ticks(
                f"Heads kept in layer {layer}",
                range(info.n_heads),
                [head.head for head in kept if head.layer == layer],
                key=_tick_key(layer),
                shown=lambda head: f"H{head}",
                take=take,
            )


def _draw_strongest(
    view: AblationView, effects: np.ndarray, keep: Callable[[Iterable[Head]], None]
) -> None:
    """How many of the strongest heads to keep, and the button that does."""
    most = min(MAX_KEPT, effects.size)
    count = st.number_input(
        "N",
        1,
        most,
        min(STRONGEST, most),
        key="kept.strongest",
        help="The heads whose loss costs most by themselves, as in the map above: exact values as "
        "far as they are known, else estimates.",
        width=120,
    )

    def keep_strongest() -> None:
        # By what the map shows now: the sweep has gone on since this was drawn.
        exact = view.sweep.look().values(view.selection.info)
        order = np.argsort(-np.where(np.isnan(exact), effects, exact), axis=None)
        keep([view.every_head[i] for i in order[:count]])

    st.button(f"Keep the {count} strongest", on_click=keep_strongest)


def _draw_losses(view: AblationView, kept: tuple[Head, ...]) -> None:
    def loss(heads: Iterable[Head]) -> float:
        without = tuple(head for head in view.every_head if head not in heads)
        return calls.loss(view.selection, without)

    clean, only, none = loss(view.every_head), loss(kept), loss(())
    draw_metrics(
        [
            Metric(
                f"Loss with only {len(kept)} of {len(view.every_head)} heads",
                only,
                f"{only:.3f}",
                f"{only - clean:+.3f} against all heads",
            ),
            Metric("With all heads", clean, f"{clean:.3f}"),
            Metric("With none", none, f"{none:.3f}"),
        ],
        "losses",
        width=215,
    )
    if none - clean >= LEAST_SHARED:
        st.caption(
            f"These heads win back {(none - only) / (none - clean):.1%} of what all heads "
            f"together are worth, {none - clean:.2f} nats per token over {view.where}."
        )


def _circuit(selection: Selection) -> tuple[Head, ...]:
    """Previous-token and induction heads; the best of each kind, if none is above the threshold."""
    scores = calls.reference_scores(selection)
    found: set[Head] = set()
    for values in (scores.previous, scores.induction):
        places = np.argwhere(values >= min(INDUCTION, values.max()))
        found |= {Head(int(layer), int(head)) for layer, head in places}
    return tuple(sorted(found))


def _kept(selection: Selection, circuit: tuple[Head, ...]) -> tuple[Head, ...]:
    return heads_in(selection["keep"]) if selection["keep"] else circuit


def _tick_key(layer: int) -> str:
    return f"view.keep.{layer}"
