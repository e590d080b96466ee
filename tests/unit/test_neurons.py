"""Neurons: activations as the model computed them, and the tokens they promote."""

import numpy as np
import pytest
import torch

from analysis.errors import AnalysisError
from analysis.models.loading import HeadModel
from analysis.neurons import NeuronActivations, neuron_activations, neuron_peaks, promoted_tokens
from analysis.runs.inputs import Tokens, repeated_tokens, tokenize
from tests.conftest import make_model


@pytest.fixture(scope="module")
def tokens(with_mlp: HeadModel) -> Tokens:
    return repeated_tokens(with_mlp, length=6, batch=2)


def test_activations_follow_from_the_stream(with_mlp: HeadModel, tokens: Tokens) -> None:
    with torch.inference_mode():
        _, cache = with_mlp.bridge.run_with_cache(tokens.tensor)
    block = with_mlp.bridge.blocks[1]
    stream = torch.nn.functional.layer_norm(
        cache["blocks.1.hook_resid_mid"],
        (32,),
        block.ln2.original_component.weight,
        block.ln2.original_component.bias,
    )
    expected = torch.nn.functional.gelu(stream @ block.mlp.W_in + block.mlp.b_in)
    found = neuron_activations(with_mlp, tokens, 1)
    np.testing.assert_allclose(found.values, expected.numpy(), atol=1e-4)


def test_strongest_neurons_ignore_the_first_position_unless_asked() -> None:
    values = np.zeros((2, 3, 4), np.float32)
    values[0, 0, 0] = 9  # on BOS
    values[1, 2, 3] = 5
    values[0, 1, 1] = 7
    found = NeuronActivations(0, values)
    assert found.strongest(2) == [(1, 7.0), (3, 5.0)]
    assert found.strongest(1, skip_first=False) == [(0, 9.0)]
    assert len(found.strongest(100)) == 4


def test_peaks_are_the_maxima_of_the_activations_off_bos(
    with_mlp: HeadModel, tokens: Tokens
) -> None:
    peaks = neuron_peaks(with_mlp, tokens)
    for layer in range(2):
        values = neuron_activations(with_mlp, tokens, layer).values
        np.testing.assert_allclose(peaks.values[layer], values[:, 1:].max((0, 1)), atol=1e-6)
        neuron = np.arange(values.shape[-1])
        at = values[peaks.sequences[layer], peaks.positions[layer], neuron]
        np.testing.assert_allclose(at, peaks.values[layer], atol=1e-6)
        assert peaks.positions[layer].min() >= 1
        assert [n for _, n in peaks.strongest(3, layer)] == np.argsort(-peaks.values[layer])[
            :3
        ].tolist()
    best = peaks.strongest(1)[0]
    assert peaks.values[best] == peaks.values.max()
    assert len(peaks.strongest(1000)) == peaks.values.size


def test_without_bos_the_first_position_counts(with_mlp: HeadModel) -> None:
    tokens = tokenize(with_mlp, "Alice went home", prepend_bos=False)
    peaks = neuron_peaks(with_mlp, tokens)
    values = neuron_activations(with_mlp, tokens, 1).values[0]
    np.testing.assert_array_equal(peaks.positions[1], values.argmax(0))


def test_whether_the_first_position_counts_can_be_said(with_mlp: HeadModel) -> None:
    """The same ids with and without BOS allowed have other peaks: whoever keeps them has to say."""
    tokens = tokenize(with_mlp, "The cat sat on the mat.")
    without = Tokens(tokens.ids.copy(), tokens.labels, None, has_bos=False)
    default, counted = neuron_peaks(with_mlp, tokens), neuron_peaks(with_mlp, without)
    assert not np.array_equal(default.positions, counted.positions)
    for each in (tokens, without):
        for skip, expected in ((True, default), (False, counted)):
            found = neuron_peaks(with_mlp, each, skip_first=skip)
            np.testing.assert_array_equal(found.positions, expected.positions)
            np.testing.assert_array_equal(found.values, expected.values)


def test_promoted_tokens_equal_the_direct_path(with_mlp: HeadModel) -> None:
    """One more unit of a neuron moves the logits in proportion, the final scale held at 1."""
    bridge = with_mlp.bridge
    write = bridge.W_out[0, 17]
    weight = bridge.ln_final.original_component.weight
    logits = ((write - write.mean()) * weight) @ bridge.W_U
    raised, lowered = promoted_tokens(with_mlp, 0, 17, top=8)
    assert raised.ids.tolist() == logits.topk(8).indices.tolist()
    assert lowered.ids.tolist() == logits.topk(8, largest=False).indices.tolist()
    np.testing.assert_allclose(raised.values, logits.topk(8).values, atol=1e-4)
    np.testing.assert_allclose(-lowered.values, logits.topk(8, largest=False).values, atol=1e-4)


def test_a_model_without_norms_promotes_through_its_raw_weights() -> None:
    model = make_model(d_mlp=64)
    logits = model.bridge.W_out[1, 3] @ model.bridge.W_U
    raised, _ = promoted_tokens(model, 1, 3, top=4)
    assert raised.ids.tolist() == logits.topk(4).indices.tolist()


def test_what_has_no_neurons_is_refused(
    attention_only: HeadModel, with_mlp: HeadModel, tokens: Tokens
) -> None:
    with pytest.raises(AnalysisError, match="attention only"):
        neuron_activations(attention_only, tokens, 0)
    with pytest.raises(AnalysisError, match="attention only"):
        promoted_tokens(attention_only, 0, 0)
    with pytest.raises(AnalysisError, match="attention only"):
        neuron_peaks(attention_only, tokens)
    with pytest.raises(AnalysisError, match="Layer 2"):
        neuron_activations(with_mlp, tokens, 2)
    for neuron in (-1, 64):
        with pytest.raises(AnalysisError, match="0 to 63"):
            promoted_tokens(with_mlp, 0, neuron)
