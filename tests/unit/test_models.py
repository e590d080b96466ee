"""Loading: every way in which a name, a device or a file can be wrong, and what a model is."""

import json
import shutil
import socket
import threading

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from analysis.errors import AnalysisError
from analysis.models import catalog
from analysis.models.catalog import BUNDLED
from analysis.models.loading import load_model, load_tokenizer
from analysis.runs.inputs import tokenize
from analysis.runs.predictions import next_token_stats
from tests.conftest import make_model

NAME = "attn-only-2l"
SIZES = {
    "n_layers": 2,
    "n_heads": 4,
    "d_model": 32,
    "d_head": 8,
    "d_mlp": 0,
    "n_ctx": 64,
    "d_vocab": 4096,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of the bundled model's name with small random weights, in place of the real one."""
    folder = tmp_path / "models" / NAME
    folder.mkdir(parents=True)
    write_config(folder)
    shutil.copy(BUNDLED / NAME / "tokenizer.json", folder)
    save_file(make_model(seed=3).bridge.state_dict(), folder / "model.safetensors")
    monkeypatch.setattr(catalog, "BUNDLED", folder.parent)
    catalog.refresh()
    yield folder
    catalog.refresh()


def write_config(folder, **changed):
    config = {"title": "Small", "n_params": 0, "normalization": None, **SIZES, **changed}
    (folder / "config.json").write_text(json.dumps(config))
    catalog.refresh()


def rewrite(folder, change):
    """The weights file again, after `change` of its dict."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def test_a_loaded_model_is_the_one_that_was_saved(folder):
    saved, loaded = make_model(seed=3), load_model(NAME)
    for name, value in saved.bridge.state_dict().items():
        assert torch.equal(loaded.bridge.state_dict()[name], value), name
    ids = tokenize(saved, "The cat sat.").tensor
    assert torch.equal(saved.bridge(ids), loaded.bridge(ids))


def test_its_sizes_are_the_configs(folder):
    model = load_model(NAME)
    assert model.name == NAME
    for key in ("n_layers", "n_heads", "d_model", "d_head", "n_ctx", "d_vocab"):
        assert getattr(model, key) == SIZES[key] == getattr(model.bridge.cfg, key)
    assert model.bos_id == 0


def test_a_model_is_in_evaluation_mode_without_gradients(folder):
    """In training mode dropout would give two answers to one question."""
    bridge = load_model(NAME).bridge
    assert not any(module.training for module in bridge.modules())
    assert not any(parameter.requires_grad for parameter in bridge.parameters())


def test_each_loaded_model_has_a_lock_of_its_own(folder):
    one, other = load_model(NAME), load_model(NAME)
    assert one.lock is not other.lock
    assert isinstance(one.lock, type(threading.Lock()))


def test_loading_reaches_for_no_network(folder, monkeypatch):
    """TransformerLens looks a tokenizer with a BOS up by name, unless told otherwise."""

    def refuse(*args, **kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    model = load_model(NAME)
    assert tokenize(model, "a b").ids[0, 0] == model.bos_id
    assert model.bridge.to_tokens("a b").shape == tokenize(model, "a b").ids.shape


def test_loading_leaves_the_global_random_state_alone(folder):
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    load_model(NAME)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])


@pytest.mark.parametrize("as_path", [str, lambda path: path])
def test_a_model_loads_by_its_folder_too(folder, as_path):
    assert load_model(as_path(folder)).name == NAME
    assert load_model(as_path(folder.parent / "." / NAME)).name == NAME


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "gpt2",
        "ATTN-ONLY-2L",
        f"../{NAME}",
        f"../../models/{NAME}",
        f"/etc/{NAME}",
        f"./{NAME}",
        f"{NAME}/../../secret",
        f"{NAME}/config.json",
        f"/etc/\0/{NAME}",
        f"\ud800/{NAME}",
        f"https://hub.example/{NAME}",
        "a" * 100_000,
        f"{'a' * 100_000}/{NAME}",
    ],
    ids=lambda name: ascii(name)[:30],
)
def test_names_off_the_list_and_paths_elsewhere_are_refused(folder, name):
    """Names come from links: no path may choose which file is read."""
    with pytest.raises(AnalysisError):
        load_model(name)


def test_a_copy_outside_is_refused(folder, tmp_path):
    """Same name, other place: loading our model instead would mislead whoever gave the path."""
    elsewhere = tmp_path / "elsewhere" / NAME
    shutil.copytree(folder, elsewhere)
    for path in (elsewhere, str(elsewhere)):
        with pytest.raises(AnalysisError, match="models"):
            load_model(path)


@pytest.mark.parametrize("device", ["mps", "cuda:7", "tpu", "", "CPU"])
def test_other_devices_are_refused(folder, device):
    """MPS returns wrong numbers without an error."""
    with pytest.raises(AnalysisError, match="'cpu' or 'cuda'"):
        load_model(NAME, device=device)


def test_cuda_is_refused_where_there_is_none(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(AnalysisError, match="no CUDA.*'cpu'"):
        load_model(NAME, device="cuda")


def test_auto_is_the_cpu_where_there_is_no_cuda(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert load_model(NAME).bridge.W_U.device.type == "cpu"


def truncated(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def emptied(file):
    file.write_bytes(b"")


def garbled(file):
    file.write_bytes(b"\x7fELF" + bytes(range(256)) * 20)


def header_only(file):
    content = file.read_bytes()
    file.write_bytes(content[: 8 + int.from_bytes(content[:8], "little")])


def huge_header(file):
    file.write_bytes((2**60).to_bytes(8, "little") + b"{}")


def removed(file):
    file.unlink()


def a_folder(file):
    file.unlink()
    file.mkdir()


DAMAGES = [truncated, emptied, garbled, header_only, huge_header, removed, a_folder]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_weights_are_named_in_a_sentence(folder, damage):
    """A download that broke off: the page says which file, and shows no traceback."""
    damage(folder / "model.safetensors")
    catalog.refresh()
    said = "model.safetensors.*(anew|Finish)|no file model.safetensors"
    with pytest.raises(AnalysisError, match=said):
        load_model(NAME)


def wrong_kind(file):
    file.write_text('{"model": 5}')


def empty_json(file):
    file.write_text("{}")


@pytest.mark.parametrize(
    "damage",
    [truncated, emptied, garbled, removed, a_folder, wrong_kind, empty_json],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_tokenizer_is_named_in_a_sentence(folder, damage):
    damage(folder / "tokenizer.json")
    with pytest.raises(AnalysisError, match="tokenizer.json.*Copy it anew"):
        load_model(NAME)


def drop(weights):
    del weights["blocks.1.attn.q.weight"]


def add(weights):
    weights["blocks.2.attn.q.weight"] = torch.zeros(2)


def resize(weights):
    weights["blocks.0.attn.o.weight"] = torch.zeros(32, 40)


def rename(weights):
    weights["blocks.0.attn.W_O"] = weights.pop("blocks.0.attn.o.weight")


@pytest.mark.parametrize("change", [drop, add, resize, rename], ids=lambda change: change.__name__)
def test_weights_of_another_model_are_refused(folder, change):
    """Loaded in part, the rest would stay random and every figure would be of that."""
    rewrite(folder, change)
    with pytest.raises(AnalysisError, match="model.safetensors.*do not fit"):
        load_model(NAME)


@pytest.mark.parametrize("size", [{"n_ctx": 65}, {"d_model": 64}, {"n_layers": 3}, {"d_mlp": 64}])
def test_weights_have_to_fit_the_config(folder, size):
    write_config(folder, **size)
    with pytest.raises(AnalysisError, match="do not fit"):
        load_model(NAME)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(folder):
    """An id beyond the embedding would end in a bare IndexError, at some prompts only."""
    write_config(folder, d_vocab=4000)

    def cut(weights):
        for name in ("embed.weight", "unembed.weight", "unembed.bias"):
            weights[name] = weights[name][:4000].clone()

    rewrite(folder, cut)
    with pytest.raises(AnalysisError, match="4096 tokens.*4000"):
        load_model(NAME)


def test_weights_in_half_precision_become_float32(folder):
    """Numbers on screen are float32 whatever the file was saved in."""

    def halve(weights):
        for name, value in weights.items():
            weights[name] = value.half()

    exact = load_model(NAME)
    rewrite(folder, halve)
    loaded = load_model(NAME)
    for name, value in loaded.bridge.state_dict().items():
        assert value.dtype == torch.float32, name
        assert torch.equal(value, exact.bridge.state_dict()[name].half().float()), name
    tokens = tokenize(loaded, "The cat sat.")
    assert next_token_stats(loaded, tokens).loss == pytest.approx(
        next_token_stats(exact, tokens).loss, abs=1e-2
    )


def test_the_fingerprint_is_the_same_for_the_same_files(folder):
    assert load_model(NAME).fingerprint == load_model(NAME).fingerprint


def test_the_fingerprint_changes_with_a_single_weight(folder):
    """It is part of every cache key: unchanged, retrained weights would show the old figures."""
    before = load_model(NAME).fingerprint

    def nudge(weights):
        weights["embed.weight"][5, 5] += 1e-6

    rewrite(folder, nudge)
    assert load_model(NAME).fingerprint != before


def test_the_fingerprint_changes_with_config_and_tokenizer(folder):
    seen = {load_model(NAME).fingerprint}
    write_config(folder, title="Other")
    seen.add(load_model(NAME).fingerprint)
    file = folder / "tokenizer.json"
    file.write_text(file.read_text(encoding="utf-8") + " ", encoding="utf-8")
    seen.add(load_model(NAME).fingerprint)
    assert len(seen) == 3


def test_the_tokenizers_end_of_text_is_its_bos_and_adds_no_token():
    tokenizer = load_tokenizer(BUNDLED / NAME / "tokenizer.json")
    assert tokenizer.bos_token_id == tokenizer.eos_token_id == tokenizer.pad_token_id == 0
    assert len(tokenizer) == 4096


def test_a_model_with_norm_and_mlps_is_built_as_described(with_mlp):
    assert with_mlp.info.has_mlp
    assert with_mlp.bridge.cfg.d_mlp == 64
    assert with_mlp.bridge.cfg.normalization_type == "LN"
    assert not any(module.training for module in with_mlp.bridge.modules())


def test_a_checkpoint_has_its_own_weights_and_fingerprint(folder):
    """Its results must not be taken for those of the finished model."""
    (folder / "checkpoints").mkdir()
    early = make_model(seed=4).bridge.state_dict()
    save_file(early, folder / "checkpoints" / "step-000012.safetensors")
    finished, loaded = load_model(NAME), load_model(f"{NAME}@12")
    assert (loaded.name, loaded.info.step) == (f"{NAME}@12", 12)
    assert torch.equal(loaded.bridge.state_dict()["embed.weight"], early["embed.weight"])
    assert loaded.fingerprint != finished.fingerprint
    with pytest.raises(AnalysisError, match="Pick one of"):
        load_model(f"{NAME}@13")
    with pytest.raises(AnalysisError, match="can be loaded"):
        load_model(f"{folder}@12")
