"""Numbers of every architecture against plain transformers with hooks, which none of ours share."""

from typing import Any

import numpy as np
import pytest
import torch

from analysis.activations import verify_pattern
from analysis.circuits.copying import ov_copying
from analysis.circuits.embeddings import token_vectors
from analysis.circuits.ov_qk import ov_top_tokens
from analysis.effects.patching import path_patching, prompt_pair
from analysis.head import Head
from analysis.logits.attribution import logit_attribution
from analysis.logits.decomposition import k_composition, score_split
from analysis.logits.sources import source_attribution
from analysis.models.loading import HeadModel
from analysis.neurons import promoted_tokens
from analysis.runs.inputs import repeated_tokens, tokenize
from tests.architectures import CONFIGS, from_config, from_transformers, plain, tiny

SCALES: dict[str, tuple[dict[str, Any], tuple[float, ...]]] = {
    # What transformers documents; d_head is 8, Gemma's default scalar 256.
    "gpt2": ({}, (8**-0.5,) * 3),
    "gpt2-inverse-layer": (
        {"scale_attn_by_inverse_layer_idx": True},
        (8**-0.5, 8**-0.5 / 2, 8**-0.5 / 3),
    ),
    "gemma2": ({"query_pre_attn_scalar": 50, "attn_logit_softcapping": 3.0}, (50**-0.5,) * 3),
    "gemma3": ({"query_pre_attn_scalar": 20}, (20**-0.5,) * 3),
}


def both(name: str) -> tuple[HeadModel, Any]:
    """A model of ours and the same in plain transformers."""
    settings = {**CONFIGS[name.split("-")[0]], **SCALES[name][0]}
    return from_config(name, settings), from_transformers(settings)


def run_plain(inner: Any, ids: torch.Tensor) -> tuple[Any, dict[str, torch.Tensor]]:
    """Its output, with what entered (`name <`) and left (`name >`) each module."""
    seen: dict[str, torch.Tensor] = {}

    def note(name: str) -> Any:
        def hook(module: Any, args: Any, kwargs: Any, output: Any) -> None:
            given = args[0] if args else kwargs.get("hidden_states")
            seen[f"{name} <"] = given
            seen[f"{name} >"] = output[0] if isinstance(output, tuple) else output

        return hook

    handles = [
        module.register_forward_hook(note(name), with_kwargs=True)
        for name, module in inner.named_modules()
        if name
    ]
    with torch.no_grad():
        output = inner(ids, output_attentions=True, use_cache=False)
    for handle in handles:
        handle.remove()
    return output, seen


# --- the scale of attention -------------------------------------------------------------------


@pytest.mark.parametrize("name", SCALES)
def test_scores_have_the_models_own_scale(name: str) -> None:
    """Differences of scores are those of log attention, and the scale is what is documented."""
    model, inner = both(name)
    tokens = repeated_tokens(model, length=3, batch=1)
    output, _ = run_plain(inner, tokens.tensor)
    for layer in range(3):
        check = verify_pattern(model, tokens, layer)
        assert model.attention_scale(layer) == pytest.approx(SCALES[name][1][layer])
        expected = output.attentions[layer].numpy()
        np.testing.assert_allclose(check.computed, expected, atol=1e-5)
        split = [score_split(model, tokens, Head(layer, 1), 6, src) for src in (2, 5)]
        whole = k_composition(model, tokens, layer, 1)
        maps = sum(whole.score_map(a, b) for a in whole.labels for b in whole.labels)
        assert isinstance(maps, np.ndarray)
        assert maps[6, 2] == pytest.approx(split[0].score, abs=1e-4)
        if cap := SCALES[name][0].get("attn_logit_softcapping"):
            assert "±3" in split[0].assumes
            scores = [cap * np.tanh(each.score / cap) for each in split]
        else:
            scores = [each.score for each in split]
        log_ratio = np.log(expected[0, 1, 6, 2] / expected[0, 1, 6, 5])
        assert scores[0] - scores[1] == pytest.approx(log_ratio, abs=1e-4)


# --- scores by component ----------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["llama", "neox", "qwen2", "qwen3", "gemma2", "gemma3"])
def test_the_parts_of_a_rotary_score_sum_to_it(architecture: str) -> None:
    """Once both positions are given the turn is fixed, and the split is exact."""
    model = tiny(architecture)
    tokens = repeated_tokens(model, length=3, batch=2)
    output, _ = run_plain(plain(architecture), tokens.tensor)
    head = Head(2, 3)
    splits = {src: score_split(model, tokens, head, 6, src, sequence=1) for src in (1, 4)}
    for split in splits.values():
        assert split.pairs.sum() == pytest.approx(split.score, abs=1e-4)
        assert split.query_side.sum() == pytest.approx(split.score, abs=1e-4)
        assert "turned" in split.assumes
        assert "Positions" not in split.labels
    pattern = output.attentions[2][1, 3].numpy()
    found = splits[1].score - splits[4].score
    assert found == pytest.approx(np.log(pattern[6, 1] / pattern[6, 4]), abs=1e-4)


def test_a_component_of_a_rotary_query_is_its_own_write_turned() -> None:
    """L0H1 alone, from transformers: guards against parts that are mislabelled yet add up."""
    model, inner = tiny("llama"), plain("llama")
    tokens = repeated_tokens(model, length=3, batch=1)
    _, seen = run_plain(inner, tokens.tensor)
    block, first = inner.model.layers[1], inner.model.layers[0].self_attn
    with torch.no_grad():
        z = seen["model.layers.0.self_attn.o_proj <"][..., 8:16]
        write = z @ first.o_proj.weight[:, 8:16].T
        entering = seen["model.layers.1.input_layernorm <"]
        size = (
            entering.pow(2).mean(-1, keepdim=True) + block.input_layernorm.variance_epsilon
        ).sqrt()
        query = write / size * block.input_layernorm.weight @ block.self_attn.q_proj.weight[24:].T
        angle = torch.arange(7.0)[:, None] * inner.model.rotary_emb.inv_freq
        a, b = query.chunk(2, -1)
        turned = torch.cat(
            [a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1
        )
    split = k_composition(model, tokens, 1, 3)
    found = split.queries[split.labels.index("L0H1")]
    np.testing.assert_allclose(found, turned.numpy(), atol=1e-5)


def test_shortformer_positions_are_a_part_of_queries_and_keys_only() -> None:
    model = tiny("shortformer")
    tokens = repeated_tokens(model, length=3, batch=1)
    split = k_composition(model, tokens, 1, 2)
    assert split.labels[:2] == ("Embedding", "Positions")
    place = model.bridge.W_pos[: tokens.length]
    expected = (place @ model.bridge.blocks[1].attn.W_K[2]).numpy()
    np.testing.assert_allclose(split.keys[1, 0], expected, atol=1e-5)
    assert split.stream_error < 1e-5  # without the positions


# --- a norm between heads and stream ----------------------------------------------------------


def gemma_norm(x: torch.Tensor, norm: Any, size: torch.Tensor | None = None) -> torch.Tensor:
    """Gemma's norm, with the scale of `x` or one that is given."""
    return x / (scale_of(x, norm) if size is None else size) * (1 + norm.weight)


def scale_of(x: torch.Tensor, norm: Any) -> torch.Tensor:
    return (x.pow(2).mean(-1, keepdim=True) + norm.eps).sqrt()


@pytest.mark.parametrize("architecture", ["gemma2", "gemma3"])
def test_a_head_behind_a_norm_is_worth_what_the_logit_loses_without_it(architecture: str) -> None:
    """With both scales frozen; Gemma 2's logits as they are before its final cap."""
    model, inner = tiny(architecture), plain(architecture)
    tokens = tokenize(model, "The cat sat on")
    _, seen = run_plain(inner, tokens.tensor)
    found = logit_attribution(model, tokens, targets=17, foils=23)
    block, last = inner.model.layers[1], inner.model.norm
    with torch.no_grad():
        final = seen["model.norm <"]
        size = scale_of(final, last)
        direction = inner.lm_head.weight[17] - inner.lm_head.weight[23]
        whole = gemma_norm(final, last, size) @ direction
        z = seen["model.layers.1.self_attn.o_proj <"][..., 16:24]
        output = z @ block.self_attn.o_proj.weight[:, 16:24].T
        after = block.post_attention_layernorm
        own = scale_of(seen["model.layers.1.post_attention_layernorm <"], after)
        without = final - gemma_norm(output, after, own)
        expected = whole - gemma_norm(without, last, size) @ direction
    column = found.values[..., found.labels.index("L1H2")]
    np.testing.assert_allclose(column, expected.numpy(), atol=1e-5)
    assert np.abs(column).max() > 0.01
    np.testing.assert_allclose(found.logits, whole.numpy(), atol=1e-4)
    np.testing.assert_allclose(found.values.sum(-1), whole.numpy(), atol=1e-4)
    by_source = source_attribution(model, tokens, Head(1, 2), targets=17, foils=23)
    np.testing.assert_allclose(by_source.values.sum(-1), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("architecture", ["gemma2", "gemma3"])
def test_a_path_from_a_head_behind_a_norm(architecture: str) -> None:
    """The writer's clean output, under the clean run's scale, in place of the corrupt one."""
    model, inner = tiny(architecture), plain(architecture)
    clean, corrupt = (tokenize(model, f"The {word} sat on") for word in ("cat", "dog"))
    pair = prompt_pair(model, clean, corrupt, 17, 23)
    runs = [run_plain(inner, tokens.tensor) for tokens in (clean, corrupt)]
    first, third = inner.model.layers[0], inner.model.layers[2]
    with torch.no_grad():
        writes = []
        for _, seen in runs:
            output = seen["model.layers.0.self_attn.o_proj <"][..., 8:16]
            output = output @ first.self_attn.o_proj.weight[:, 8:16].T
            after = first.post_attention_layernorm
            own = scale_of(seen["model.layers.0.post_attention_layernorm <"], after)
            writes.append(gemma_norm(output, after, own))
        stream = runs[1][1]["model.layers.2.input_layernorm <"] + writes[0] - writes[1]
        query = third.self_attn.q_proj(third.input_layernorm(stream))[..., 24:32]

    def put(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
        return torch.cat([output[..., :24], query], -1)

    handle = third.self_attn.q_proj.register_forward_hook(put)
    patched, _ = run_plain(inner, corrupt.tensor)
    handle.remove()
    values = [
        float(output.logits[0, -1, 17] - output.logits[0, -1, 23])
        for output in (runs[0][0], runs[1][0], patched)
    ]
    found = path_patching(model, pair, Head(2, 3), "q")
    assert found.clean == pytest.approx(values[0], abs=1e-5)
    assert found.effects is not None
    assert found.effects[0, 1] == pytest.approx(values[2] - values[1], abs=2e-6)
    assert abs(values[2] - values[1]) > 2e-5


# --- circuits ---------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["gpt2", "neox", "llama", "gemma2", "gemma3"])
def test_the_effective_embedding_is_what_the_first_mlp_leaves(architecture: str) -> None:
    model, inner = tiny(architecture), plain(architecture)
    with torch.no_grad():
        match architecture:
            case "gpt2":
                block, embed = inner.transformer.h[0], inner.transformer.wte
                written = block.mlp(block.ln_2(embed.weight))
            case "neox":
                block, embed = inner.gpt_neox.layers[0], inner.gpt_neox.embed_in
                written = block.mlp(block.post_attention_layernorm(embed.weight))
            case "llama":
                block, embed = inner.model.layers[0], inner.model.embed_tokens
                written = block.mlp(block.post_attention_layernorm(embed.weight))
            case _:
                block, embed = inner.model.layers[0], inner.model.embed_tokens
                every = embed(torch.arange(model.d_vocab))  # Gemma multiplies its embeddings
                written = block.mlp(block.pre_feedforward_layernorm(every))
                written = block.post_feedforward_layernorm(written)
        start = embed(torch.arange(model.d_vocab))
    for layer, expected in ((0, start), (1, start + written), (2, start + written)):
        found = token_vectors(model, layer, "effective")
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    few = token_vectors(model, 1, "effective", [7, 900])
    torch.testing.assert_close(few, (start + written)[[7, 900]], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("architecture", ["gemma2", "gemma3"])
def test_what_a_gemma_head_or_neuron_does_to_logits(architecture: str) -> None:
    """The norms after attention and after the MLP are part of the way."""
    model, inner = tiny(architecture), plain(architecture)
    block = inner.model.layers[1]
    with torch.no_grad():
        out = (1 + inner.model.norm.weight)[:, None] * inner.lm_head.weight.T
        start = inner.model.embed_tokens(torch.arange(model.d_vocab))
        read = start * (1 + block.input_layernorm.weight) @ block.self_attn.v_proj.weight[8:].T
        written = read @ block.self_attn.o_proj.weight[:, 24:].T
        circuit = written * (1 + block.post_attention_layernorm.weight) @ out
        neuron = block.mlp.down_proj.weight[:, 5] * (1 + block.post_feedforward_layernorm.weight)
        promoted = neuron @ out
    raised = ov_top_tokens(model, Head(1, 3), 77, top=5, embedding="raw").raised
    assert raised.ids.tolist() == circuit[77].topk(5).indices.tolist()
    np.testing.assert_allclose(raised.values, circuit[77].topk(5).values, rtol=1e-4)
    own = circuit.diagonal()[:, None]
    copied = ov_copying(model, Head(1, 3), k=(40,), embedding="raw")
    np.testing.assert_array_equal(copied.hits[0], ((circuit >= own).sum(1) <= 40).numpy())
    found, _ = promoted_tokens(model, 1, 5, top=5)
    assert found.ids.tolist() == promoted.topk(5).indices.tolist()
