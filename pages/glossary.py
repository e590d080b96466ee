"""Glossary: the words on the screen and the definition of every quantity."""

import streamlit as st

from app.glossary import find_terms
from app.links.session import widget_key
from app.sections.glossary import draw_letters, draw_quantities, draw_words
from app.shell.page import open_page

selection = open_page("glossary")
st.text_input("Find a word", key=widget_key(selection, "term"), max_chars=60, width=360)
terms, quantities = find_terms(selection["term"])
if not terms and not quantities:
    st.info("No entry holds that. Try a shorter word, or empty the field to see all.")
if not selection["term"]:
    draw_letters(terms, quantities)
if terms:
    draw_words(terms)
if quantities:
    draw_quantities(quantities)
