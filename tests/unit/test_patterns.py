"""Attention patterns: what they are, and what is refused."""

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.runs import patterns as patterns_module
from analysis.runs.inputs import repeated_tokens, tokenize
from analysis.runs.patterns import MAX_BYTES, Patterns, attention_patterns
from tests.conftest import make_model


@pytest.fixture(params=["attention_only", "with_mlp"])
def model(request):
    return request.getfixturevalue(request.param)


def test_rows_sum_to_1_and_nothing_attends_ahead(model):
    values = attention_patterns(model, repeated_tokens(model, length=10, batch=3)).values
    assert values.shape == (3, 2, 4, 21, 21)
    np.testing.assert_allclose(values.sum(-1), 1, atol=1e-6)
    assert not np.triu(values, k=1).any()
    assert values.min() >= 0


def test_patterns_equal_the_cache_of_transformerlens(model):
    tokens = repeated_tokens(model, length=10, batch=3)
    values = attention_patterns(model, tokens).values
    _, cache = model.bridge.run_with_cache(tokens.tensor)
    for layer in range(model.n_layers):
        np.testing.assert_array_equal(values[:, layer], cache["pattern", layer].numpy())


def test_patterns_equal_the_softmax_of_queries_and_keys(attention_only):
    """From the definition, with weights only: no hook point is involved."""
    model = attention_only
    tokens = tokenize(model, "The cat sat on the mat.")
    n = tokens.length
    weights = {name: p.double().numpy() for name, p in model.bridge.state_dict().items()}
    resid = weights["embed.weight"][tokens.ids[0]] + weights["pos_embed.weight"][:n]
    values = attention_patterns(model, tokens, layers=[0]).values[0, 0]
    for head in range(model.n_heads):
        rows = slice(head * model.d_head, (head + 1) * model.d_head)
        query, key = (
            resid @ weights[f"blocks.0.attn.{x}.weight"][rows].T
            + weights[f"blocks.0.attn.{x}.bias"][rows]
            for x in "qk"
        )
        for dest in range(n):
            exponential = np.exp([query[dest] @ key[src] / 8**0.5 for src in range(dest + 1)])
            expected = exponential / exponential.sum()
            np.testing.assert_allclose(values[head, dest, : dest + 1], expected, atol=1e-5)


def test_ablating_a_head_that_writes_nothing_changes_nothing():
    model = make_model()
    model.bridge.blocks[0].attn.W_O[1].zero_()
    tokens = repeated_tokens(model, length=8, batch=2)
    whole = attention_patterns(model, tokens).values
    silent = attention_patterns(model, tokens, without=[Head(0, 1)]).values
    np.testing.assert_array_equal(silent, whole)
    assert np.abs(attention_patterns(model, tokens, without=[Head(0, 0)]).values - whole).max() > 0


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_only_layers_above_an_ablated_head_notice(layer):
    """A head's own pattern is made before its output, and so is that of its neighbours."""
    model = make_model(n_layers=3)
    tokens = repeated_tokens(model, length=8, batch=2)
    whole = attention_patterns(model, tokens).values
    ablated = attention_patterns(model, tokens, without=[Head(layer, 2)]).values
    np.testing.assert_array_equal(ablated[:, : layer + 1], whole[:, : layer + 1])
    for later in range(layer + 1, 3):
        assert np.abs(ablated[:, later] - whole[:, later]).max() > 1e-4


def test_an_ablated_pattern_equals_one_with_the_heads_output_weights_at_zero():
    """A second way to silence a head, with no hook at all."""
    tokens = repeated_tokens(make_model(), length=8, batch=2)
    model = make_model()
    model.bridge.blocks[0].attn.W_O[3].zero_()
    expected = attention_patterns(model, tokens).values
    found = attention_patterns(make_model(), tokens, without=[Head(0, 3)]).values
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_head_that_the_model_lacks_cannot_be_ablated(attention_only):
    tokens = tokenize(attention_only, "The cat sat.")
    with pytest.raises(AnalysisError, match="L9H0"):
        attention_patterns(attention_only, tokens, without=[Head(9, 0)])


def test_each_head_and_each_sequence_differs(attention_only):
    """A wrong axis order would repeat one pattern under several names."""
    values = attention_patterns(
        attention_only, repeated_tokens(attention_only, length=10, batch=3)
    ).values
    flat = values.reshape(3 * 2 * 4, -1)
    distances = np.abs(flat[:, None] - flat[None]).max(-1)
    assert (distances + np.eye(len(flat)) > 0.01).all()


def test_layers_come_in_the_order_asked_for(attention_only):
    tokens = tokenize(attention_only, "The cat sat.")
    everything = attention_patterns(attention_only, tokens)
    assert everything.layers == (0, 1)
    swapped = attention_patterns(attention_only, tokens, layers=[1, 0])
    assert swapped.layers == (1, 0)
    np.testing.assert_array_equal(swapped.values, everything.values[:, ::-1])
    second = attention_patterns(attention_only, tokens, layers=[1])
    assert second.layers == (1,)
    np.testing.assert_array_equal(second.values, everything.values[:, 1:])


def test_only_the_layers_asked_for_are_kept(attention_only, monkeypatch):
    captured = []
    original = patterns_module.run_without_logits

    def watch(model, ids, capture, *others, **named):
        captured.extend(capture)
        return original(model, ids, capture, *others, **named)

    monkeypatch.setattr(patterns_module, "run_without_logits", watch)
    attention_patterns(attention_only, tokenize(attention_only, "The cat sat."), layers=[1])
    assert captured == ["blocks.1.attn.hook_pattern"]


@pytest.mark.parametrize("layer", [-1, 2, 99])
def test_a_layer_that_the_model_lacks_is_refused_with_the_numbers(attention_only, layer):
    """-1 would otherwise show the last layer under a wrong name."""
    tokens = tokenize(attention_only, "The cat sat.")
    with pytest.raises(AnalysisError, match=rf"Layer {layer} .* tiny has layers 0 to 1"):
        attention_patterns(attention_only, tokens, layers=[0, layer])


def test_no_layer_at_all_is_refused(attention_only):
    with pytest.raises(AnalysisError, match="at least one layer"):
        attention_patterns(attention_only, tokenize(attention_only, "The cat sat."), layers=[])


def test_an_answer_over_the_limit_is_refused_before_the_model_runs(attention_only, monkeypatch):
    """Otherwise one visitor's request takes the memory of all."""
    tokens = repeated_tokens(attention_only, length=31, batch=64)
    size = 4 * 64 * 2 * 4 * 63**2
    monkeypatch.setattr(patterns_module, "MAX_BYTES", size)
    assert attention_patterns(attention_only, tokens).values.nbytes == size
    monkeypatch.setattr(patterns_module, "MAX_BYTES", size - 1)
    monkeypatch.setattr(patterns_module, "run_without_logits", None)
    with pytest.raises(AnalysisError, match=r"8 MiB; the limit is 8.*fewer layers"):
        attention_patterns(attention_only, tokens)


def test_the_limit_lets_the_default_input_pass():
    """10 sequences of 101 tokens on the bundled model's 16 heads."""
    assert MAX_BYTES > 10 * (4 * 10 * 16 * 101**2)


def test_a_context_filled_to_the_end_works():
    model = make_model(n_ctx=16)
    tokens = tokenize(model, " a" * 15)
    assert attention_patterns(model, tokens).values.shape == (1, 2, 4, 16, 16)


def test_results_are_read_only(attention_only):
    """One result is shared by every visitor through the cache."""
    patterns = attention_patterns(attention_only, tokenize(attention_only, "The cat sat."))
    with pytest.raises(ValueError, match="read-only"):
        patterns.values[0] = 0
    assert patterns.values.dtype == np.float32
    assert patterns.values.base is None


@pytest.mark.parametrize("factor", [0.99, 1.01, np.nan])
def test_rows_that_are_no_distribution_are_not_shown(factor):
    """Scores of them would be numbers without a meaning."""
    values = np.full((1, 1, 1, 2, 2), 0.5, dtype=np.float32)
    Patterns(values.copy(), (0,))
    with pytest.raises(ValueError, match="rows sum to 1"):
        Patterns((values * factor).astype(np.float32), (0,))


def test_the_number_of_layers_has_to_match():
    values = np.full((1, 1, 1, 2, 2), 0.5, dtype=np.float32)
    with pytest.raises(ValueError, match="1 layers of values for 2"):
        Patterns(values, (0, 1))
