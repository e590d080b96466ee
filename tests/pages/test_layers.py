"""The played pass on its page: heads that are off, one position, and what is too long."""

from analysis.head import Head
from analysis.logits.lens import logit_lens
from analysis.models.loading import load_model
from analysis.runs.inputs import tokenize
from app.text import display_token
from tests.pages.frames import Frames, frames_of
from tests.pages.test_attribution import captions
from tests.pages.test_pages import Open, address, expect_well, open_at, said

__all__ = ["frames_of", "open_at"]

PROMPT = "The cat sat on the mat. The cat sat on the"
VIEW = {"model": "gelu-4l", "prompt": PROMPT, "input": "prompt", "position": "5"}


def test_the_table_has_the_guesses_after_each_layer_without_the_heads(frames_of: Frames) -> None:
    (frame,) = frames_of("layers", **VIEW, off="L1H2,L0H3")
    model = load_model("gelu-4l", device="cpu")
    tokens = tokenize(model, PROMPT)
    lens = logit_lens(model, tokens, without=[Head(0, 3), Head(1, 2)])
    rows = list(frame.exhibits[0].table().rows())
    assert [row[0] for row in rows[::5]] == list(lens.labels)
    found = [float(row[3]) for row in rows]
    assert max(abs(found - lens.top_probs[0, :, 5].reshape(-1))) < 1e-6
    last = display_token(model.tokenizer.decode([lens.top_ids[0, -1, 5, 0]]))
    assert rows[-5][2] == last


def test_what_the_model_says_without_heads_stands_beside_what_it_says(open_at: Open) -> None:
    app = open_at("layers", **VIEW, off="L1H2,L9H9")
    expect_well(app)
    assert any("no head L9H9 to switch off" in each for each in said(app))
    assert "without L1H2 it says" in captions(app)
    next(button for button in app.button if button.label == "Switch all on").click().run()
    expect_well(app)
    assert "off" not in address(app)
    assert "it says" not in captions(app)


def test_a_text_that_is_too_long_to_play_is_refused(open_at: Open) -> None:
    app = open_at("layers", model="gelu-4l", input="prompt", prompt="The cat sat. " * 90)
    expect_well(app)
    shown = " ".join([*said(app), *(error.value for error in app.error)])
    assert "a pass is played on at most 256" in shown
