"""Attribution: what the direct path and every head add to the logit of the next token."""

import streamlit as st

from app.compute import calls
from app.frame.clicks import open_more_text
from app.frame.frame import part
from app.pickers.answer import pick_answer_and_foil
from app.pickers.sequence import choose_sequence
from app.sections.attribution import components
from app.sections.attribution.answer import draw_answer
from app.sections.conversation import draw_attribution
from app.sections.sets.page import draw_over_set
from app.shell.page import open_page

selection = open_page("attribution")
if selection.over_set:
    draw_over_set(selection, measure="direct")
    st.stop()
open_more_text(selection)
tokens = calls.tokens_of(selection)
row = choose_sequence(selection, tokens)
pick_answer_and_foil(selection)

with part():
    view = components.AttributionView.of(selection, tokens, row)
    draw_answer(view)
    if selection["input"] == "chat":
        draw_attribution(view.subject, view.position, view.goal)
    components.draw_check(view)
    if view.by_name:
        components.draw_components(view)
    else:
        components.draw_layers(view)
        components.draw_layer(view)
    components.draw_heads(view)
    components.draw_every_position(view)
components.draw_lens(selection, tokens, row)
