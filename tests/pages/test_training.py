"""The page of training: checkpoints by link and by slider, and where it leads."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages.test_pages import Open, address, charts, expect_well, open_at, said

__all__ = ["open_at"]


@pytest.mark.parametrize("model", ["attn-only-2l", "gelu-4l"])
def test_the_page_begins_where_the_heads_have_formed(open_at: Open, model: str) -> None:
    app = open_at("training", model=model)
    expect_well(app)
    assert said(app) == []
    assert charts(app) == 3
    assert [caption for caption in app.caption if "The transition is at step" in caption.value]
    step = {"attn-only-2l": 1221, "gelu-4l": 1230}[model]
    assert app.select_slider(key="view.step").value == step


def test_a_moved_slider_is_in_the_link_and_a_checkpoint_in_the_picker(open_at: Open) -> None:
    app = open_at("training", model="attn-only-2l@977", score="previous")
    expect_well(app)
    assert app.select_slider(key="view.step").value == 977
    # The one that is shown, right after its model, and no other.
    picker = app.selectbox(key="view.model").options
    assert picker[1] == "Attention-only, 2 layers, step 977"
    assert [name for name in picker if "step" in name] == picker[1:2]
    app.select_slider(key="view.step").set_value(4379).run()
    expect_well(app)
    assert address(app) == {"model": "attn-only-2l@977", "score": "previous", "step": "4379"}
    assert "Previous-token score of every head at step 4,379" in [
        heading.value.replace("&#45;", "-").replace("&#44;", ",") for heading in app.subheader
    ]


@pytest.mark.parametrize("step", ["978", "999999"])
def test_a_step_without_a_checkpoint_is_said(open_at: Open, step: str) -> None:
    app = open_at("training", step=step)
    expect_well(app)
    assert [text for text in said(app) if "no checkpoint at step" in text]


def test_a_checkpoint_that_is_not_there_opens_the_model_and_says_so(open_at: Open) -> None:
    app = open_at("attention", model="attn-only-2l@978")
    expect_well(app)
    assert [text for text in said(app) if "no model of that name" in text]


def test_the_history_is_shown_before_torch_is_there() -> None:
    code = (
        "import sys\n"
        "import app.training_figures, app.training_view\n"
        "from analysis.catalog import find_model\n"
        "from analysis.history import training_history\n"
        "training_history(find_model('attn-only-2l'))\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
