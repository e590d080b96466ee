"""The allow-list and the model cards."""

import json

import pytest

from analysis import catalog
from analysis.catalog import ALLOWED, BUNDLED, find_model, list_models
from analysis.errors import AnalysisError


def test_the_list_is_the_allow_list_in_its_order():
    assert tuple(info.name for info in list_models()) == ALLOWED


def test_a_card_repeats_the_config_file():
    config = json.loads((BUNDLED / "attn-only-2l" / "config.json").read_text(encoding="utf-8"))
    info = find_model("attn-only-2l")
    for key, value in config.items():
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


def test_a_model_without_weights_is_listed_as_unavailable(tmp_path, monkeypatch):
    """The picker shows it greyed out; the page must not crash on a partial download."""
    folder = tmp_path / ALLOWED[0]
    folder.mkdir()
    config = (BUNDLED / ALLOWED[0] / "config.json").read_bytes()
    (folder / "config.json").write_bytes(config)
    assert not catalog.read_info(folder).available
    (folder / "model.safetensors").write_bytes(b"")
    assert catalog.read_info(folder).available


@pytest.mark.parametrize("info", list_models(), ids=lambda info: info.name)
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
