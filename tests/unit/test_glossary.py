"""The glossary: every definition is in it, and words lead to it without rendering anything."""

import re
from urllib.parse import unquote

import pytest

from analysis.definitions import ABLATION, COPYING, SCORES
from app.glossary import DEFINITIONS, TERMS, find_terms, linked
from tests.hostile import HOSTILE


def test_every_quantity_and_the_words_of_the_screen_are_in_it() -> None:
    assert {ABLATION, COPYING, *SCORES.values()} <= set(DEFINITIONS)
    names = [term.name for term in TERMS]
    assert len(set(names)) == len(names)
    assert {"destination (query)", "source (key)", "z", "resid_pre", "OV", "BOS"} <= set(names)


def test_a_word_is_linked_once_and_the_longest_form_wins() -> None:
    text = linked("An induction head rests; induction heads copy. Sources, z and BOS.")
    found = re.findall(r"\[([^\]]+)\]\(glossary\?term=([^)]+)\)", text)
    assert [(shown, unquote(name)) for shown, name in found] == [
        ("induction head", "induction head"),
        ("Sources", "source (key)"),
        ("z", "z"),
        ("BOS", "BOS"),
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_sentence_quotes_stays_text(text: str) -> None:
    rendered = linked(f"“{text}” and a pattern")
    rest = re.sub(r"\[[\w&#; -]+\]\(glossary\?term=[\w%.-]+\)", "", rendered)
    assert not set("<>`*_$[]") & set(rest)


def test_every_name_that_is_linked_finds_its_entry() -> None:
    for term in TERMS:
        assert term in find_terms(term.name)[0]
    for quantity in DEFINITIONS:
        assert quantity in find_terms(quantity.name)[1]
    assert find_terms("no such word at all") == ([], [])
