"""Links, QR codes, code for other pages, and view files."""

import json
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import pytest

from app.links import parameters
from app.links.link import parse_link
from app.shell import share
from app.shell.share import (
    MAX_FILE,
    MAX_QR,
    UnreadableView,
    iframe_code,
    qr_code,
    read_view_file,
    view_file,
    view_link,
)


@pytest.mark.parametrize(
    ("seen", "link"),
    [
        ("https://heads.example.org/induction", "https://heads.example.org/head?layer=1&head=4"),
        ("https://heads.example.org/", "https://heads.example.org/head?layer=1&head=4"),
        ("https://host.example/lab/heads/", "https://host.example/lab/heads/head?layer=1&head=4"),
        ("https://host.example/lab/tokens", "https://host.example/lab/head?layer=1&head=4"),
        ("javascript:alert(1)", "/head?layer=1&head=4"),
        ("", "/head?layer=1&head=4"),
    ],
)
def test_a_link_begins_with_the_address_that_the_browser_shows(monkeypatch, seen, link):
    monkeypatch.setattr("app.shell.share.st.context", type("Context", (), {"url": seen}))
    assert view_link("head", {"layer": "1", "head": "4"}) == link


def test_embed_code_is_one_element_with_the_whole_link():
    found = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):  # noqa: ANN001
            found.append((tag, dict(attrs)))

    Parser().feed(iframe_code('http://h/head?prompt="><script>', '"><b>'))
    ((tag, attributes),) = found
    assert tag == "iframe"
    assert attributes["src"] == 'http://h/head?prompt="><script>&embed=true'
    assert attributes["title"] == '"><b>'


def test_a_qr_code_is_drawn_for_links_that_fit():
    assert (qr_code("http://h/" + "a" * (MAX_QR - 9)) or "").startswith("<svg")
    assert qr_code("http://h/" + "ü" * MAX_QR) is None


def test_a_view_file_gives_the_same_view_whatever_its_length():
    prompt = "the sea " * 1000
    page, link = read_view_file(view_file("tokens", {"prompt": prompt, "bos": "0"}))
    values, notes = parse_link(page, link, from_file=True)
    assert (page, values, notes) == ("tokens", {"prompt": prompt, "bos": False}, [])
    assert parse_link(page, link)[1], "a link does not take so long a prompt"


def test_every_text_that_can_be_too_long_for_a_link_has_a_name():
    assert set(share._NAMES) == set(parameters.PROMPTS)


def test_values_of_a_view_file_are_checked_like_those_of_a_link():
    page, link = read_view_file(view_file("tokens", {"length": "-5", "prompt": "x" * 20_001}))
    values, notes = parse_link(page, link, from_file=True)
    assert values == {}
    assert len(notes) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        rb'{"format": "headscope-view", "page": "tokens", "view": {"prompt": "\ud800"}}',
        b'{"page": "tokens", "view": {}}',
        json.dumps({"format": "headscope-view", "page": "../x", "view": {}}).encode(),
        json.dumps({"format": "headscope-view", "page": ["tokens"], "view": {}}).encode(),
        json.dumps({"format": "headscope-view", "page": "tokens", "view": [1]}).encode(),
        b" " * (MAX_FILE + 1),
    ],
)
def test_what_is_no_view_is_refused_with_a_sentence(data):
    with pytest.raises(UnreadableView, match="no view|not a view|not here"):
        read_view_file(data)


@pytest.mark.parametrize("last", [*"._~)'!?-", "a."])
def test_a_link_ends_in_no_sign_that_chat_programs_drop(last):
    """“The cat sat on the mat.” came back without its dot, and with a token less."""
    link = view_link("tokens", {"prompt": f"the mat{last}"})
    assert link[-1].isalnum()
    assert parse_qs(urlsplit(link).query) == {"prompt": [f"the mat{last}"]}
