"""Mosaic: one score of every head of every model that is here."""

import streamlit as st

from analysis.definitions import CHANCE, SCORES
from analysis.models.catalog import available_models
from app.compute import calls
from app.frame.frame import figure_frame
from app.links.session import choose
from app.pickers.score import choose_score
from app.sections.mosaic import choose_models, draw_models, of_model
from app.shell.other_models import draw_other_models
from app.shell.page import open_page
from app.text import display_token

selection = open_page("mosaic")
name = SCORES[selection["score"]].name

with st.container(horizontal=True):
    choose_score(selection)
    decoders = [info for info in available_models() if not info.bidirectional]
    infos = choose_models(selection, decoders)
draw_other_models(lambda name: choose(model=name))
if not infos:
    st.text(f"No model of the family {display_token(selection['family'])} is on this machine.")
    st.stop()
known = calls.mosaic(infos)
waiting = any(found is None for found in known.values())
with figure_frame(
    of_model(selection, infos[0]),
    f"{name} of every head of every model",
    "One map for each model, layers downwards, all on random tokens repeated (seed 0) and in the "
    "same colours.",
    SCORES[selection["score"]],
    acts="Click a cell to open that head.",
):
    # By itself, so that the maps of other models do not flicker while one is computed.
    st.fragment(draw_models, run_every=1.0 if waiting else None)(selection, infos, waiting)
    left_out = " Encoders are left out, which have no repeated tokens."
    st.caption(f"{CHANCE}{left_out * (len(decoders) < len(available_models()))}")
