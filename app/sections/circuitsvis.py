"""One layer in CircuitsVis: what other viewers show, beside the grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from analysis.definitions import ScoreName
from analysis.head import Head
from app.components import circuitsvis
from app.figures import base as figures
from app.frame.export import Exhibit, framed_body, pattern_table
from app.frame.frame import draw, figure_frame, offer
from app.frame.paper import paper_pattern
from app.links.selection import Selection
from app.links.subject import Subject
from app.pickers.heads import pick_layer_and_head
from app.pickers.weighting import weighted
from app.shell.theme import palette

if TYPE_CHECKING:
    from analysis.heads.scores import HeadScores


def draw_circuitsvis(
    selection: Selection,
    row: int,
    labels: Sequence[str],
    scores: HeadScores,
    marked: Sequence[ScoreName],
) -> None:
    """The reference view: the heads of one layer in CircuitsVis, and one of them in full.

    Heads above the threshold in a score that is `marked` carry its name.
    """
    info, theme, threshold = selection.info, palette(), selection["threshold"]
    pick_layer_and_head(st.container(horizontal=True), selection, "Head in full")
    focus = Head(selection["layer"], selection["head"])
    weights = weighted(selection, row, (focus.layer,))
    pattern, cells = weights.values[0], weights.weighting
    marks = {
        head: [kind for kind in marked if scores[kind][focus.layer, head] > threshold]
        for head in range(info.n_heads)
    }
    # The heads that attend most sharply say most; the one in focus is always among them.
    by_sharpness = scores.entropy[focus.layer].argsort().tolist()
    by_sharpness.sort(key=lambda head: head != focus.head)
    heads = sorted(by_sharpness[: circuitsvis.heads_that_fit(len(labels))])
    shown = min(len(labels), circuitsvis.MAX_TOKENS)
    reading = f"Rows are destinations. {weights.reading}".strip()
    if len(heads) < info.n_heads or shown < len(labels):
        first_tokens = f" on the first {shown} tokens" if shown < len(labels) else ""
        reading += (
            f" {len(labels)} tokens are many for CircuitsVis, so these are {len(heads)} of "
            f"{info.n_heads} heads{first_tokens}: the one in focus and those of lowest entropy."
        )
    drawn_heads = tuple(Head(focus.layer, head) for head in heads)
    with figure_frame(
        weights.about(Subject(selection, heads=drawn_heads, sequence=row)),
        f"Heads of layer {focus.layer}",
        reading,
        weights.quantity,
        acts="Hover a small picture to see that head, click to keep it.",
    ):
        drawn, texts = pattern[heads, :shown, :shown], labels[:shown]
        names = [head.label for head in drawn_heads]
        page, height = circuitsvis.attention_heads(
            drawn,
            texts,
            [" · ".join([name, *marks[head]]) for name, head in zip(names, heads, strict=True)],
            dark=theme.dark,
            top=weights.top,
        )
        offer(
            Exhibit(
                "circuitsvis",
                lambda: pattern_table(drawn, names, texts, cells.unit),
                page=lambda name: framed_body(page, height),
            )
        )
        st.iframe(page, height=height, alt=f"Attention patterns of layer {focus.layer}")
    with figure_frame(
        weights.about(Subject(selection, head=focus, sequence=row)),
        f"{focus.label} in full",
        f"Each row is a destination and shows where it looks back to. {weights.reading}".strip(),
        weights.quantity,
        acts="Hover a cell for both tokens.",
    ):
        chosen, title = pattern[focus.head], f"Pattern of {focus.label}"
        draw(
            figures.pattern_map(chosen, labels, theme, cells.unit, cells.signed),
            key="pattern",
            paper=lambda origin: paper_pattern(chosen, labels, title, origin, weighting=cells),
        )
