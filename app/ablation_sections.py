"""The sections of the ablation page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import streamlit as st

from analysis.definitions import ABLATION, KEEP_ONLY, OFFSET_ABLATION, PAIR_ABLATION, SCORES
from analysis.heads import Head, all_heads
from app import ablation_figures, backend, figures
from app.chosen_heads import INDUCTION, completed
from app.frame import draw, draw_choice, draw_head_map, figure_frame, open_head, part
from app.progress import progress_bar
from app.selection import NO_HEAD, Selection, choose, heads_in
from app.text import display_token
from app.theme import Palette, palette

if TYPE_CHECKING:
    from analysis.ablation import Ablation
    from analysis.inputs import Tokens

MOST_IMPORTANT = 8
KEPT_SETS = ((), (0,), (1,), (2,), (3,), (1, 2), (1, 2, 3))
OFFERED_OFFSETS = 10
# Rows of ticks that fit without scrolling past the loss they change.
MAX_TICK_ROWS = 12


@dataclass(frozen=True)
class AblationView:
    """What every section is about."""

    selection: Selection
    tokens: Tokens
    theme: Palette

    @classmethod
    def of(cls, selection: Selection) -> AblationView:
        """The view of a selection."""
        return cls(selection, backend.tokens_of(selection), palette())

    @property
    def where(self) -> str:
        """The predictions that losses are averaged over, in words."""
        if self.tokens.half_length is None:
            return "all tokens of the prompt"
        return "the predictable tokens of the second half"

    @property
    def every_head(self) -> tuple[Head, ...]:
        """All heads of the model."""
        return all_heads(self.selection.info)


def draw_sweep(view: AblationView) -> None:
    """Every head ablated by itself: the map, the ranking, and the tokens that need one head."""
    selection = view.selection
    st.segmented_control(
        "What a head's output is replaced by",
        ["zero", "mean"],
        format_func={"zero": "Zero", "mean": "Its mean over sequences"}.__getitem__,
        required=True,
        key=selection.key("method"),
    )
    with part():
        with progress_bar("Ablating every head") as progress:
            result = backend.ablation(selection, selection["method"], progress)
        focus = completed(selection, "layer", "head", result.values)
        with figure_frame(
            "Loss increase without each head",
            f"Nats per token over {view.where}; the loss with all heads is "
            f"{result.clean_loss:.3f}. Blue: the model needs the head. Click a cell to put a head "
            "in focus.",
            ABLATION,
        ):
            draw_head_map(
                figures.head_map(
                    result.values, view.theme, unit="nats", diverging=True, focus=focus
                ),
                key="map",
            )
        left, right = st.columns([1, 2])
        with left, figure_frame("Most needed heads", "Largest loss increase first.", ABLATION):
            order = np.argsort(result.values, axis=None)[::-1][:MOST_IMPORTANT]
            ranking = [view.every_head[i] for i in order]
            st.dataframe(
                [{"Head": h.label, "Nats": float(result.values[h.layer, h.head])} for h in ranking],
                hide_index=True,
                column_config={"Nats": st.column_config.NumberColumn(format="%+.3f")},
            )
        with right:
            _draw_per_token(view, focus, result)


def _draw_per_token(view: AblationView, focus: Head, result: Ablation) -> None:
    effect = result.per_token[focus.layer, focus.head]
    largest = int(np.argmax(effect))
    labels = view.tokens.labels[0] if view.tokens.batch == 1 else None
    token = f" “{display_token(labels[largest + 1])}”" if labels else ""
    with figure_frame(
        f"Which tokens need {focus.label}",
        f"Loss increase at each prediction; largest for token {largest + 1}{token}, "
        f"{effect[largest]:+.2f} nats.",
        ABLATION,
    ):
        half = view.tokens.half_length
        draw(figures.effect_line(effect, labels, half, view.theme), key="per-token")
        open_head(view.selection, focus)


def draw_keep_only(view: AblationView) -> None:
    """The loss when every head but the ticked ones is silenced."""
    selection = view.selection
    circuit = _circuit(selection)
    kept = _kept(selection, circuit)
    with figure_frame(
        "Only these heads",
        "Every head that is not ticked is silenced. The page begins with previous-token and "
        "induction heads; untick one and watch the loss.",
        KEEP_ONLY,
        SCORES["previous"],
        SCORES["induction"],
    ):
        _draw_losses(view, kept)
        _draw_ticks(view, kept, circuit)


def _draw_ticks(view: AblationView, kept: tuple[Head, ...], circuit: tuple[Head, ...]) -> None:
    info = view.selection.info

    def keep(heads: Iterable[Head]) -> None:
        labels = ",".join(head.label for head in sorted(heads))
        choose(keep="" if tuple(sorted(heads)) == circuit else labels or NO_HEAD)

    buttons = st.container(horizontal=True)
    for name, heads in (
        ("Induction circuit", circuit),
        ("All", view.every_head),
        ("None", ()),
    ):
        buttons.button(name, on_click=keep, args=(heads,))

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
            _ticks(
                f"Heads kept in layer {layer}",
                range(info.n_heads),
                [head.head for head in kept if head.layer == layer],
                key=_tick_key(layer),
                shown=lambda head: f"H{head}",
                take=take,
            )


def _draw_losses(view: AblationView, kept: tuple[Head, ...]) -> None:
    def loss(heads: Iterable[Head]) -> float:
        without = tuple(head for head in view.every_head if head not in heads)
        return backend.loss(view.selection, without)

    clean, only, none = loss(view.every_head), loss(kept), loss(())
    bar = st.container(horizontal=True)
    bar.metric(
        f"Loss with only {len(kept)} of {len(view.every_head)} heads",
        f"{only:.3f}",
        f"{only - clean:+.3f} against all heads",
        delta_color="inverse",
        border=True,
        width=250,
    )
    for name, value in (("With all heads", clean), ("With none", none)):
        bar.metric(name, f"{value:.3f}", border=True, width=150, height="stretch")
    if none > clean:
        st.caption(
            f"These heads win back {(none - only) / (none - clean):.1%} of what all heads "
            f"together are worth, {none - clean:.2f} nats per token over {view.where}."
        )


def draw_offsets(view: AblationView) -> None:
    """Which distances the heads of one layer need."""
    selection, info = view.selection, view.selection.info
    layer = max(selection["layer"], 0)
    own = tuple(sorted({int(at) for at in selection["offsets"].split(",") if at}))
    with figure_frame(
        "Which distances a head needs",
        "Each row lets a head read values only at these distances back (0: the token itself, 1: "
        "the one before); all others hold their mean over sequences. A pale cell: those "
        "distances are all it needs.",
        OFFSET_ABLATION,
    ):
        if view.tokens.batch < 2:
            st.info(
                "Means over sequences need at least 2 sequences. Set the input to repeated tokens."
            )
            return
        bar = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
        with bar:
            st.selectbox(
                "Layer",
                range(info.n_layers),
                key=selection.key("layer", shown=layer),
                width=110,
            )
            _ticks(
                "One more row with these distances",
                sorted({*range(min(OFFERED_OFFSETS, view.tokens.length)), *own}),
                own,
                key="view.offsets.ticks",
                shown=str,
                take=_take_offsets,
                label_visibility="visible",
            )
        with part():
            # The visitor's own row by itself: another choice must not run the others again.
            rows = [KEPT_SETS, *([(own,)] if own not in KEPT_SETS else [])]
            with progress_bar("Restricting every head") as progress:
                results = [backend.offset_ablation(selection, layer, r, progress) for r in rows]
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


def draw_pairs(view: AblationView) -> None:
    """Heads that look for longer matches than one token."""
    selection = view.selection
    with figure_frame(
        "Heads that look for longer matches",
        "Mean ablation where all of the first half comes again, and where only pairs of "
        "neighbours do, in random order. A head that helps with the first and not with the second "
        "compares more than one token; the dashed line is a head that both need alike. Click a bar "
        "to put its head in focus.",
        ABLATION,
        PAIR_ABLATION,
    ):
        if view.tokens.half_length is None or view.tokens.batch < 2:
            st.info("This needs at least 2 sequences of repeated tokens. Set the input to those.")
            return
        with part():
            with progress_bar("Full repeats") as progress:
                repeated = backend.ablation(selection, "mean", progress).values
            with progress_bar("Pairs") as progress:
                paired = backend.pair_ablation(selection, progress).values
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


def _circuit(selection: Selection) -> tuple[Head, ...]:
    """Previous-token and induction heads; the best of each kind, if none is above the threshold."""
    scores = backend.reference_scores(selection)
    found: set[Head] = set()
    for values in (scores.previous, scores.induction):
        places = np.argwhere(values >= min(INDUCTION, values.max()))
        found |= {Head(int(layer), int(head)) for layer, head in places}
    return tuple(sorted(found))


def _kept(selection: Selection, circuit: tuple[Head, ...]) -> tuple[Head, ...]:
    return heads_in(selection["keep"]) if selection["keep"] else circuit


def _tick_key(layer: int) -> str:
    return f"view.keep.{layer}"


def _ticks(
    label: str,
    options: Iterable[int],
    ticked: Iterable[int],
    *,
    key: str,
    shown: Callable[[int], str],
    take: Callable[[], None],
    label_visibility: Literal["visible", "collapsed"] = "collapsed",
) -> None:
    """Small buttons to tick; what is ticked is a list that `take` puts into the link."""
    if sorted(st.session_state.get(key) or []) != sorted(ticked):
        st.session_state[key] = list(ticked)
    st.pills(
        label,
        list(options),
        selection_mode="multi",
        format_func=shown,
        key=key,
        on_change=take,
        label_visibility=label_visibility,
        wrap=True,
    )
