"""Escaping: the one place through which text of users, links and tokenizers reaches the screen."""

import html
import json
import unicodedata
from itertools import pairwise

import pytest

from app.text import (
    display_token,
    escape_html,
    inert_html,
    markdown_text,
    plotly_text,
    script_json,
    short_token,
    within,
)
from tests.hostile import HOSTILE


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (" cat", "·cat"),
        ("cat", "cat"),
        ("\n", "↵"),
        ("\t\r", "⇥␍"),
        ("\x00", "\\x00"),
        ("\u202e", "\\u202e"),
        ("\u2028", "\\u2028"),
        ("\u00a0", "\\xa0"),
        ("\u0301", "◌\u0301"),
        ("é", "é"),
        ("日本", "日本"),
        ("", ""),
    ],
)
def test_a_token_shows_as_one_visible_line(token: str, shown: str) -> None:
    assert display_token(token) == shown


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_shown_holds_no_invisible_or_reordering_character(text: str) -> None:
    shown = display_token(text)
    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp", "Cs"}]


def test_tokens_that_differ_in_white_space_look_different() -> None:
    shown = [display_token(token) for token in ("cat", " cat", "  cat", "cat\n", "cat\t")]
    assert len(set(shown)) == len(shown)


def test_a_short_token_is_cut_with_an_ellipsis() -> None:
    assert short_token("a" * 12) == "a" * 12
    assert short_token("a" * 13) == "a" * 11 + "…"


@pytest.mark.parametrize("text", HOSTILE)
def test_html_holds_no_markup_and_reads_back_as_the_text(text: str) -> None:
    escaped = escape_html(text)
    assert not set("<>\"'") & set(escaped)
    assert html.unescape(escaped) == text or "\x00" in text


@pytest.mark.parametrize("text", HOSTILE)
def test_inert_text_reads_the_same_as_html_and_as_text(text: str) -> None:
    """CircuitsVis puts one string into the page as HTML and as text."""
    inert = inert_html(text)
    assert inert.replace("\u2060", "") == text
    # What follows `<` or `&` decides whether markup begins; nothing else can begin it.
    assert all(after == "\u2060" for mark, after in pairwise(inert) if mark in "<&")
    assert not inert or inert[-1] not in "<&"
    assert html.unescape(inert) == inert or set("\x00\x01\x1b") & set(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_script_json_cannot_close_its_element_and_reads_back_as_the_value(text: str) -> None:
    value = {"tokens": [text, text], text: 1}
    encoded = script_json(value)
    assert not set("<>&'\u2028\u2029") & set(encoded)
    assert json.loads(encoded) == value


def test_script_json_refuses_what_json_cannot_hold() -> None:
    with pytest.raises(ValueError, match="JSON"):
        script_json([float("nan")])


@pytest.mark.parametrize("text", HOSTILE)
def test_plotly_text_holds_no_tag_and_no_formula(text: str) -> None:
    encoded = plotly_text(text)
    assert not set("<>$") & set(encoded)
    assert html.unescape(encoded) == text or "\x00" in text or "\x1b" in text


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_text_leaves_nothing_to_render(text: str) -> None:
    encoded = markdown_text(text)
    assert not set("<>[]()*_`$:\\") & set(encoded.replace("&#", "")) - set(";&#")


@pytest.mark.parametrize(
    ("error", "said"),
    [(0.0, "exactly"), (3.81e-06, "within 0.000004 logits"), (0.02, "within 0.02 logits")],
)
def test_how_far_two_ways_agree_is_said_in_plain_figures(error: float, said: str) -> None:
    """0.0e+00 logits, it said."""
    assert within(error) == said
