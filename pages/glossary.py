"""Glossary: the words on the screen and the definition of every quantity."""

import streamlit as st

from app.glossary import find_terms
from app.links.session import widget_key
from app.shell.page import open_page
from app.text import markdown_text

selection = open_page("glossary")
st.text_input("Find a word", key=widget_key(selection, "term"), max_chars=60, width=360)
terms, quantities = find_terms(selection["term"])
if not terms and not quantities:
    st.info("No entry holds that. Try a shorter word, or empty the field to see all.")
if terms:
    st.subheader("Words", anchor=False)
    for term in terms:
        st.markdown(f"**{markdown_text(term.name)}** · {markdown_text(term.meaning)}")
if quantities:
    st.subheader("Quantities", anchor=False)
    for quantity in quantities:
        with st.container(border=True):
            st.markdown(f"**{markdown_text(quantity.name)}** · {markdown_text(quantity.meaning)}")
            st.code(quantity.formula, language=None, wrap_lines=True)
            st.markdown(
                f"Range and unit: {markdown_text(quantity.unit)}.  \n"
                f"Source: {markdown_text(quantity.source)}."
            )
