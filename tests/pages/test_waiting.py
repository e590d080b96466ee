"""Work that begins by itself: what is shown instead once it is cancelled."""

from threading import Event

import pytest

from analysis.models.catalog import find_model
from analysis.models.info import ModelInfo
from analysis.models.loading import HeadModel
from app.compute.server import current_server
from tests.pages.test_pages import Open, expect_well, open_at
from tests.pages.test_sets import FEW, titles, words

__all__ = ["open_at"]


def test_what_is_cancelled_is_said_and_the_rest_of_the_page_stays(open_at: Open) -> None:
    app = open_at("sets", measure="ablation", **FEW)
    view = app.session_state["headscope.selection"].shown
    app.session_state["stopped: Every head on 4 prompts attn-only-2l"] = tuple(view.items())
    app.run()
    expect_well(app)
    assert "“Every head on 4 prompts” was cancelled" in words(app)
    assert titles(app) == ["The set"]
    next(button for button in app.button if button.label == "Continue").click().run()
    assert titles(app)[0] == "Ablation effect: every head"
    # Another question is not the one that was cancelled.
    app.session_state["stopped: Every head on 4 prompts attn-only-2l"] = tuple(view.items())
    app.selectbox(key="view.measure").set_value("direct").run()
    assert titles(app)[0] == "Direct effect on the answer: every head"


def test_who_does_not_wait_for_a_model_is_told_so_and_may_wait_again(
    open_at: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load cannot be broken off, so its visitor leaves, and it goes on for the next one."""
    models, may_end = current_server().models, Event()
    load, other = models._load, find_model("attn-only-2l@1221")

    def slow(info: ModelInfo) -> HeadModel:
        assert may_end.wait(60)
        return load(info)

    app = open_at("attention")
    monkeypatch.setattr(models, "_load", slow)
    app.session_state["headscope.no longer"] = other.title
    app.query_params["model"] = other.name
    app.run()
    expect_well(app)
    assert f"“Loading {other.title}” was cancelled" in words(app)
    may_end.set()
    next(button for button in app.button if button.label == "Continue").click().run()
    expect_well(app)
    assert titles(app)[0] == "Every head"
