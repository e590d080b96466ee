"""The allow-list and the model cards."""

import json
import os
import re
from dataclasses import replace

import pytest

from analysis.errors import AnalysisError
from analysis.models import catalog
from analysis.models import config as config_module
from analysis.models import info as info_module
from analysis.models.catalog import BUNDLED, find_model, list_models, registry
from tests.hostile import MANY


@pytest.fixture
def nothing_else(tmp_path, monkeypatch):
    """A machine with the bundled models and empty folders of every other kind."""
    monkeypatch.setenv("HEADSCOPE_CACHE", str(tmp_path / "store"))
    monkeypatch.setenv("HEADSCOPE_MODELS", str(tmp_path / "own"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "own").mkdir()
    catalog.refresh()
    yield tmp_path
    catalog.refresh()


def test_the_list_is_the_allow_list_in_its_order(nothing_else):
    assert tuple(info.name for info in list_models()) == tuple(registry())
    here = [info.name for info in list_models() if info.available]
    assert here == ["attn-only-2l", "gelu-4l"]


@pytest.mark.parametrize(
    "entry", [pytest.param(e, id=n) for n, e in registry().items() if e.get("source")]
)
def test_an_entry_says_all_that_a_download_needs(entry):
    """A size in other units than the parameters' would have every download refused."""
    assert 1.9 <= entry["size"] / entry["parameters"] <= 4.5
    assert entry["format"] == "hf" or {"weights", "tokenizer"} <= set(entry)
    assert re.fullmatch("main|[0-9a-f]{40}", entry["revision"])
    assert entry["licence"] and entry["layers"] and entry["heads"]


def test_a_card_repeats_the_config_file():
    config = json.loads((BUNDLED / "attn-only-2l" / "config.json").read_text(encoding="utf-8"))
    info = find_model("attn-only-2l")
    for key, value in config.items():
        if key != "title":  # the allow-list's
            assert getattr(info, key) == value


def test_a_card_counts_the_parameters():
    """Embedding, positions, unembedding and four matrices per head; biases are fixed at 0."""
    info = find_model("attn-only-2l")
    per_head = 4 * info.d_model * info.d_head
    expected = (2 * info.d_vocab + info.n_ctx) * info.d_model
    expected += info.n_layers * info.n_heads * per_head
    assert info.n_params == expected


@pytest.mark.parametrize("d_mlp", [0, 64])
def test_a_model_has_an_mlp_when_its_width_is_not_0(d_mlp, attention_only, with_mlp):
    model = with_mlp if d_mlp else attention_only
    assert model.info.d_mlp == d_mlp
    assert model.info.has_mlp == (d_mlp > 0)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "gpt5",
        "ATTN-ONLY-2L",
        "../attn-only-2l",
        "attn-only-2l/",
        "attn-only-2l@",
        "attn-only-2l@1222",
        "attn-only-2l@01221",
        "attn-only-2l@1221@1221",
        "attn-only-2l@١٢٢١",
        "@1221",
    ],
)
def test_an_unknown_name_is_refused_with_the_names_that_exist(name):
    with pytest.raises(AnalysisError, match="attn-only-2l"):
        find_model(name)


def test_an_unknown_name_is_not_repeated_on_the_page():
    """A name comes from a link: what it says is not ours to show."""
    with pytest.raises(AnalysisError) as raised:
        find_model("<img src=x onerror=alert(1)>")
    assert "<img" not in str(raised.value)


def test_a_model_without_weights_is_listed_as_unavailable(tmp_path):
    """The picker names it; the page must not crash on a partial download."""
    folder = tmp_path / "attn-only-2l"
    folder.mkdir()
    config = (BUNDLED / "attn-only-2l" / "config.json").read_bytes()
    (folder / "config.json").write_bytes(config)
    assert not config_module.read_info(folder).available
    (folder / "model.safetensors").write_bytes(b"")
    assert config_module.read_info(folder).available


@pytest.mark.parametrize("info", list_models()[:2], ids=lambda info: info.name)
def test_every_shipped_checkpoint_is_a_model_by_its_step(info):
    files = sorted((info.folder / "checkpoints").iterdir())
    steps = catalog.checkpoints(info)
    assert len(steps) == len(files) > 3
    for step, file in zip(steps, files, strict=True):
        found = find_model(f"{info.name}@{step}")
        assert (found.step, found.weights, found.folder) == (step, file, info.folder)
        assert found.title == f"{info.title}, step {step:,}"
        assert catalog.finished_model(found) == info
        assert catalog.checkpoint(found, steps[0]).name == f"{info.name}@{steps[0]}"
    assert catalog.finished_model(info) is info


LLAMA = {
    "model_type": "llama",
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 4096,
}
INDEX = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}


def own_model(root, files, config=LLAMA, name="mine"):
    """What is said of a user's folder that holds these files."""
    folder = root / "own" / name
    folder.mkdir()
    for file, content in {"config.json": json.dumps(config), **files}.items():
        (folder / file).write_text(content)
    catalog.refresh()
    (info,) = (info for info in list_models() if info.name == name)
    return info


@pytest.mark.parametrize(
    "sizes",
    [
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": -1},
        {"num_attention_heads": 0},
        {"hidden_size": 10**40},
        {"hidden_size": "32"},
        {"vocab_size": 1e300},
        {"vocab_size": True},
        {"max_position_embeddings": "4096"},
        {"max_position_embeddings": float("nan")},
        {"num_experts": 10**6},
        {"num_key_value_heads": [2]},
    ],
)
def test_sizes_that_no_model_has_are_one_sentence(nothing_else, sizes):
    info = own_model(nothing_else, {"model.safetensors": "x"}, {**LLAMA, **sizes})
    assert not info.available
    assert "The config.json of mine gives" in info.problem or "NaN" in info.problem


@pytest.mark.parametrize(
    "other",
    [
        {"n_layers": 10**9},
        {"d_mlp": -1},
        {"normalization": "<b>"},
        {"positions": "file:///etc/passwd"},
        {"act_fn": "__import__"},
        {"n_params": 1, "d_vocab": 9_999_999, "d_model": 9_999_999},
    ],
)
def test_the_same_of_a_folder_in_our_own_format(nothing_else, other):
    ours = json.loads((BUNDLED / "attn-only-2l" / "config.json").read_text(encoding="utf-8"))
    info = own_model(nothing_else, {"model.safetensors": "x"}, {**ours, **other})
    assert not info.available
    assert "The config.json of mine gives" in info.problem or "memory" in info.problem


def test_a_title_is_one_short_visible_line_or_the_folders_name():
    for title in (*MANY, None, 7, ["x"]):
        shown = config_module._title(title, "folder")
        assert shown in (title, "folder")
        assert len(shown) <= config_module.LONGEST_TITLE
        assert shown.isprintable()


def test_a_file_beside_the_checkpoints_is_none(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for name in ("step-000007", "step-<script>", "step-", "step-٣", "step-7 "):
        (tmp_path / "checkpoints" / f"{name}.safetensors").touch()
    info = replace(find_model("attn-only-2l"), folder=tmp_path)
    assert catalog.checkpoints(info) == (7,)


def test_a_users_own_folder_is_read_by_its_config(nothing_else):
    info = own_model(nothing_else, {"model.safetensors": "x" * 2000})
    assert info.available and info.kind == "llama" and info.family == "Your folder"
    assert (info.n_layers, info.n_heads, info.n_kv_heads, info.d_head) == (3, 4, 2, 8)
    assert (info.n_ctx, info.normalization, info.positions) == (4096, "RMS", "rotary")
    assert find_model("mine") is info


@pytest.mark.parametrize(
    ("files", "config", "said"),
    [
        ({}, LLAMA, "no file model.safetensors"),
        ({"pytorch_model.bin": "x"}, LLAMA, "pickle"),
        (
            {"model.safetensors.index.json": json.dumps(INDEX), "one.safetensors": "x"},
            LLAMA,
            "1 of 2 weight files are missing",
        ),
        ({"model.safetensors.index.json": "{"}, LLAMA, "list of its weight files|list of"),
        (
            {"model.safetensors.index.json": '{"weight_map": {"a": "../../secret"}}'},
            LLAMA,
            "files elsewhere",
        ),
        ({"model.safetensors": "x"}, {"model_type": "nobody-knows"}, "no vocab_size"),
        ({"model.safetensors": "x"}, {**LLAMA, "hidden_size": None}, "config.json .* no width"),
        ({"model.safetensors": "x"}, [1], "config.json .* no JSON object"),
        (
            {"model.safetensors": "x"},
            {"n_layers": "two"},
            "config.json .* gives the text two for n_layers",
        ),
    ],
)
def test_a_folder_that_cannot_be_used_says_why(nothing_else, files, config, said):
    info = own_model(nothing_else, files, config)
    assert not info.available
    with pytest.raises(AnalysisError, match=said) as raised:
        find_model("mine")
    assert str(nothing_else) not in str(raised.value)


def test_a_model_too_large_for_the_machine_says_so(nothing_else, monkeypatch):
    for module in (config_module, info_module):
        monkeypatch.setattr(module, "machine_memory", lambda: 2**20)
    info = own_model(nothing_else, {"model.safetensors": "x" * 2**20})
    assert not info.available
    assert "needs about" in info.problem


def test_the_hubs_own_cache_is_looked_at(nothing_else):
    """Who has a model from another project need not fetch it twice."""
    folder = nothing_else / "hub" / "models--openai-community--gpt2" / "snapshots" / "607a30"
    folder.mkdir(parents=True)
    config = {
        "model_type": "gpt2",
        "vocab_size": 50257,
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "n_positions": 1024,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_text("x")
    catalog.refresh()
    info = find_model("gpt2")
    assert (info.folder, info.d_mlp, info.normalization) == (folder, 3072, "LN")


def test_folders_of_odd_names_are_left_out(nothing_else):
    """A name goes into links, file names and sentences."""
    for name in ("<img src=x>", ".hidden", "a" * 61):
        (nothing_else / "own" / name).mkdir()
    catalog.refresh()
    assert tuple(info.name for info in list_models()) == tuple(registry())


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        ("0::/\n", {"memory.max": "1073741824\n"}, 2**30),
        ("0::/\n", {"memory.max": "max\n"}, None),
        ("0::/\n", {}, None),  # the machine's own group has no such file
        ("0::/a.slice/b\n", {"a.slice/memory.max": "4096", "a.slice/b/memory.max": "max"}, 4096),
        ("0::/../b\n", {"memory.max": "4096"}, 4096),  # as it looks from within a namespace
        (
            "9:cpu,cpuacct:/x\n4:memory:/x\n0::/\n",
            {"memory/x/memory.limit_in_bytes": "4096", "cpu,cpuacct/x/memory.max": "1"},
            4096,
        ),
        # A version 1 container sees its own group at the root, under the path of the machine.
        ("4:memory:/gone/x\n", {"memory/memory.limit_in_bytes": "4096"}, 4096),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
        (None, {"memory.max": "4096"}, None),  # not Linux
    ],
)
def test_memory_is_what_the_container_may_take(tmp_path, monkeypatch, own, files, limit):
    monkeypatch.setattr(info_module, "_OWN_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(info_module, "_GROUPS", tmp_path / "groups")
    if own is not None:
        (tmp_path / "cgroup").write_text(own)
    for name, text in files.items():
        file = tmp_path / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # Without what is remembered from before.
    assert info_module.machine_memory.__wrapped__() == (installed if limit is None else limit)
