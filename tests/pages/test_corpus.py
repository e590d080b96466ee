"""The page of texts: the shipped text at once, a visitor's own with progress, and bad files."""

import time
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from analysis.errors import AnalysisError
from analysis.heads.corpus.fetch import Fetched
from app.compute.server import Server
from app.compute.texts import MAX_TEXT_BYTES, Text, fetch_text, read_text_file
from app.config import Config
from app.sections.corpus import source
from tests.pages.test_pages import Open, address, charts, expect_well, open_at, said

__all__ = ["open_at"]


def headings(app: AppTest) -> list[str]:
    return [heading.value.replace("&#45;", "-").replace("&#44;", ",") for heading in app.subheader]


def named(app: AppTest, word: str) -> bool:
    """Whether the text that is read has such a name."""
    return any(each.value.startswith(f"**{word}") for each in app.markdown)


@pytest.mark.parametrize("model", ["attn-only-2l", "gelu-4l"])
def test_the_shipped_text_is_known_at_once(open_at: Open, model: str) -> None:
    app = open_at("corpus", model=model, layer="1", head="4")
    expect_well(app)
    assert said(app) == []
    assert charts(app) == 3
    assert "Where L1H4 acts most" in headings(app)
    assert named(app, "Treasure")
    assert not app.get("progress")
    assert [m for m in app.markdown if m.value.startswith("Induction: **")]


def test_an_order_is_in_the_link_and_losses_are_measured_for_it(open_at: Open) -> None:
    app = open_at("corpus", model="gelu-4l", layer="3", head="1", order="loss")
    expect_well(app)
    assert address(app)["order"] == "loss"
    assert charts(app) == 3


def test_a_text_of_ones_own_is_read_with_progress(open_at: Open) -> None:
    app = open_at("corpus", layer="1", head="4")
    text = "The captain took the map, and the boy took the lantern. " * 200
    app.session_state[source._OWN] = Text("mine <b>.txt", (text,))
    deadline = time.monotonic() + 60
    app.run()
    while app.get("progress") and time.monotonic() < deadline:
        time.sleep(0.5)
        app.run()
    expect_well(app)
    assert not app.get("progress")
    assert charts(app) == 3
    assert named(app, "mine")
    app.button(key="back").click().run()
    assert named(app, "Treasure")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.txt", b"", "holds no text"),
        ("a.txt", b" \n\t", "holds no text"),
        ("a.txt", b"abc\xff", "Byte 4 of the file is no UTF-8 text"),
        ("a.txt", b"abc\x00d", "Character 4 of the file is NUL"),
        ("a.txt", b"a" * (MAX_TEXT_BYTES + 1), "at most 20 are read"),
        ("a.jsonl", b"", "No line of the file holds a text"),
        ("a.jsonl", b"{", "Line 1: it is not JSON"),
        ("a.jsonl", b"\n[1]", "Line 2: it holds no text"),
        ("a.jsonl", b"[" * 100_000, "Line 1: it is not JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(
    name: str, data: bytes, said: str
) -> None:
    with pytest.raises(AnalysisError, match=said):
        read_text_file(name, data)


def test_good_lines_of_a_file_are_read_and_the_others_counted() -> None:
    lines = ['{"text": "One."}', "nonsense", '"Two.\\u2028"', '{"text": 3}', '{"body": "=1+1"}']
    text, left_out = read_text_file("a.jsonl", "\r\n".join(lines).encode())
    assert text.parts == ("One.", "Two.\u2028", "=1+1")
    assert left_out == "2 lines were left out; the first is line 2: it is not JSON."
    plain, left_out = read_text_file("\u202e.txt", b"\xef\xbb\xbfOne\r\n")
    assert (plain.parts, left_out) == (("One\r\n",), "")
    assert plain.digest != text.digest
    assert Text("a", ("x", "y")).digest != Text("a", ("xy",)).digest


@pytest.mark.parametrize("allowed", [True, False])
def test_a_data_set_is_fetched_by_its_name_where_downloads_are_allowed(
    open_at: Open, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    """Without any network: what would be fetched is made here."""
    server = Server(replace(Config(), downloads=allowed))
    texts = ("The captain took the map. " * 60, "The boy took the lantern. " * 60)
    monkeypatch.setattr(
        "app.compute.texts.fetch_texts", lambda name, progress: Fetched(name, "train", texts)
    )
    with server.used():
        if not allowed:
            with pytest.raises(AnalysisError, match="fetches nothing"):
                fetch_text("one/set", lambda done, total: None)
            return
        text = fetch_text("one/set", lambda done, total: None)
        assert (text.name, text.parts) == ("one/set, its first 2 texts (train)", texts)
        with server.fetching, pytest.raises(AnalysisError, match="another data set"):
            fetch_text("one/set", lambda done, total: None)
    monkeypatch.setattr("app.sections.corpus.source.current_server", lambda: server)
    monkeypatch.setattr("app.compute.texts.current_server", lambda: server)
    app = open_at("corpus", layer="1", head="4")
    next(f for f in app.text_input if "Hugging Face" in f.label).set_value("one/set")
    next(button for button in app.button if button.label == "Fetch its first texts").click().run()
    assert named(app, "one")
    assert not app.exception


def test_a_server_that_fetches_nothing_offers_no_data_set(
    open_at: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(Config())
    monkeypatch.setattr("app.sections.corpus.source.current_server", lambda: server)
    app = open_at("corpus", layer="1", head="4")
    expect_well(app)
    assert not [f for f in app.text_input if "Hugging Face" in f.label]
