"""Weighted patterns on pages: the link says which, and what is refused leaves the page usable."""

import numpy as np
import pytest

from analysis.head import Head
from analysis.logits.attribution import logit_attribution
from analysis.models.loading import load_model
from analysis.runs.inputs import tokenize
from tests.pages.frames import Frames, frames_of
from tests.pages.test_cells import ranking
from tests.pages.test_pages import Open, address, expect_well, open_at, said, text_of
from tests.snippets import exported

__all__ = ["frames_of", "open_at"]

TEXT = "The cat sat on the mat. The cat sat on the dog."


def test_the_files_of_a_row_sum_to_the_heads_attribution(frames_of: Frames) -> None:  # noqa: F811
    """What a person takes along of the answer-weighted grid, against attribution by head."""
    frames = frames_of("attention", prompt=TEXT, weighting="answer", answer=" the", foil=" a")
    (every,) = [frame for frame in frames if frame.title == "Every head"]
    rows = [row for row in every.exhibits[0].table().rows() if str(row[1]).startswith("7 ")]
    model = load_model("attn-only-2l")
    ids = [model.tokenizer.encode(text, add_special_tokens=False)[0] for text in (" the", " a")]
    whole = logit_attribution(model, tokenize(model, TEXT), *ids)
    for head in (Head(0, 3), Head(1, 4)):
        found = sum(float(row[3]) for row in rows if row[0] == head.label)  # type: ignore[arg-type]
        assert found == pytest.approx(whole.values[0, 7, whole.heads[head]], abs=1e-4)


@pytest.mark.parametrize("weighting", ["value", "answer"])
def test_circuitsvis_draws_what_the_view_weights_patterns_by(
    frames_of: Frames,  # noqa: F811
    weighting: str,
) -> None:
    asked = {"prompt": TEXT, "weighting": weighting, "answer": " the", "layer": "1", "head": "4"}
    heads, full = frames_of("attention", view="circuitsvis", **asked)[:2]
    assert weighting in heads.quantities[0].name.lower()
    # The head in full is one of them, and its numbers are weighted, as tests above hold.
    assert len(exported(full)) > 20
    assert set(exported(full)) < set(exported(heads))


def test_heads_are_ranked_by_what_comes_of_a_cell(open_at: Open) -> None:
    app = open_at("attention", prompt=TEXT, dest="9", src="3", weighting="value")
    expect_well(app)
    weights = list(ranking(app, "Value-weighted pattern").values())
    assert weights == sorted(weights, reverse=True)
    attention = list(ranking(app, "Attention").values())
    assert not np.array_equal(attention, sorted(attention, reverse=True))


@pytest.mark.parametrize("page", ["attention", "head", "induction"])
def test_an_answer_that_is_no_token_is_said_and_can_be_mended(open_at: Open, page: str) -> None:
    app = open_at(page, weighting="answer", answer="no token")
    assert "tokens for this model, not one." in " ".join(said(app))
    assert not app.exception
    app.segmented_control(key="view.weighting").set_value("value").run()
    assert address(app)["weighting"] == "value"
    if page != "head":  # which is about logits further down
        assert not [text for text in said(app) if "tokens for this model" in text]
    captions = [text_of(caption.value) for caption in app.caption]
    assert [text for text in captions if "only rests on fades" in text]
