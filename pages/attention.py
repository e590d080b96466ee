"""Attention: patterns of all heads, or of one layer in CircuitsVis; simple detectors."""

import numpy as np
import streamlit as st

from analysis.definitions import CHANCE, SCORES, TARGETED, ScoreName
from analysis.head import Head
from app.components import circuitsvis
from app.compute import calls
from app.figures import base as figures
from app.frame.clicks import open_head, open_more_text
from app.frame.export import Exhibit, framed_body, pattern_table
from app.frame.frame import draw, draw_table, figure_frame, offer, part
from app.frame.layout import controls
from app.frame.paper import paper_pattern
from app.links.selection import Selection
from app.links.session import widget_key
from app.links.subject import Subject
from app.pickers.heads import pick_layer_and_head, telling_head
from app.pickers.sequence import choose_sequence
from app.pickers.weighting import pick_weighting, weighted
from app.sections.attention import draw_grid, draw_who_attends
from app.sections.conversation import draw_attention
from app.sections.encoders import draw_detectors, encoder_marks, note_texts
from app.sections.sets.page import draw_over_set
from app.shell.page import open_page
from app.shell.theme import palette

DETECTORS: tuple[ScoreName, ...] = ("current", "previous", "first")

selection = open_page("attention")
if selection.over_set:
    draw_over_set(selection, measure="attention")
    st.stop()
selection = telling_head(selection)
info, theme = selection.info, palette()
tokens = calls.tokens_of(selection)
if info.bidirectional:
    note_texts(tokens)
    found = calls.encoder_scores(selection)
    with part():
        marks = encoder_marks(found)
        selection = draw_grid(selection, 0, tokens.labels[0], found.known, marks)
        draw_who_attends(selection, 0, tokens.labels[0])
    open_head(selection, Head(selection["layer"], selection["head"]))
    draw_detectors(selection, found)
    st.stop()
scores = calls.scores(selection)
known = {name: scores[name] for name in SCORES if not np.isnan(scores[name]).all()}
with controls():
    st.segmented_control(
        "View",
        ["grid", "circuitsvis"],
        format_func={"grid": "All heads", "circuitsvis": "One layer in CircuitsVis"}.__getitem__,
        required=True,
        key=widget_key(selection, "view"),
    )
    row = choose_sequence(selection, tokens)
    pick_weighting(selection)
labels = tokens.labels[row]


def draw_circuitsvis(selection: Selection) -> None:
    """The reference view: the heads of one layer in CircuitsVis, and one of them in full."""
    pick_layer_and_head(st.container(horizontal=True), selection, "Head in full")
    focus = Head(selection["layer"], selection["head"])
    weights = weighted(selection, row, (focus.layer,))
    pattern, cells = weights.values[0], weights.weighting
    marks = {
        head: [kind for kind in DETECTORS if scores[kind][focus.layer, head] > threshold]
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


threshold = selection["threshold"]
with part():
    if selection["view"] == "grid":
        selection = draw_grid(selection, row, labels, known, TARGETED)
        draw_who_attends(selection, row, labels)
    else:
        draw_circuitsvis(selection)
open_head(selection, Head(selection["layer"], selection["head"]))
open_more_text(selection)
if selection["input"] == "chat":
    draw_attention(selection)

with figure_frame(
    Subject(selection),
    "Detectors",
    f"Heads whose mean attention to that place is above {threshold:g}, over all sequences; they "
    "are marked in the pictures.",
    *(SCORES[kind] for kind in DETECTORS),
):
    st.slider("Threshold", 0.0, 1.0, step=0.05, key=widget_key(selection, "threshold"), width=320)
    for column, kind in zip(st.columns(3), DETECTORS, strict=True):
        above = scores.above(kind, threshold)
        column.markdown(f"**{SCORES[kind].name}** · chance {scores.chance[kind]:.2f}")
        if above:
            with column:
                draw_table(
                    [{"Head": head.label, "Score": value} for head, value in above],
                    SCORES[kind].name,
                    {"Score": st.column_config.NumberColumn(format="%.3f")},
                )
        else:
            column.caption("No head. Lower the threshold to see the nearest ones.")
    st.caption(CHANCE)
