"""Composition: which heads read which, by weights, by activations and by silencing them."""

import streamlit as st

from app.frame.clicks import open_head
from app.pickers.heads import focus_head, pick_head, writer_head
from app.sections import composition as composition_views
from app.shell.page import open_page

selection = open_page("composition")
reader = focus_head(selection)
writer = writer_head(selection, reader)
later, earlier = st.columns(2, border=True)
with later:
    pick_head(selection, "Later head", reader)
    st.caption("By default the strongest induction head. The sections below are about it.")
    open_head(selection, reader)
with earlier:
    pick_head(selection, "Earlier head", writer, "2")
    st.caption("By default the strongest previous-token head before it.")
    open_head(selection, writer, role="earlier")

composition_views.draw_pairs(selection, writer, reader)
composition_views.draw_targeted(selection, reader)
composition_views.draw_decomposition(selection, reader)
