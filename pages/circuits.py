"""Circuits: what heads read, write and look for, computed from their weights alone."""

import streamlit as st

from app.frame.clicks import open_head
from app.pickers.heads import focus_head, pick_head, writer_head
from app.sections import circuits as circuit_views
from app.shell.page import open_page

selection = open_page("circuits")
circuit_views.draw_copying(selection)
circuit_views.draw_ov(selection)

reader = focus_head(selection)
writer = writer_head(selection, reader)
focus, earlier = st.columns(2, border=True)
with focus:
    pick_head(selection, "Head in focus", reader)
    st.caption("By default the strongest induction head. Everything below is about it.")
    open_head(selection, reader)
with earlier:
    pick_head(selection, "Earlier head", writer, "2")
    st.caption("By default the strongest previous-token head. QK below shows what it offers.")
    open_head(selection, writer, role="earlier")

circuit_views.draw_eigenvalues(selection, reader)
circuit_views.draw_directions(selection, reader)
circuit_views.draw_positions(selection, writer)
circuit_views.draw_k_composition(selection, writer, reader)
circuit_views.draw_token(selection, reader)
circuit_views.draw_factored(selection, reader)
