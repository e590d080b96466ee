"""The history of a training run: the transition that is found in it, and files that are not one."""

import json
from dataclasses import replace

import numpy as np
import pytest

from analysis.definitions import SCORE_NAMES
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models.catalog import checkpoint, checkpoints, find_model, list_models
from analysis.models.history import _read, training_history
from app.figures.training import score_lines
from app.theme import DARK

STEPS = [0, 10, 20, 40, 80]


def write(folder, best):
    """A run of two heads whose better induction score goes through `best`."""
    records = [
        {
            "step": step,
            "tokens": 64 * step,
            "text_loss": 5.0,
            "first_half_loss": 9.0,
            "second_half_loss": 9.0 - value,
            "scores": {name: [[0.01, value]] for name in SCORE_NAMES},
        }
        for step, value in zip(STEPS, best, strict=True)
    ]
    file = folder / "history.json"
    file.write_text(json.dumps(records))
    return replace(find_model("attn-only-2l"), folder=folder, n_layers=1, n_heads=2)


@pytest.mark.parametrize(
    ("best", "step"),
    [
        ((0.01, 0.02, 0.39, 0.41, 0.8), 40),
        ((0.01, 0.02, 0.4, 0.1, 0.8), 20),  # the first that passes, even if it falls again
        ((0.01, 0.9, 0.9, 0.9, 0.8), 10),
        ((0.01, 0.01, 0.01, 0.01, 0.8), 80),
        ((0.01, 0.01, 0.01, 0.01, 0.01), None),  # nothing has formed
    ],
)
def test_the_transition_is_where_half_of_the_final_score_is_first_passed(tmp_path, best, step):
    history = training_history(write(tmp_path, best))
    assert (None if history.transition is None else history.steps[history.transition]) == step


def test_a_step_between_two_records_belongs_to_the_earlier(tmp_path):
    history = training_history(write(tmp_path, (0.01, 0.02, 0.3, 0.5, 0.8)))
    assert [history.record(step) for step in (0, 9, 10, 39, 40, 10**9)] == [0, 0, 1, 2, 3, 4]


def changed(**values):
    """A history of one record with other values."""
    record = json.loads((find_model("attn-only-2l").folder / "history.json").read_text())[0]
    return json.dumps([{**record, **values}])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "[1]",
        '[{"step": 0}]',
        "[[]]",
        "\x00",
        "[" * 100_000,
        changed(step=10**30),
        changed(step=-1),
        changed(step="<script>"),
        changed(text_loss="<img src=x>"),
        changed(scores=[]),
        changed(scores={name: [[0.5]] for name in SCORE_NAMES}),
        f"[{changed()[1:-1]}, {changed()[1:-1]}]",
    ],
)
def test_a_damaged_history_is_one_sentence(tmp_path, text):
    (tmp_path / "history.json").write_text(text)
    info = replace(find_model("attn-only-2l"), folder=tmp_path)
    with pytest.raises(AnalysisError, match="history.json is damaged"):
        training_history(info)


def test_a_model_without_a_history_names_those_that_have_one(tmp_path):
    info = replace(find_model("attn-only-2l"), folder=tmp_path)
    with pytest.raises(AnalysisError, match="Models with one: attn-only-2l, gelu-4l"):
        training_history(info)


@pytest.mark.parametrize("info", list_models()[:2], ids=lambda info: info.name)
def test_every_shipped_checkpoint_is_a_record_and_some_are_from_before_the_transition(info):
    history = training_history(checkpoint(info, checkpoints(info)[0]))
    steps = checkpoints(info)
    assert [history.steps[history.record(step)] for step in steps] == list(steps)
    formed = history.steps[history.transition]
    assert steps[0] < formed < steps[-1]


def test_every_point_of_the_score_lines_carries_its_head():
    history = training_history(find_model("gelu-4l"))
    figure = score_lines(history, "induction", "x", 1230, Head(2, 3), True, DARK)
    for trace in figure.data:
        layer, head = trace.customdata[0]
        np.testing.assert_array_equal(trace.customdata, np.tile([layer, head], (len(trace.x), 1)))
        np.testing.assert_array_equal(trace.y, history.scores["induction"][:, layer, head])
    assert {tuple(trace.customdata[0]) for trace in figure.data} == set(np.ndindex(4, 6))
    assert tuple(figure.data[-1].customdata[0]) == (2, 3)
    # On an axis of powers of ten a text stands at the power, its line at the step.
    marks = [(note.text, note.xanchor, note.x) for note in figure.layout.annotations]
    formed = int(history.steps[history.transition])
    assert marks == [
        ("shown below", "right", np.log10(1230)),
        ("transition", "left", np.log10(formed)),
    ]
    assert [line.x0 for line in figure.layout.shapes] == [1230, formed]


def test_a_score_that_a_history_lacks_is_not_measured_and_nothing_is_damaged(tmp_path):
    info = write(tmp_path, (0.01, 0.02, 0.39, 0.41, 0.8))
    records = json.loads((tmp_path / "history.json").read_text())
    for record in records:
        del record["scores"]["first"]
    for record in records[1:4]:
        del record["scores"]["previous"]
    (tmp_path / "history.json").write_text(json.dumps(records))
    _read.cache_clear()
    history = training_history(info)
    assert history.scores["first"].shape == (5, 1, 2)
    assert not history.measured("first").any()
    assert history.measured("previous").tolist() == [True, False, False, False, True]
    assert history.measured("induction").all()
    assert history.steps[history.transition] == 40
    lines = score_lines(history, "previous", "x", 10, Head(0, 0), True, DARK).data
    assert all(list(line.x) == [0, 80] for line in lines)


def test_a_history_without_the_induction_score_has_no_transition(tmp_path):
    (tmp_path / "history.json").write_text(changed(scores={}))
    history = training_history(replace(find_model("attn-only-2l"), folder=tmp_path))
    assert history.transition is None
