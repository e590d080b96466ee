"""Ablation: how much the loss rises when the output of heads is replaced."""

import streamlit as st

from app.frame.clicks import open_more_text
from app.frame.frame import part
from app.pickers.method import choose_method
from app.sections.ablation.circuit import draw_input_circuit
from app.sections.ablation.joint import draw_pairs, draw_together
from app.sections.ablation.kept import draw_keep_only
from app.sections.ablation.offsets import draw_offsets
from app.sections.ablation.repeats import draw_repeats
from app.sections.ablation.subject import AblationView
from app.sections.ablation.sweep import draw_sweep
from app.sections.encoders import draw_masked_ablation
from app.sections.sets.page import draw_over_set
from app.shell.page import open_page

selection = open_page("ablation")
if selection.over_set:
    draw_over_set(selection, measure="ablation")
    st.stop()
if selection.info.bidirectional:
    draw_masked_ablation(selection)
    st.stop()
open_more_text(selection)
view = AblationView.of(selection)
choose_method(selection, "What a head's output is replaced by")
effects = None
with part():
    effects = draw_sweep(view)
    draw_together(view)
    draw_pairs(view, effects)
draw_keep_only(view, effects)
draw_offsets(view)
draw_repeats(view)
draw_input_circuit(view)
