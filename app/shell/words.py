"""Words that lead to the glossary: what they mean where they stand, and their entry in this tab."""

from app.glossary import DEFINITIONS, TERMS
from app.links.selection import Selection
from app.links.session import choose, link_from_here
from app.shell.navigation import leave_for
from app.shell.scripts import script_component

_MEANINGS = {term.name: term.meaning for term in TERMS}
_ENTRIES = {*_MEANINGS, *(quantity.name for quantity in DEFINITIONS)}


def explain_words(selection: Selection) -> None:
    """Show a card beside a word that is pointed at, and go to the entry of one that is clicked."""
    # The callback has nothing to do: what a component reports runs the page.
    reported = script_component("explain_words")(
        key="headscope.words", data={"words": _MEANINGS}, on_word_change=lambda: None
    )
    if reported.word in _ENTRIES:  # a browser may send anything
        choose(term=reported.word)
        values = {**selection.values, "term": reported.word}
        leave_for("glossary", link_from_here("glossary", values))
