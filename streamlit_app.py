"""Entry point: declares the pages and runs the one that the address names."""

import streamlit as st

from analysis.models.catalog import list_models
from app.compute.server import current_server
from app.shell.navigation import ICON, run_selected_page, take_view_along
from app.shell.visitors import draw_in_turn

st.set_page_config(
    page_title=current_server().config.title,
    page_icon=str(ICON),
    layout="wide",
    # A slide or a post has no room for it; one click brings it back.
    initial_sidebar_state="collapsed" if st.context.is_embedded else "auto",
)
take_view_along()
draw_in_turn(run_selected_page)
# Last: the page is on screen before torch and TransformerLens are imported.
current_server().warm_up(list_models()[0].name)
