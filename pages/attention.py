"""Attention: patterns of the heads of a layer, one head in full, and simple detectors."""

import streamlit as st

from analysis.definitions import PATTERN, SCORES, ScoreName
from analysis.heads import Head
from app import backend, circuitsvis, figures
from app.frame import draw, figure_frame
from app.selection import open_page
from app.sequences import choose_sequence
from app.theme import palette

DETECTORS: tuple[ScoreName, ...] = ("current", "previous", "first")

selection = open_page("attention")
info, theme = selection.info, palette()
tokens = backend.tokens_of(selection)
row = choose_sequence(selection, tokens)
labels = tokens.labels[row]

left, middle, right = st.columns(3)
left.selectbox("Layer", range(info.n_layers), key=selection.key("layer"))
middle.selectbox("Head in full", range(info.n_heads), key=selection.key("head"))
right.slider(
    "Detector threshold",
    0.0,
    1.0,
    step=0.05,
    key=selection.key("threshold"),
    help="A head that scores above it is marked.",
)
layer, focus = selection["layer"], Head(selection["layer"], selection["head"])
pattern = backend.patterns(selection, row, (layer,)).values[0, 0]
scores = backend.scores(selection)


def name(head: int) -> str:
    """A head's label, with what it is marked as."""
    marks = [kind for kind in DETECTORS if scores[kind][layer, head] > selection["threshold"]]
    return " · ".join([Head(layer, head).label, *marks])


shown_tokens = min(len(labels), circuitsvis.MAX_TOKENS)
fitting = circuitsvis.heads_that_fit(len(labels))
# The heads that attend most sharply say most; the one in focus is always among them.
by_sharpness = scores.entropy[layer].argsort().tolist()
by_sharpness.sort(key=lambda head: head != focus.head)
heads = sorted(by_sharpness[:fitting])
reading = "Hover a small picture to see that head, click to keep it. Rows are destinations."
if len(heads) < info.n_heads or shown_tokens < len(labels):
    first_tokens = f" on the first {shown_tokens} tokens" if shown_tokens < len(labels) else ""
    reading += (
        f" {len(labels)} tokens are many for CircuitsVis, so these are {len(heads)} of "
        f"{info.n_heads} heads{first_tokens}: the one in focus and those with the lowest entropy."
    )
with figure_frame(f"Heads of layer {layer}", reading, PATTERN):
    page, height = circuitsvis.attention_heads(
        pattern[heads, :shown_tokens, :shown_tokens],
        labels[:shown_tokens],
        [name(head) for head in heads],
        dark=theme.dark,
    )
    st.iframe(page, height=height, alt=f"Attention patterns of layer {layer}")

with figure_frame(
    f"{focus.label} in full",
    "Each row is a destination and shows where it looks back to; hover a cell for both tokens.",
    PATTERN,
):
    draw(figures.pattern_map(pattern[focus.head], labels, theme), key="pattern")

with figure_frame(
    "Detectors",
    f"Heads whose mean attention to that place is above {selection['threshold']:g}, over all "
    "sequences. Chance is what even attention would score.",
    *(SCORES[kind] for kind in DETECTORS),
):
    for column, kind in zip(st.columns(3), DETECTORS, strict=True):
        found = scores.above(kind, selection["threshold"])
        column.markdown(f"**{SCORES[kind].name}** · chance {scores.chance[kind]:.2f}")
        if found:
            column.dataframe(
                [{"Head": head.label, "Score": value} for head, value in found],
                hide_index=True,
                column_config={"Score": st.column_config.NumberColumn(format="%.3f")},
            )
        else:
            column.caption("No head. Lower the threshold to see the nearest ones.")
