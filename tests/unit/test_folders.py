"""Folders that anybody may have filled: what cannot be run is refused in a true sentence."""

import json
import os
import threading
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from analysis.errors import AnalysisError
from analysis.models import catalog
from analysis.models.catalog import find_model
from analysis.models.files import fingerprint
from analysis.models.loading import load_model
from tests.model_folders import GPT2, LLAMA, edit, listed, save

REFUSED = {
    "awq": ({"quantization_config": {"quant_method": "awq", "bits": 4}}, "quantised .*awq"),
    "no-dict": ({"quantization_config": "x" * 10**5}, "quantised"),
    "encoder": ({"is_encoder_decoder": True}, "encoder and a decoder"),
    "t5": ({"model_type": "t5"}, "encoder and a decoder .*t5"),
    "distilbert": ({"model_type": "distilbert"}, "kind distilbert .*BERT and RoBERTa"),
    "electra": ({"model_type": "electra"}, "kind electra .*BERT and RoBERTa"),
    "parts": ({"text_config": {"hidden_size": 32}}, "text_config"),
    "layers": ({"n_layer": 10**9}, "1,000,000,000 for n_layer; 1,000 at most"),
    "nan": ({"n_embd": float("nan")}, "NaN"),
    "digits": ({"n_embd": 10**400}, "a number of 401 digits for n_embd"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_config_that_cannot_be_run_is_refused_with_what_it_says(root, case):
    values, said = REFUSED[case]
    edit(save(root, "mine", GPT2), **values)
    assert not listed("mine").available
    with pytest.raises(AnalysisError, match=said) as raised:
        load_model("mine")
    assert len(str(raised.value)) < 400


def test_a_context_longer_than_its_table_is_refused_before_memory_is_taken(root):
    edit(save(root, "mine", GPT2), n_positions=10_000_000)
    with pytest.raises(AnalysisError, match=r"describes 320,0\d\d,\d\d\d numbers; its weights"):
        load_model("mine")


def test_999_layers_are_refused_by_their_weights(root):
    edit(save(root, "mine", GPT2), n_layer=999)
    with pytest.raises(AnalysisError, match="numbers; its weights hold"):
        load_model("mine")


def test_a_huge_claim_of_parameters_changes_nothing(root):
    config = {"n_layers": 2, "n_heads": 2, "d_model": 16, "d_head": 8, "d_mlp": 0, "n_ctx": 64}
    folder = root / "ours"
    folder.mkdir()
    config |= {"d_vocab": 100, "normalization": None}
    (folder / "config.json").write_text(json.dumps({**config, "n_params": 1e308}))
    (folder / "model.safetensors").write_bytes(b"x")
    assert 0 < listed("ours").n_params < 10**5
    edit(save(root, "theirs", GPT2), n_params=1e308)
    assert load_model("theirs").info.n_params < 10**6


def test_weights_that_are_no_numbers_are_named(root):
    folder = save(root, "mine", GPT2)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if "h.2.mlp.c_proj.weight" in name)
    weights[name][0, 0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AnalysisError, match=r"1 of the .* transformer\.h\.2\.mlp\.c_proj\.weight"):
        load_model("mine")


def test_an_adapter_is_called_one(root):
    folder = root / "adapter"
    folder.mkdir()
    given = {"peft_type": "LORA", "base_model_name_or_path": "org/base"}
    (folder / "adapter_config.json").write_text(json.dumps(given))
    assert "holds the LORA adapter of org/base" in listed("adapter").problem


def within(seconds, call):
    """The result of a call that must not hang."""
    found = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, f"not done after {seconds} s"
    return found[0]


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer_config.json", "tokenizer.json"]
)
@pytest.mark.parametrize("kind", ["fifo", "endless", "loop", "folder"])
def test_no_file_makes_the_list_of_models_wait(root, name, kind):
    save(root, "good", GPT2)
    file = save(root, "bad", GPT2) / name
    file.unlink()
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to("/dev/zero" if kind == "endless" else file)

    def refusal():
        with pytest.raises(AnalysisError) as raised:
            load_model("bad")
        return str(raised.value)

    assert within(20, lambda: listed("good")).available
    assert str(root) not in within(60, refusal)
    assert within(20, lambda: fingerprint(listed("bad")))


def test_one_folder_that_cannot_be_read_leaves_the_others(root, monkeypatch):
    save(root, "good", GPT2)
    save(root, "bad", GPT2)
    read = catalog.read_info

    def fails(folder, *rest):
        if folder.name == "bad":
            raise MemoryError
        return read(folder, *rest)

    monkeypatch.setattr(catalog, "read_info", fails)
    assert listed("good").available
    assert "cannot be read (MemoryError)" in listed("bad").problem


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("my model", "my-model"),
        ("modèle-été", "modele-ete"),
        ("a+b", "a-b"),
        ("org/name", "org-name"),
    ],
)
def test_a_folder_of_any_name_is_a_model_under_a_name_that_links_can_hold(root, folder, name):
    place = save(root, folder, GPT2)
    catalog.refresh()
    assert find_model(name).folder == place
    assert load_model(name).name == load_model(place).name == name


def test_two_folders_of_one_name_are_two_models(root):
    save(root, "a b", GPT2)
    save(root, "a+b", LLAMA)
    assert {listed("a-b").kind, listed("a-b-2").kind} == {"gpt2", "llama"}


def test_the_variable_may_name_a_model_itself_a_home_or_nothing(root, monkeypatch):
    place = save(root, "mine", GPT2)
    monkeypatch.setenv("HEADSCOPE_MODELS", str(place))
    assert listed("mine").folder == place
    monkeypatch.setenv("HOME", str(root.parent))
    monkeypatch.setenv("HEADSCOPE_MODELS", "~/own")
    assert listed("mine").folder == Path("~/own/mine").expanduser()
    monkeypatch.setenv("HEADSCOPE_MODELS", "~/gone")
    catalog.refresh()
    assert "names a folder that is not there" in catalog.own_folder_problem()
    with pytest.raises(AnalysisError, match="HEADSCOPE_MODELS names a folder that is not there"):
        find_model("mine")
