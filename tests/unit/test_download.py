"""Downloads from a hub on this machine: what comes, what is refused, and how fast."""

import io
import re
import time
from pathlib import Path

import pytest
import torch

from analysis.errors import AnalysisError
from analysis.models import catalog, download
from analysis.models import config as config_module
from analysis.models import info as info_module
from analysis.models.catalog import find_model, list_models
from analysis.models.download import download_model
from analysis.models.loading import load_model
from analysis.runs.inputs import tokenize
from analysis.runs.predictions import next_token_stats
from tests.conftest import make_model, state_dict
from tests.hub import COMMIT, TOKENIZER, running_hub, tiny_gpt2, tiny_pythia

GPT2 = "openai-community/gpt2"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that has GPT-2, and a machine that has downloaded nothing yet."""
    monkeypatch.setenv("HEADSCOPE_CACHE", str(tmp_path / "store"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    with running_hub() as hub:
        hub.files[GPT2] = tiny_gpt2()
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        catalog.refresh()
        yield hub
    catalog.refresh()


def left_behind() -> list[Path]:
    return list((catalog.store() / "models").glob("*"))


def refused(name: str = "gpt2") -> str:
    """What is said instead of a model; nothing of it may be left."""
    with pytest.raises(AnalysisError) as raised:
        download_model(name)
    assert left_behind() == []
    assert not next(info for info in list_models() if info.name == name).available
    return str(raised.value)


def test_a_downloaded_model_can_be_loaded_at_once(hub):
    seen: list[tuple[int, int]] = []
    info = download_model("gpt2", lambda done, total: seen.append((done, total)))
    assert info is find_model("gpt2")
    assert (info.n_layers, info.kind, info.commit) == (3, "gpt2", COMMIT)
    assert info.n_params == 4096 * 32 + 64 * 32 + 3 * (12 * 32**2 + 13 * 32) + 2 * 32
    model = load_model("gpt2")
    assert next_token_stats(model, tokenize(model, "The cat sat.")).loss > 0
    # Where it came from is noted; no pickle, nothing from folders, no notes of the hub's client.
    names = {file.name for file in info.folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", config_module.ORIGIN} <= names
    assert not names & {"pytorch_model.bin", "onnx", ".cache"}
    assert not [path for path in hub.asked if "onnx" in path or ".bin" in path]
    done, totals = zip(*seen, strict=True)
    assert list(done) == sorted(done) and done[-1] == totals[-1]
    assert done[-1] == sum((info.folder / n).stat().st_size for n in names - {config_module.ORIGIN})
    with pytest.raises(AnalysisError, match="here already"):
        download_model("gpt2")


def test_a_checkpoint_is_the_same_model_with_its_own_weights(hub, tmp_path):
    source = "EleutherAI/pythia-14m"
    hub.files |= {source: tiny_pythia(0), f"{source}@step512": tiny_pythia(1)}
    with pytest.raises(AnalysisError, match="not on this machine"):
        download_model("pythia-14m@512")
    download_model("pythia-14m")
    info = download_model("pythia-14m@512")
    assert (info.name, info.step, info.title) == ("pythia-14m@512", 512, "Pythia 14M, step 512")
    assert catalog.checkpoints(find_model("pythia-14m")) == (512,)
    finished, earlier = load_model("pythia-14m"), load_model("pythia-14m@512")
    assert finished.fingerprint != earlier.fingerprint
    # Against a folder of its own that holds that step's files.
    (tmp_path / "own" / "alone").mkdir(parents=True)
    for name, content in tiny_pythia(1).items():
        (tmp_path / "own" / "alone" / name).write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSCOPE_MODELS", str(tmp_path / "own"))
        catalog.refresh()
        alone = load_model("alone")
    losses = [
        next_token_stats(model, tokenize(model, "The cat sat.")).loss
        for model in (finished, earlier, alone)
    ]
    assert losses[1] == pytest.approx(losses[2], abs=1e-5) and abs(losses[0] - losses[1]) > 1e-3
    for step in ("513", "0512", "143000", "../x"):
        with pytest.raises(AnalysisError, match="no such checkpoint"):
            download_model(f"pythia-14m@{step}")
    info.weights.write_bytes(info.weights.read_bytes()[:-100])
    with pytest.raises(AnalysisError, match="by its header it has"):
        load_model("pythia-14m@512")


def test_a_pinned_revision_is_asked_for(hub):
    download_model("gpt2")
    revision = catalog.registry()["gpt2"]["revision"]
    assert f"/api/models/{GPT2}/revision/{revision}" in hub.asked


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ({"refusal": (404, "RepoNotFound")}, "does not have this model"),
        ({"refusal": (403, "GatedRepo")}, "accepted the licence"),
        ({"refusal": (404, "RevisionNotFound")}, "no longer has the version"),
        ({"refusal": (400, "")}, "status 400"),
        ({"wrong_size": 3}, "is not what the hub lists"),
        ({"altered": True}, "is not what the hub lists"),
        ({"cut_after": 100, "standstill": 1.5}, "stopped sending|broke off"),
        ({"silent": "/api/", "connect": 1.0}, "cannot be reached"),
        ({"silent": "model.safetensors", "standstill": 1.0}, "stopped sending"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_failure_is_one_sentence_and_leaves_nothing(hub, monkeypatch, failure, said):
    monkeypatch.setattr(download, "CONNECT_WITHIN", failure.pop("connect", 10.0))
    monkeypatch.setattr(download, "STANDSTILL", failure.pop("standstill", 20.0))
    for name, value in failure.items():
        setattr(hub, name, value)
    began = time.monotonic()
    sentence = refused()
    assert re.search(said, sentence)
    assert time.monotonic() - began < 20
    assert "127.0.0.1" not in sentence and "Error" not in sentence


def test_without_a_hub_it_is_said_at_once(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert refused() == download.UNREACHABLE


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda files: {n: f for n, f in files.items() if n != "model.safetensors"}, "pickles"),
        (lambda files: {n: f for n, f in files.items() if n != "config.json"}, "no config.json"),
        (lambda files: {**files, "merges.txt": bytes(10**6)}, "are expected"),
    ],
)
def test_what_the_list_does_not_expect_is_not_fetched(hub, monkeypatch, change, said):
    monkeypatch.setattr(download, "_SIZE_FACTOR", 0.0)
    monkeypatch.setattr(download, "_SIZE_MORE", 10**6)
    hub.files[GPT2] = change(tiny_gpt2())
    assert said in refused()


def test_a_full_disk_is_said_before_anything_comes(hub, monkeypatch):
    monkeypatch.setattr(download, "_SPARE", 10**18)
    assert "of the disk" in refused()


def test_cancelling_ends_the_transfer(hub):
    hub.silent = "model.safetensors"

    class Cancelled(BaseException):
        pass

    def cancel(done, total):
        if done:
            raise Cancelled

    began = time.monotonic()
    with pytest.raises(Cancelled):
        download_model("gpt2", cancel)
    assert left_behind() == [] and time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Llama-3.2-1B", "accepted its licence"),
        ("attn-only-2l", "no model of that name"),
        ("../gpt2", "no model of that name"),
    ],
)
def test_the_hub_is_not_asked_for_what_it_cannot_give(hub, name, said):
    with pytest.raises(AnalysisError, match=said):
        download_model(name)
    assert hub.asked == []


def test_what_the_machine_is_too_small_for_is_not_asked_for(hub, monkeypatch):
    for module in (config_module, info_module):
        monkeypatch.setattr(module, "machine_memory", lambda: 2**20)
    assert "too large" in refused()
    assert hub.asked == []


def test_a_state_dict_is_converted_with_the_tokenizer_that_it_names(hub):
    """As Neel Nanda's models come: weights here, the tokenizer with a BOS of its own there."""
    model = make_model(normalization="LN")
    weights = state_dict(model)
    norms = {"ln_final": model.bridge.ln_final}
    norms |= {f"blocks.{layer}.ln1": block.ln1 for layer, block in enumerate(model.bridge.blocks)}
    for name, norm in norms.items():
        weights |= {f"{name}.w": norm.weight, f"{name}.b": norm.bias}
    file = io.BytesIO()
    torch.save({name: value.detach() for name, value in weights.items()}, file)
    name = "attn-only-2l.neelnanda"
    entry = catalog.registry()[name]
    # Another token than the one that the native format takes where none is named.
    tokenizer = TOKENIZER.read_bytes().replace(b"<|endoftext|>", b"<|BOS|>")
    hub.files[entry["source"]] = {"model_final.pth": file.getvalue(), "config.json": b"{}"}
    hub.files[entry["tokenizer"]] = {
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": b'{"bos_token": "<|BOS|>"}',
    }
    info = download_model(name)
    assert (info.kind, info.commit, info.n_layers) == ("native", COMMIT, 2)
    assert not list(info.folder.glob("*.pth"))
    loaded = load_model(name)
    assert loaded.tokenizer.bos_token == "<|BOS|>" and loaded.bos_id == 0
    tokens = tokenize(model, "The cat sat on the mat.")
    assert next_token_stats(loaded, tokens).loss == pytest.approx(
        next_token_stats(model, tokens).loss, abs=1e-4
    )


def test_a_state_dict_that_would_run_code_is_refused(hub):
    entry = catalog.registry()["attn-only-2L-half"]
    hub.files[entry["source"]] = {entry["weights"]: b"cposix\nsystem\n(S'true'\ntR."}
    hub.files[entry["tokenizer"]] = {"tokenizer.json": TOKENIZER.read_bytes()}
    assert "holds something else than weights" in refused("attn-only-2L-half")
