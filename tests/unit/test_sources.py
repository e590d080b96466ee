"""A head's logit attribution by source token: it sums to the head's own, however computed."""

import numpy as np
import pytest
import torch

from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.logits.attribution import logit_attribution
from analysis.logits.sources import SourceAttribution, source_attribution
from analysis.runs.inputs import repeated_tokens, tokenize

HEADS = [Head(0, 0), Head(0, 3), Head(1, 2)]


@pytest.fixture(params=["attention_only", "with_mlp"])
def model(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def tokens(model):
    return repeated_tokens(model, length=6, batch=3)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.label)
@pytest.mark.parametrize(("targets", "foils"), [(None, None), (5, None), (5, 9), (None, 9)])
def test_sources_sum_to_the_heads_attribution(model, tokens, head, targets, foils):
    """Else the map would explain another number than the bar above it."""
    found = source_attribution(model, tokens, head, targets, foils)
    whole = logit_attribution(model, tokens, targets, foils)
    expected = whole.values[..., whole.labels.index(head.label)]
    np.testing.assert_allclose(found.values.sum(-1), expected, atol=1e-4)
    np.testing.assert_allclose(found.total, expected, atol=1e-4)
    np.testing.assert_array_equal(found.targets, whole.targets)
    assert found.error < 1e-4
    assert np.abs(expected).max() > 0.01  # so that zeros would not pass


def test_a_cell_is_attention_times_what_the_value_writes(attention_only):
    """The formula on the page, evaluated in a slow loop."""
    model, head = attention_only, Head(1, 1)
    tokens = tokenize(model, "The cat sat on the mat.")
    found = source_attribution(model, tokens, head)
    _, cache = model.bridge.run_with_cache(tokens.tensor)
    pattern, value = cache["pattern", 1][0, 1], cache["v", 1][0, :, 1]
    w_o, w_u = model.bridge.blocks[1].attn.W_O[1], model.bridge.W_U
    for dest in range(tokens.length - 1):
        for src in range(tokens.length - 1):
            write = pattern[dest, src] * (value[src] @ w_o)
            expected = float(write @ w_u[:, tokens.ids[0, dest + 1]])
            assert found.values[0, dest, src] == pytest.approx(expected, abs=1e-4)


def test_nothing_comes_from_a_source_after_the_destination(model, tokens):
    found = source_attribution(model, tokens, Head(1, 0))
    assert not np.triu(found.values[0], 1).any()


def test_a_split_that_does_not_sum_is_refused(attention_only):
    tokens = tokenize(attention_only, "The cat sat.")
    found = source_attribution(attention_only, tokens, Head(0, 1))
    with pytest.raises(ValueError, match="sum to the head's attribution within"):
        SourceAttribution(found.head, found.values + 0.01, found.total, found.targets)


def test_results_are_read_only(model, tokens):
    with pytest.raises(ValueError, match="read-only"):
        source_attribution(model, tokens, Head(0, 0)).values[0] = 1


def test_bad_requests_are_refused(attention_only):
    tokens = tokenize(attention_only, "The cat sat.")
    with pytest.raises(AnalysisError, match="L7H0 was asked for"):
        source_attribution(attention_only, tokens, Head(7, 0))
    with pytest.raises(AnalysisError, match="outside tiny's vocabulary"):
        source_attribution(attention_only, tokens, Head(0, 0), targets=9999)


def test_the_lock_is_free_afterwards(model, tokens):
    source_attribution(model, tokens, Head(0, 0))
    assert not model.lock.locked()
    assert not torch.is_inference_mode_enabled()
