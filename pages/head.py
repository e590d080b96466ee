"""Head: everything about the head in focus, on one page."""

import streamlit as st

from app.compute import calls
from app.frame.clicks import open_head, open_more_text
from app.frame.frame import part
from app.frame.layout import beside
from app.pickers.cell import cell_of
from app.pickers.heads import telling_head
from app.pickers.sequence import choose_sequence
from app.sections.encoders import draw_head
from app.sections.head import on_input as dossier
from app.sections.head import weights as dossier_weights
from app.sections.head.contents import draw_contents, draw_own_name
from app.sections.head.passport import PassportPlace
from app.shell.page import open_page

selection = telling_head(open_page("head"))
dossier.choose_head(selection)
tokens = calls.tokens_of(selection)
if selection.info.bidirectional:
    draw_head(selection, tokens)
    st.stop()
view = dossier.HeadView.of(selection, tokens, choose_sequence(selection, tokens))
draw_contents(view.head)
draw_own_name(selection.info.name, view.head)
passport = PassportPlace.begin(view)

cell = cell_of(selection, view.pattern)
picture, numbers = beside("dossier", 470, 300)
with picture, part():
    dossier.draw_pattern(view, cell)
with numbers:
    dossier.draw_scores(view)
    open_head(selection, view.head, "finder")
    open_head(selection, view.head, "attention")
    open_more_text(selection, view.head)
dossier.draw_split(view, cell)
dossier.draw_logits(view)
dossier.draw_ablation(view)
dossier_weights.draw_circuits(view, src=cell[1])
dossier_weights.draw_partners(view)
passport.finish()
