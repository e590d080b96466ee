"""The models that we ship meet the bar that their recipes set, and their files fit together."""

import json
import struct
import tomllib
from pathlib import Path

import numpy as np
import pytest

from analysis.models.catalog import BUNDLED, find_model, list_models
from analysis.models.loading import (
    HeadModel,
    load_model,
    load_tokenizer,
    load_weights,
    native_bridge,
)
from training.bar import Line, check
from training.corpus import END_OF_TEXT_ID, Corpus, encode, read_documents, split
from training.measure import Measured, measure, text_loss
from training.train import sampled_rows

ROOT = BUNDLED.parent
NOVELS = ROOT.parent / "shared" / "corpus" / "novels.txt.xz"
NAMES = [info.name for info in list_models() if info.family == "Headscope"]
# All weights of a model, and how many checkpoints it has to come with.
LIMITS = {"attn-only-2l": (60e6, 8), "gelu-4l": (40e6, 4)}


def _bar(name: str) -> dict[str, dict[str, float]]:
    recipe = tomllib.loads((ROOT / "training" / f"{name}.toml").read_text(encoding="utf-8"))
    bar: dict[str, dict[str, float]] = recipe["bar"]
    return bar


def _history(name: str) -> list[dict]:
    history: list[dict] = json.loads((BUNDLED / name / "history.json").read_text())
    return history


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def measured(name: str) -> Measured:
    """Measured anew, except the text loss: the novels are not in the repository."""
    row = np.arange(1, 9)[None]  # any tokens: its loss is not looked at
    return measure(load_model(name), row)


def test_the_model_meets_every_line_of_its_bar(name: str, measured: Measured) -> None:
    bar = {figure: limit for figure, limit in _bar(name).items() if figure != "text_loss"}
    missed = [line for line in check(bar, measured) if not line.met]
    assert not missed


def test_the_text_loss_in_the_history_meets_the_bar(name: str) -> None:
    assert Line("text loss", _history(name)[-1]["text_loss"], **_bar(name)["text_loss"]).met


@pytest.mark.skipif(not NOVELS.exists(), reason="the novels are not beside the repository")
def test_the_text_loss_is_what_the_history_says(name: str) -> None:
    model = load_model(name)
    held_out = split(read_documents(NOVELS))[1]
    stream = encode(load_tokenizer(BUNDLED / name / "tokenizer.json").backend_tokenizer, held_out)
    rows = sampled_rows(Corpus(stream, stream, model.d_vocab, END_OF_TEXT_ID), model.n_ctx, 16)
    # A sample, to be quick; the history's last figure is over all of the text.
    assert text_loss(model, rows) == pytest.approx(_history(name)[-1]["text_loss"], abs=0.1)


def test_the_history_ends_with_what_the_model_shows(name: str, measured: Measured) -> None:
    last, now = _history(name)[-1], measured.record()
    for half in ("first_half_loss", "second_half_loss"):
        assert last[half] == pytest.approx(now[half], abs=2e-3)
    for score, values in now["scores"].items():
        np.testing.assert_allclose(last["scores"][score], values, atol=2e-3)


def test_config_history_and_files_agree(name: str) -> None:
    info, history = find_model(name), _history(name)
    assert [r["tokens"] for r in history] == sorted({r["tokens"] for r in history})
    for record in history:
        for values in record["scores"].values():
            assert np.shape(values) == (info.n_layers, info.n_heads)
    shipped = [r["checkpoint"] for r in history if r["checkpoint"]]
    assert sorted(shipped) == sorted(f"checkpoints/{f.name}" for f in _checkpoints(name))
    assert shipped[0].endswith("step-000000.safetensors")
    final = info.folder / shipped[-1]
    assert final.read_bytes() == (info.folder / "model.safetensors").read_bytes()
    assert history[-1]["checkpoint"] == shipped[-1]


def test_every_checkpoint_is_float16_and_loads_by_strict_names(name: str) -> None:
    info = find_model(name)
    bridge = native_bridge(info, None, "cpu")
    for file in [*_checkpoints(name), info.folder / "model.safetensors"]:
        assert {tensor["dtype"] for tensor in _header(file).values()} == {"F16"}
        load_weights(bridge, file)


def test_the_weights_are_few_enough_megabytes(name: str) -> None:
    files = [*_checkpoints(name), BUNDLED / name / "model.safetensors"]
    most_bytes, fewest_checkpoints = LIMITS[name]
    assert len(files) - 1 >= fewest_checkpoints
    assert sum(file.stat().st_size for file in files) < most_bytes


def test_parameters_are_counted_right(name: str) -> None:
    model: HeadModel = load_model(name)
    used = sum(int((p != 0).any()) * p.numel() for p in model.bridge.parameters())
    # Biases that were never trained are zeros that only fill the file format.
    assert used == model.info.n_params


def _checkpoints(name: str) -> list[Path]:
    return sorted((BUNDLED / name / "checkpoints").iterdir())


def _header(file: Path) -> dict[str, dict]:
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header: dict[str, dict] = json.loads(stream.read(length))
    header.pop("__metadata__", None)
    return header
