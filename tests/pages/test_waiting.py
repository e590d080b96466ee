"""Work that begins by itself: what is shown instead once it is cancelled."""

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
