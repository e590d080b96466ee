"""Attention: patterns of all heads, or of one layer in CircuitsVis; simple detectors."""

import numpy as np
import streamlit as st

from analysis.definitions import (
    CHANCE,
    CHANCE_BOTH_WAYS,
    ENCODER_SCORES,
    SCORES,
    TARGETED,
    ScoreName,
)
from analysis.head import Head
from app.compute import calls
from app.frame.clicks import open_head, open_more_text
from app.frame.frame import part
from app.frame.layout import controls
from app.links.session import widget_key
from app.pickers.heads import telling_head
from app.pickers.sequence import choose_sequence
from app.pickers.weighting import pick_weighting
from app.sections.attention import draw_grid, draw_who_attends
from app.sections.circuitsvis import draw_circuitsvis
from app.sections.conversation import draw_attention
from app.sections.detectors import draw_detectors
from app.sections.encoders import encoder_marks, note_texts
from app.sections.sets.page import draw_over_set
from app.shell.page import open_page
from app.shell.visitors import show_picture_first

DETECTORS: tuple[ScoreName, ...] = ("current", "previous", "first")

selection = open_page("attention")
if selection.over_set:
    draw_over_set(selection, measure="attention")
    st.stop()
selection = telling_head(selection)
tokens = calls.tokens_of(selection)
if selection.info.bidirectional:
    note_texts(tokens)
    found = calls.encoder_scores(selection)
    marks = encoder_marks(found)
    with part():
        selection = draw_grid(selection, 0, tokens.labels[0], found.known, marks)
        show_picture_first()
        draw_who_attends(selection, 0, tokens.labels[0])
    open_head(selection, Head(selection["layer"], selection["head"]))
    draw_detectors(
        selection,
        found,
        {name: ENCODER_SCORES[name] for name in marks},
        CHANCE_BOTH_WAYS,
        "; they are marked in the pictures. Tokens look both ways, so chance is that of attention "
        "spread over all tokens.",
    )
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
with part():
    if selection["view"] == "grid":
        selection = draw_grid(selection, row, labels, known, TARGETED)
        show_picture_first()
        draw_who_attends(selection, row, labels)
    else:
        draw_circuitsvis(selection, row, labels, scores, DETECTORS)
open_head(selection, Head(selection["layer"], selection["head"]))
open_more_text(selection)
if selection["input"] == "chat":
    draw_attention(selection)

draw_detectors(
    selection,
    scores,
    {kind: SCORES[kind] for kind in DETECTORS},
    CHANCE,
    ", over all sequences; they are marked in the pictures.",
)
