"""Measuring anew what is shipped: what has weights is scored, and nothing else changes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from analysis.models.catalog import find_model
from analysis.models.history import training_history
from training.measure import main, measure_history


def test_a_score_is_measured_where_weights_are_kept_and_only_there(tmp_path):
    """The shipped history has the right values: it was measured when all weights were there."""
    real = find_model("attn-only-2l")
    shipped = json.loads((real.folder / "history.json").read_text())
    records = json.loads((real.folder / "history.json").read_text())
    for record in records:
        del record["scores"]["first"]
    for name in ("tokenizer.json", "config.json", "model.safetensors", "checkpoints"):
        (tmp_path / name).symlink_to(real.folder / name)
    (tmp_path / "history.json").write_text(json.dumps(records))
    info = replace(real, folder=tmp_path)

    kept = [record["checkpoint"] is not None for record in shipped]
    assert measure_history(info) == sum(kept) < len(kept)
    measured = json.loads((tmp_path / "history.json").read_text())
    for has_weights, new, old in zip(kept, measured, shipped, strict=True):
        assert {**new, "scores": None} == {**old, "scores": None}
        assert ("first" in new["scores"]) == has_weights
        for name, values in new["scores"].items():
            np.testing.assert_allclose(values, old["scores"][name], atol=2e-4)
    assert training_history(info).measured("first").tolist() == kept


def test_only_bundled_models_are_measured(capsys: pytest.CaptureFixture[str]):
    assert main(["attn-only-2l", "gpt-9"]) == 1
    assert "Not bundled: gpt-9. Choose among attn-only-2l, gelu-4l." in capsys.readouterr().out
