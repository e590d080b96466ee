"""Models as people load them: every family's numbers add up, and folders that are wrong say so."""

import shutil

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from analysis.circuits.composition import composition_scores
from analysis.circuits.copying import ov_copying
from analysis.effects.knockout import offset_ablation
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.heads.scores import head_scores
from analysis.logits.attribution import logit_attribution
from analysis.logits.sources import source_attribution
from analysis.models import catalog
from analysis.models.catalog import BUNDLED
from analysis.models.convert import convert_state_dict
from analysis.models.loading import load_model
from analysis.runs.inputs import repeated_tokens, tokenize
from analysis.runs.patterns import attention_patterns
from analysis.runs.predictions import next_token_stats
from tests.architectures import tiny
from tests.conftest import make_model, state_dict

ADDS_UP = ("gpt2", "llama", "qwen2", "qwen3", "neox", "gemma2", "gemma3")
TEXT = "The cat sat on the mat and the cat slept."


@pytest.mark.parametrize("architecture", ADDS_UP)
def test_attribution_adds_up_to_the_logit(architecture):
    model = tiny(architecture)
    result = logit_attribution(model, tokenize(model, TEXT))
    np.testing.assert_allclose(
        result.values.sum(-1) + result.unembed_bias, result.logits, atol=2e-4
    )
    assert ("Positions" in result.labels) == (architecture == "gpt2")


@pytest.mark.parametrize("architecture", ADDS_UP)
def test_a_heads_sources_add_up_to_its_attribution(architecture):
    """With shared values head 3 reads key/value head 1, not 3."""
    model, head = tiny(architecture), Head(1, 3)
    tokens = tokenize(model, TEXT)
    whole = logit_attribution(model, tokens)
    by_source = source_attribution(model, tokens, head).values
    expected = whole.values[..., whole.labels.index(head.label)]
    np.testing.assert_allclose(by_source.sum(-1), expected, atol=1e-4)


@pytest.mark.parametrize("architecture", ADDS_UP)
def test_patterns_rows_sum_to_1_and_scores_have_their_chance_level(architecture):
    model = tiny(architecture)
    tokens = repeated_tokens(model, length=8, batch=2)
    rows = attention_patterns(model, tokens).values.sum(-1)
    np.testing.assert_allclose(rows, 1, atol=1e-5)
    scores = head_scores(model, tokens)
    assert scores.induction.shape == (model.n_layers, model.n_heads)
    assert 0 < scores.chance["induction"] < 0.2


@pytest.mark.parametrize("architecture", ADDS_UP)
def test_a_head_that_may_read_every_distance_loses_nothing(architecture):
    model = tiny(architecture)
    tokens = repeated_tokens(model, length=6, batch=2)
    found = offset_ablation(model, tokens, 1, (tuple(range(tokens.length)), ()))
    np.testing.assert_allclose(found.values[0], 0, atol=1e-5)
    assert np.abs(found.values[1]).max() > 1e-4


@pytest.mark.parametrize("architecture", ("llama", "qwen2", "neox"))
def test_circuits_of_weights_have_one_entry_for_each_query_head(architecture):
    model = tiny(architecture)
    values = composition_scores(model, "K").values
    assert values.shape == (3, 4, 3, 4)
    writer, reader = (block.attn for block in model.bridge.blocks[:2])
    first, second = (b.ln1.original_component.weight[:, None] for b in model.bridge.blocks[:2])
    shared = 1 if architecture == "neox" else 2  # query heads that read the same keys and values

    def centred(matrix, axis):
        # LayerNorm takes the mean out of what is read, and of what is written with it.
        return matrix - matrix.mean(axis, keepdim=True) if architecture == "neox" else matrix

    ov = centred(first * writer.W_V[2 // shared], 0) @ centred(writer.W_O[2], 1)
    keys = centred(second * reader.W_K[3 // shared], 0)
    kq = keys @ centred(second * reader.W_Q[3], 0).T
    by_hand = float((ov @ kq).norm() / ov.norm() / kq.norm())
    assert values[0, 2, 1, 3] == pytest.approx(by_hand, rel=1e-4)
    assert 0 <= ov_copying(model, [Head(2, 3)]).accuracy[1] <= 1


@pytest.mark.parametrize("architecture", ["qwen3", "gemma3"])
def test_what_an_architecture_cannot_have_is_refused(architecture):
    with pytest.raises(AnalysisError, match="normalises its queries"):
        composition_scores(tiny(architecture), "K")


def shortformer():
    return make_model(positions="shortformer")


def test_shortformer_positions_reach_queries_and_keys_only():
    """Against the definition, written out in plain torch."""
    model = shortformer()
    tokens = tokenize(model, TEXT)
    bridge, ids = model.bridge, tokens.tensor[0]
    stream, place = bridge.W_E[ids], bridge.W_pos[: len(ids)]
    hidden = torch.ones(len(ids), len(ids)).triu(1).bool()
    for layer, block in enumerate(bridge.blocks):
        read = {"Q": stream + place, "K": stream + place, "V": stream}
        weights = {part: getattr(block.attn, f"W_{part}") for part in read}
        biases = {part: getattr(block.attn, f"b_{part}")[:, None] for part in read}
        query, key, value = (read[p] @ weights[p] + biases[p] for p in read)
        scores = query @ key.mT / model.d_head**0.5
        pattern = scores.masked_fill(hidden, -torch.inf).softmax(-1)
        found = attention_patterns(model, tokens).values[0, layer]
        np.testing.assert_allclose(found, pattern, atol=1e-5)
        stream = stream + (pattern @ value @ block.attn.W_O).sum(0) + block.attn.b_O
    logits = stream @ bridge.W_U + bridge.b_U
    expected = logits[:-1].log_softmax(-1).gather(-1, ids[1:, None])[:, 0]
    np.testing.assert_allclose(next_token_stats(model, tokens).log_probs[0], expected, atol=2e-5)


def test_shortformer_attribution_has_no_positions_and_adds_up():
    model = shortformer()
    result = logit_attribution(model, tokenize(model, TEXT))
    assert "Positions" not in result.labels
    np.testing.assert_allclose(
        result.values.sum(-1) + result.unembed_bias, result.logits, atol=2e-4
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A user's folder with a tiny Llama in Hugging Face's format."""
    folder = tmp_path / "mine"
    file = str(BUNDLED / "attn-only-2l" / "tokenizer.json")
    PreTrainedTokenizerFast(tokenizer_file=file, bos_token="<|endoftext|>").save_pretrained(folder)
    _fresh_llama().save_pretrained(folder)
    monkeypatch.setenv("HEADSCOPE_MODELS", str(tmp_path))
    catalog.refresh()
    yield folder
    catalog.refresh()


def _fresh_llama():
    config = AutoConfig.for_model(
        "llama",
        vocab_size=4096,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config)


def test_a_users_own_model_loads_and_runs(folder):
    model = load_model("mine")
    tokens = repeated_tokens(model, length=6, batch=2)
    assert model.bos_id == 0 and tokens.has_bos
    reference = _fresh_llama().eval()
    assert model.info.n_params == reference.num_parameters()
    with torch.no_grad():
        logits = reference(tokens.tensor).logits[:, :-1].log_softmax(-1)
    expected = logits.gather(-1, tokens.tensor[:, 1:, None])[..., 0]
    np.testing.assert_allclose(next_token_stats(model, tokens).log_probs, expected, atol=1e-5)
    assert model.fingerprint != load_model("attn-only-2l").fingerprint


def cut_off(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-2000])


def other_sizes(folder):
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 32', '"hidden_size": 64'))


def a_layer_more(folder):
    config = folder / "config.json"
    text = config.read_text().replace('"num_hidden_layers": 3', '"num_hidden_layers": 4')
    config.write_text(text)


def no_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{")


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_off, "model.safetensors of mine has .* by its header"),
        (other_sizes, "describes 570,816 numbers; its weights hold 285,408"),
        (a_layer_more, "describes 293,152 numbers; its weights hold 285,408"),
        (no_tokenizer, "cannot read the tokenizer of mine"),
        (pickled, "pickle"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_folder_is_one_sentence(folder, damage, said):
    """Filled up at random, weights that are missing would give figures of nothing."""
    damage(folder)
    catalog.refresh()
    with pytest.raises(AnalysisError, match=said) as raised:
        load_model("mine")
    assert str(folder.parent) not in str(raised.value)


def test_a_folder_that_is_gone_is_no_model(folder):
    shutil.rmtree(folder)
    catalog.refresh()
    with pytest.raises(AnalysisError, match="no model of that name"):
        load_model("mine")


def test_the_courses_file_format_is_converted(tmp_path, monkeypatch):
    """Two heads' weights swapped, or positions put into the stream, would go unnoticed."""
    model = shortformer()
    masks = {f"blocks.{layer}.attn.mask": torch.ones(64, 64).bool() for layer in range(2)}
    weights = state_dict(model) | masks
    monkeypatch.setenv("HEADSCOPE_CACHE", str(tmp_path))
    tokenizer = BUNDLED / "attn-only-2l" / "tokenizer.json"
    convert_state_dict("attn-only-2L-half", weights, tokenizer)
    loaded = load_model("attn-only-2L-half")
    assert loaded.info.positions == "shortformer"
    tokens = tokenize(model, TEXT)
    np.testing.assert_allclose(
        next_token_stats(loaded, tokens).log_probs,
        next_token_stats(model, tokens).log_probs,
        atol=1e-5,
    )
    # Neither fewer position vectors than the file has, nor more tokens than the list allows.
    registry = {**catalog.registry()}
    registry["attn-only-2L-half"] = {**registry["attn-only-2L-half"], "context": 20}
    monkeypatch.setattr(catalog, "registry", lambda: registry)
    catalog.refresh()
    short = load_model("attn-only-2L-half")
    assert (short.n_ctx, len(short.bridge.W_pos), loaded.n_ctx) == (20, 64, 64)
    assert repeated_tokens(short, length=9, batch=1).length == 19
    with pytest.raises(AnalysisError, match="takes 20"):
        tokenize(short, TEXT * 3)
    with pytest.raises(AnalysisError, match="does not hold the weights"):
        convert_state_dict("attn-only-2L-half", {"a": torch.zeros(1)}, tokenizer)
    with pytest.raises(AnalysisError, match="allow-list"):
        convert_state_dict("gpt2", weights, tokenizer)
    catalog.refresh()
