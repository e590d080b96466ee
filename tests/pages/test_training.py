"""The page of training: checkpoints by link and by slider, and where it leads."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.models import catalog
from app.config import settings
from app.sections.training import checkpoints as published_view
from tests.hub import tiny_pythia
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


def test_without_checkpoints_the_history_is_shown_and_leads_to_the_finished_model(
    open_at: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed package has the numbers of every step, and weights of the last one alone."""
    monkeypatch.setattr(catalog, "checkpoints", lambda info: ())
    app = open_at("training")
    expect_well(app)
    assert said(app) == []
    assert charts(app) == 3
    assert [caption for caption in app.caption if "not here" in caption.value]
    links = [link.proto.query_string for link in app.get("page_link")]
    assert links and not [link for link in links if "%40" in link or "@" in link]


def test_a_checkpoint_that_is_not_there_opens_the_model_and_says_so(open_at: Open) -> None:
    app = open_at("attention", model="attn-only-2l@978")
    expect_well(app)
    assert [text for text in said(app) if "no model of that name" in text]


@pytest.fixture
def pythia(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a Pythia of random weights in a store of its own, with two checkpoints."""
    monkeypatch.setenv("HEADSCOPE_CACHE", str(tmp_path))
    folder = tmp_path / "models" / "pythia-14m"
    (folder / "checkpoints").mkdir(parents=True)
    for name, content in tiny_pythia(0).items():
        (folder / name).write_bytes(content)
    for step in (0, 512):
        weights = tiny_pythia(step + 1)["model.safetensors"]
        (folder / "checkpoints" / f"step-{step:06d}.safetensors").write_bytes(weights)
    catalog.refresh()
    yield folder
    catalog.refresh()


def test_published_checkpoints_are_scored_and_opened(open_at: Open, pythia: Path) -> None:
    (pythia / "checkpoints" / "step-001000.safetensors").write_bytes(b"no weights")
    app = open_at("training", model="pythia-14m@1000", length="20")
    until = time.monotonic() + 60
    while not charts(app) and time.monotonic() < until:
        assert [bar for bar in app.get("progress") if "of 4 checkpoints" in bar.proto.text]
        time.sleep(0.2)
        app.run()
    expect_well(app)
    assert [
        text for text in app.markdown if "Here: 0, 512, 1,000, 143,000 (finished)." in text.value
    ]
    # One that cannot be read is said, and the others are shown.
    assert [sentence for sentence in said(app) if "@1000 " in sentence and "anew" in sentence]
    slider = app.select_slider(key="view.step")
    assert slider.options == ["0", "512", "143,000"]
    assert charts(app) == 2
    slider.set_value(512).run()
    expect_well(app)
    links = [link.proto.query_string for link in app.get("page_link")]
    assert [link for link in links if "model=pythia-14m%40512" in link and "by=model" in link]
    app.select_slider(key="view.step").set_value(143_000).run()
    expect_well(app)
    links = [link.proto.query_string for link in app.get("page_link")]
    assert links and all("%40" not in link for link in links)


def test_where_no_checkpoint_can_be_added_the_reason_is_said(
    open_at: Open, pythia: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published_view, "settings", lambda: replace(settings(), downloads=False))
    app = open_at("training", model="pythia-14m")
    assert [caption for caption in app.caption if "switched off" in caption.value]
    assert not app.multiselect
    monkeypatch.undo()
    monkeypatch.setenv("HEADSCOPE_MODELS", str(pythia.parent))
    catalog.refresh()
    app = open_at("training", model="pythia-14m")
    assert any("not the app's own" in sentence for sentence in said(app))
    assert not app.multiselect


def test_the_history_is_shown_before_torch_is_there() -> None:
    code = (
        "import sys\n"
        "import app.figures.training, app.sections.training.history\n"
        "from analysis.models.catalog import find_model\n"
        "from analysis.models.history import training_history\n"
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
