"""A conversation as the input: on every page, in its link, and where there is none to be had."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from analysis.models import catalog
from app.frame.snippets import snippet
from tests.chat_models import CHAT_ML, MODEL_TURNS, save_chat
from tests.hostile import SCRIPTS
from tests.pages.frames import Frames, frames_of
from tests.pages.test_pages import (
    INPUT_PAGES,
    Open,
    address,
    charts,
    expect_well,
    head_tables,
    open_at,
    said,
)

__all__ = ["frames_of", "open_at"]

TALK = "system: The cat sat.\nuser: Who sat?\nassistant: The cat"
CHAT = {"model": "toy-chat", "input": "chat", "chat": TALK}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat")
    save_chat(folder, "toy-chat", CHAT_ML)
    save_chat(folder, "toy-endless", "{% for i in range(9**5) %}{% endfor %}{{ 'a' * 9**9 }}")
    save_chat(folder, "toy-model", MODEL_TURNS)
    return folder


@pytest.fixture(autouse=True)
def models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HEADSCOPE_MODELS", str(folder))
    catalog.refresh()
    yield
    catalog.refresh()


@pytest.mark.parametrize("name", INPUT_PAGES)
def test_a_page_works_on_a_conversation(open_at: Open, name: str) -> None:
    app = open_at(name, **CHAT)
    expect_well(app)
    assert [each for each in said(app) if "rotary positions" not in each] == []
    assert app.text_area(key="view.chat").value == TALK
    assert charts(app) or app.main.dataframe or head_tables(app)
    # A wrong turn is said in one sentence, and the conversation stays to be mended.
    app.text_area(key="view.chat").set_value("The cat sat.").run()
    expect_well(app)
    assert address(app)["chat"] == "The cat sat."
    shown = " ".join([*said(app), *(error.value for error in app.error)])
    assert "made of turns" in shown


def test_each_token_says_whose_it_is(frames_of: Frames) -> None:
    rows = next(
        exhibit.table()
        for frame in frames_of("tokens", **CHAT)
        for exhibit in frame.exhibits
        if exhibit.name == "tokens"
    )
    speakers = [row[list(rows.columns).index("Speaker")] for row in rows.rows()]
    words = [row[list(rows.columns).index("Token")] for row in rows.rows()]
    of_user = [word for word, whose in zip(words, speakers, strict=True) if whose == "User"]
    assert "".join(of_user) == "Who·sat?"
    assert set(speakers) == {"System", "User", "Answer", "Template"}


@pytest.mark.parametrize(
    ("page", "title"),
    [("attention", "Whom does the answer read?"), ("attribution", "From whom do heads have it?")],
)
def test_the_code_of_a_figure_by_speaker_gives_its_numbers(
    frames_of: Frames, page: str, title: str
) -> None:
    frame = next(each for each in frames_of(page, **CHAT, speaker="user") if each.title == title)
    names: dict[str, object] = {"print": lambda *_: None}
    code = snippet(frame.quantities, frame.subject)
    assert code
    exec(code, names)
    found = np.asarray(names["result"])
    table = next(e.table() for e in frame.exhibits if "Template" in e.table().columns)
    for row in table.rows():
        layer, head = row[0][1:].split("H")
        shown = [row[list(table.columns).index(n)] for n in ("System", "User", "Answer")]
        np.testing.assert_allclose(shown, found[int(layer), int(head), :3], atol=2e-5)


def test_a_model_without_a_template_has_no_such_input(open_at: Open) -> None:
    """The conversation stays chosen, for when the model has one again."""
    app = open_at("tokens", **{**CHAT, "model": "gelu-4l"})
    expect_well(app)
    assert said(app) == ["⚠ GELU, 4 layers has no chat template, so this is about a prompt."]
    assert app.segmented_control(key="view.input").options == ["Prompt", "Repeated tokens"]
    app.selectbox(key="view.model").set_value("toy-chat").run()
    assert app.segmented_control(key="view.input").value == "chat"
    assert app.text_area(key="view.chat").value == TALK


def test_what_a_template_does_wrong_is_one_sentence(open_at: Open) -> None:
    app = open_at("tokens", **{**CHAT, "model": "toy-endless"})
    expect_well(app)
    shown = " ".join([*said(app), *(error.value for error in app.error)])
    assert "The chat template of toy-endless takes more" in shown
    app = open_at("tokens", **{**CHAT, "model": "toy-model"})
    shown = " ".join([*said(app), *(error.value for error in app.error)])
    assert "System role not supported" in shown


def test_hostile_text_in_a_turn_is_shown_as_text(open_at: Open) -> None:
    app = open_at("tokens", **{**CHAT, "chat": f"user: {' '.join(SCRIPTS)[:1400]}"})
    expect_well(app)
    assert not any("<script" in block.value for block in app.markdown)
