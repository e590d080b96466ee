"""Patching: what brings a clean prompt's answer back, and the circuit that carries it."""

import streamlit as st

from app.frame.clicks import open_more_text
from app.sections.patching.circuit import draw_pair_circuit
from app.sections.patching.exact import draw_exact, draw_overview
from app.sections.patching.paths import draw_paths, note_no_paths
from app.sections.patching.prompts import draw_prompts
from app.sections.sets.page import draw_over_set
from app.shell.page import open_page

selection = open_page("patching")
if selection.over_set:
    draw_over_set(selection, measure="patching")
    st.stop()
encoder = selection.info.bidirectional
if not encoder:
    open_more_text(selection)
view = draw_prompts(selection)
if view:
    draw_overview(view)
    draw_exact(view)
if view and encoder:
    note_no_paths()
elif view:
    draw_paths(view)
    draw_pair_circuit(view)
