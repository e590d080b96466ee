"""The logit lens, against the stream read by hand and against the model's own predictions."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.logits.lens import logit_lens
from analysis.models.loading import HeadModel
from analysis.runs.inputs import Tokens, tokenize
from analysis.runs.predictions import next_token_stats
from tests.conftest import make_model


@pytest.fixture(params=["attention_only", "with_mlp"])
def model(request: pytest.FixtureRequest) -> HeadModel:
    found: HeadModel = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def tokens(model: HeadModel) -> Tokens:
    return tokenize(model, "The cat sat on the mat, and the cat slept.")


def test_the_last_depth_is_the_models_own_prediction(model: HeadModel, tokens: Tokens) -> None:
    lens, own = logit_lens(model, tokens), next_token_stats(model, tokens, top_k=5)
    np.testing.assert_array_equal(lens.top_ids[:, -1], own.top_ids)
    np.testing.assert_allclose(lens.top_probs[:, -1], own.top_probs, atol=1e-5)
    np.testing.assert_allclose(lens.log_probs[:, -1], own.log_probs, atol=1e-4)
    assert lens.error < 1e-4


def test_every_depth_is_its_stream_through_norm_and_unembedding(
    model: HeadModel, tokens: Tokens
) -> None:
    """The norm written out: a lens without it, or with the last layer's scale, would differ."""
    _, cache = model.bridge.run_with_cache(tokens.tensor)
    state = model.bridge.state_dict()
    streams = [cache["resid_pre", 0], *(cache["resid_post", i] for i in range(model.n_layers))]
    lens = logit_lens(model, tokens, top_k=model.d_vocab)
    assert lens.labels == ("Embedding", "L0", "L1")
    for depth, stream in enumerate(streams):
        if model.info.normalization:
            centred = stream - stream.mean(-1, keepdim=True)
            scaled = centred / ((centred**2).mean(-1, keepdim=True) + 1e-5).sqrt()
            stream = scaled * state["ln_final.weight"] + state["ln_final.bias"]
        expected = (stream @ state["unembed.weight"].T + state["unembed.bias"]).softmax(-1)
        found = torch.zeros_like(expected)
        found.scatter_(
            -1, torch.tensor(lens.top_ids[:, depth]), torch.tensor(lens.top_probs[:, depth])
        )
        np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)
        end = model.bridge(tokens.tensor).argmax(-1, keepdim=True)  # what the model ends with
        sure = expected.gather(-1, end)[..., 0]
        np.testing.assert_allclose(lens.end_probs[:, depth], sure.numpy(), atol=1e-5)
        came = expected[:, :-1].log().gather(-1, tokens.tensor[:, 1:, None])[..., 0]
        np.testing.assert_allclose(lens.log_probs[:, depth], came.numpy(), atol=1e-4)


def test_a_block_that_writes_nothing_changes_no_prediction() -> None:
    model = make_model(d_mlp=64, normalization="LN")
    block = model.bridge.blocks[1]
    for layer in (block.attn.o, block.mlp.out):
        layer.original_component.weight.zero_()
        layer.original_component.bias.zero_()
    lens = logit_lens(model, tokenize(model, "The cat sat on the mat"))
    np.testing.assert_array_equal(lens.top_ids[:, 1], lens.top_ids[:, 2])
    np.testing.assert_allclose(lens.top_probs[:, 1], lens.top_probs[:, 2], atol=1e-6)


def test_a_lens_whose_last_depth_is_not_the_models_output_is_not_built(
    model: HeadModel, tokens: Tokens
) -> None:
    lens = logit_lens(model, tokens)
    for wrong in (0.5, float("nan")):
        with pytest.raises(ValueError, match="the last depth equals the logits within"):
            replace(lens, error=wrong)
    with pytest.raises(ValueError, match="3 depths but 1 labels"):
        replace(lens, labels=("L0",))


def test_the_lens_lists_at_least_one_token_and_is_read_only(
    model: HeadModel, tokens: Tokens
) -> None:
    with pytest.raises(AnalysisError, match="at least 1"):
        logit_lens(model, tokens, top_k=0)
    lens = logit_lens(model, tokens, top_k=1)
    assert lens.top_ids.shape == (1, 3, tokens.length, 1)
    for array in (lens.top_ids, lens.top_probs, lens.log_probs):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize("at", [0, 4])
def test_one_position_reads_as_it_does_among_all(model: HeadModel, tokens: Tokens, at: int) -> None:
    whole, one = logit_lens(model, tokens), logit_lens(model, tokens, at=at)
    np.testing.assert_array_equal(one.top_ids[:, :, 0], whole.top_ids[:, :, at])
    np.testing.assert_allclose(one.top_probs[:, :, 0], whole.top_probs[:, :, at], atol=1e-6)
    np.testing.assert_allclose(one.end_probs[:, :, 0], whole.end_probs[:, :, at], atol=1e-6)
    assert one.log_probs.shape[-1] == 0
    with pytest.raises(AnalysisError, match="there are positions 0 to"):
        logit_lens(model, tokens, at=tokens.length)


def test_without_heads_it_reads_the_streams_that_they_leave(
    model: HeadModel, tokens: Tokens
) -> None:
    """Beside TransformerLens's own hooks; before the layer of the head nothing changes."""

    def silenced(z: torch.Tensor, hook: object) -> torch.Tensor:
        z = z.clone()
        z[:, :, 1] = 0
        return z

    found = logit_lens(model, tokens, without=[Head(1, 1)])
    with model.bridge.hooks(fwd_hooks=[("blocks.1.attn.hook_z", silenced)]):
        own = model.bridge(tokens.tensor).softmax(-1)
    top = own.topk(5).values.numpy()
    np.testing.assert_allclose(found.top_probs[:, -1], top, atol=1e-5)
    whole = logit_lens(model, tokens)
    np.testing.assert_allclose(found.top_probs[:, :2], whole.top_probs[:, :2], atol=1e-6)
    assert not np.allclose(found.top_probs[:, -1], whole.top_probs[:, -1], atol=1e-5)
