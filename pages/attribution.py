"""Attribution: what the direct path and every head add to the logit of the next token."""

import streamlit as st

from app.compute import calls
from app.frame.frame import part
from app.pickers.answer import pick_answer_and_foil
from app.pickers.sequence import choose_sequence
from app.sections import attribution
from app.sections.sets.page import draw_over_set
from app.shell.page import open_page

selection = open_page("attribution")
if selection.over_set:
    draw_over_set(selection, measure="direct")
    st.stop()
tokens = calls.tokens_of(selection)
row = choose_sequence(selection, tokens)
pick_answer_and_foil(selection)

with part():
    view = attribution.AttributionView.of(selection, tokens, row)
    attribution.draw_check(view)
    if view.by_name:
        attribution.draw_components(view)
    else:
        attribution.draw_layers(view)
        attribution.draw_layer(view)
    attribution.draw_heads(view)
    attribution.draw_every_position(view)
attribution.draw_lens(selection, tokens, row)
