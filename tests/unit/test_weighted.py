"""Weighted patterns: a cell is what transformers says it is, and a row sums to what it should."""

from typing import Any

import numpy as np
import pytest
import torch

from analysis.definitions import VALUE_PATTERN, WEIGHTINGS
from analysis.errors import AnalysisError
from analysis.head import Head, all_heads
from analysis.logits.attribution import logit_attribution
from analysis.logits.weighted import WeightedPatterns, weighted_patterns
from analysis.models.capabilities import why_not
from analysis.models.loading import load_model
from analysis.runs.inputs import repeated_tokens, tokenize
from tests.architectures import FAMILIES, plain, tiny
from tests.unit.test_right_values import run_plain

TEXT = "The cat sat on the mat and the cat slept."
# Where one head's values stand among what transformers computes: of llama, two heads share them.
_HEADS = {"gpt2": slice(64 + 24, 96), "llama": slice(8, 16)}


@pytest.mark.parametrize(("targets", "foils"), [(None, None), (17, 23)])
@pytest.mark.parametrize("family", FAMILIES)
def test_rows_weighted_by_the_answer_sum_to_the_heads_attribution(family, targets, foils):
    """Worked out from z, by a function that sees no source."""
    model = tiny(family)
    tokens = repeated_tokens(model, length=5, batch=2)
    end = np.array([3, 9]) if targets is None else None
    found = weighted_patterns(model, tokens, "answer", None, targets, foils, end)
    whole = logit_attribution(model, tokens, targets, foils, end)
    of_heads = whole.values[..., [whole.heads[head] for head in all_heads(model.info)]]
    sums = found.values.sum(-1).transpose(0, 3, 1, 2).reshape(of_heads.shape)
    np.testing.assert_allclose(sums, of_heads, atol=1e-4)
    assert np.abs(of_heads).max() > 0.01
    assert not np.triu(found.values, 1).any()


@pytest.mark.parametrize("name", ["attn-only-2l", "gelu-4l"])
def test_rows_of_the_bundled_models_sum_to_attribution(name):
    model = load_model(name, device="cpu")
    tokens = tokenize(model, TEXT)
    found = weighted_patterns(model, tokens, "answer", [1], end=5)
    whole = logit_attribution(model, tokens, end=5)
    of_heads = whole.values[0][:, [whole.labels.index(f"L1H{h}") for h in range(model.n_heads)]]
    np.testing.assert_allclose(found.values[0, 0].sum(-1).T, of_heads, atol=1e-4)


def _of_one_head(architecture: str, seen: Any, inner: Any) -> tuple[torch.Tensor, ...]:
    """Values with and without b_V, and W_O, of L1H3 in plain transformers."""
    if architecture == "gpt2":
        attention = inner.transformer.h[1].attn
        values = seen["transformer.h.1.attn.c_attn >"][0][:, _HEADS["gpt2"]]
        bias, w_o = attention.c_attn.bias[_HEADS["gpt2"]], attention.c_proj.weight[24:32]
        return values, values - bias, w_o
    attention = inner.model.layers[1].self_attn
    values = seen["model.layers.1.self_attn.v_proj >"][0][:, _HEADS["llama"]]
    return values, values, attention.o_proj.weight[:, 24:32].T


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_a_cell_is_what_plain_transformers_makes_of_it(architecture):
    """L1H3, whose values in llama are those of L1H2 too; gpt2's have a bias of their own."""
    model, inner = tiny(architecture), plain(architecture)
    tokens = tokenize(model, "The cat sat on the mat")
    output, seen = run_plain(inner, tokens.tensor)
    pattern = output.attentions[1][0, 3]
    with torch.no_grad():
        values, without_bias, w_o = _of_one_head(architecture, seen, inner)
        by_length = pattern * (without_bias @ w_o).norm(dim=-1)
        final = inner.transformer.ln_f if architecture == "gpt2" else inner.model.norm
        name = "transformer.ln_f" if architecture == "gpt2" else "model.norm"
        stream = seen[f"{name} <"][0]
        direction = (inner.lm_head.weight[17] - inner.lm_head.weight[23]) * final.weight
        if architecture == "gpt2":
            direction = direction - direction.mean()
            scale = (stream.var(-1, correction=0) + final.eps).sqrt()
        else:
            scale = (stream.pow(2).mean(-1) + final.variance_epsilon).sqrt()
        by_answer = pattern * (values @ w_o @ direction) / scale[:, None]
    found = weighted_patterns(model, tokens, "value", [0, 1])
    assert found.layers == (0, 1)
    np.testing.assert_allclose(found.values[0, 1, 3], by_length, atol=1e-4)
    found = weighted_patterns(model, tokens, "answer", [1], 17, 23)
    np.testing.assert_allclose(found.values[0, 0, 3], by_answer, atol=1e-4)
    assert float(by_answer.min()) < -0.01 < 0.01 < float(by_answer.max())


@pytest.mark.parametrize("architecture", ["gemma2", "gemma3"])
def test_a_model_with_a_norm_after_its_heads_has_no_lengths_and_says_so(architecture):
    """What one source adds to the stream depends there on all others."""
    model = tiny(architecture)
    with pytest.raises(AnalysisError, match=r"norm after its heads.*Choose another model\."):
        weighted_patterns(model, tokenize(model, TEXT), "value")
    assert "norm after its heads" in why_not("Value-weighted patterns", model.info)


@pytest.mark.parametrize("weighting", ["value", "answer"])
def test_without_a_head_the_later_ones_are_as_plain_transformers_has_them(weighting):
    """L0H2 silenced by a hook on what enters W_O: L1H3 then reads another stream."""
    model, inner = tiny("gpt2"), plain("gpt2")
    tokens = tokenize(model, "The cat sat on the mat")

    def silenced(module, args):
        z = args[0].clone()
        z[..., 16:24] = 0
        return (z,)

    inner.transformer.h[0].attn.c_proj.register_forward_pre_hook(silenced)
    output, seen = run_plain(inner, tokens.tensor)
    with torch.no_grad():
        values, without_bias, w_o = _of_one_head("gpt2", seen, inner)
        final, stream = inner.transformer.ln_f, seen["transformer.ln_f <"][0]
        direction = inner.lm_head.weight[17] * final.weight
        direction = direction - direction.mean()
        scale = (stream.var(-1, correction=0) + final.eps).sqrt()
        cells = {
            "value": (without_bias @ w_o).norm(dim=-1)[None],
            "answer": (values @ w_o @ direction)[None] / scale[:, None],
        }[weighting]
    found = weighted_patterns(model, tokens, weighting, [1], 17, without=[Head(0, 2)])
    np.testing.assert_allclose(found.values[0, 0, 3], output.attentions[1][0, 3] * cells, atol=1e-4)
    whole = weighted_patterns(model, tokens, weighting, [1], 17)
    assert np.abs(found.values - whole.values).max() > 0.01


def test_other_requests_are_refused_in_a_sentence(attention_only):
    tokens = tokenize(attention_only, "The cat sat.")
    with pytest.raises(AnalysisError, match="weighted by attention .* there are value, answer"):
        weighted_patterns(attention_only, tokens, "attention")
    with pytest.raises(AnalysisError, match="Layer 7 was asked for"):
        weighted_patterns(attention_only, tokens, "value", [7])
    with pytest.raises(AnalysisError, match="outside tiny's vocabulary"):
        weighted_patterns(attention_only, tokens, "answer", None, 9999)


def test_rows_that_do_not_sum_are_refused(attention_only):
    found = weighted_patterns(attention_only, tokenize(attention_only, TEXT), "answer")
    assert found.total is not None
    with pytest.raises(ValueError, match="sum to the heads' attribution within"):
        WeightedPatterns("answer", found.values + 0.01, found.layers, found.total)


def test_every_weighting_has_a_definition_of_its_own():
    assert [each.key for each in WEIGHTINGS.values() if each.plain] == ["attention"]
    assert WEIGHTINGS["value"].quantity is VALUE_PATTERN
