"""The glossary: words by their first letters, and quantities."""

from collections.abc import Sequence
from itertools import groupby

import streamlit as st

from analysis.definitions import Quantity
from app.glossary import Term
from app.text import markdown_text


def draw_letters(terms: Sequence[Term], quantities: Sequence[Quantity]) -> None:
    """The letters that there are words of, each a link to them; they stay in sight."""
    letters = dict.fromkeys(_letter(term) for term in _in_order(terms))
    links = [f"- [{letter}](#letter-{letter.lower()})" for letter in letters]
    links += ["- [Quantities](#quantities)"] if quantities else []
    with st.container(key="contents"):
        st.markdown("\n".join(links))


def draw_words(terms: Sequence[Term]) -> None:
    """Words in the order of the alphabet, with a heading for each letter."""
    for letter, own in groupby(_in_order(terms), _letter):
        st.subheader(letter, anchor=f"letter-{letter.lower()}")
        for term in own:
            st.markdown(f"**{markdown_text(term.name)}** · {markdown_text(term.meaning)}")


def draw_quantities(quantities: Sequence[Quantity]) -> None:
    """Quantities with formula, range and source."""
    st.subheader("Quantities", anchor="quantities")
    for quantity in quantities:
        with st.container(border=True):
            st.markdown(f"**{markdown_text(quantity.name)}** · {markdown_text(quantity.meaning)}")
            st.code(quantity.formula, language=None, wrap_lines=True)
            st.markdown(
                f"Range and unit: {markdown_text(quantity.unit)}.  \n"
                f"Source: {markdown_text(quantity.source)}."
            )


def _in_order(terms: Sequence[Term]) -> list[Term]:
    return sorted(terms, key=lambda term: term.name.casefold())


def _letter(term: Term) -> str:
    return term.name[0].upper()
