"""The browsable lists name what is really there, and all of it."""

from functools import reduce

import numpy as np
import pytest
import torch

from analysis.activations import activation, hook_points, verify_pattern
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models.loading import HeadModel
from analysis.models.parameters import head_weight, parameters
from analysis.runs.inputs import Tokens, repeated_tokens
from tests.architectures import FAMILIES, hugging_face_weights, tiny
from tests.conftest import make_model

LOADED = ("gpt2", "neox", "llama", "qwen2", "qwen3", "gemma2", "gemma3")
TIED = ("gpt2", "gemma2", "gemma3")


SIZES = {
    "no norm": {},
    "LayerNorm": {"normalization": "LN"},
    "LayerNorm and MLP": {"normalization": "LN", "d_mlp": 64},
    "MLP without norm": {"d_mlp": 64},
}


@pytest.fixture(scope="module", params=SIZES)
def model(request: pytest.FixtureRequest) -> HeadModel:
    return make_model(**SIZES[request.param])


@pytest.fixture(scope="module")
def tokens(model: HeadModel) -> Tokens:
    return repeated_tokens(model, length=5, batch=2)


@pytest.fixture(scope="module")
def cache(model: HeadModel, tokens: Tokens) -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        _, kept = model.bridge.run_with_cache(tokens.tensor)
    return dict(kept.cache_dict)


def follow(model: HeadModel, path: str) -> torch.Tensor:
    """`blocks.0.attn.W_Q` from the bridge; numbers index."""
    tensor = reduce(
        lambda part, name: part[int(name)] if name.isdigit() else getattr(part, name),
        path.split("."),
        model.bridge,
    )
    assert isinstance(tensor, torch.Tensor)
    return tensor


def test_every_parameter_is_where_its_name_says_and_none_is_missing(model: HeadModel) -> None:
    listed = parameters(model)
    for parameter in listed:
        assert tuple(follow(model, parameter.name).shape) == parameter.shape, parameter.name
        assert len(parameter.axes) == len(parameter.shape)
    count = sum(int(np.prod(parameter.shape)) for parameter in listed)
    assert count == sum(value.numel() for value in model.bridge.state_dict().values())
    assert len({parameter.name for parameter in listed}) == len(listed)
    assert len({parameter.short_name for parameter in listed}) == len(listed)


def test_every_hook_point_fires_with_the_axes_it_claims(
    model: HeadModel, tokens: Tokens, cache: dict[str, torch.Tensor]
) -> None:
    input_sizes = {"batch": 2, "pos": 11, "dest": 11, "src": 11}
    for point in hook_points(model):
        sizes = tuple(
            input_sizes[axis] if size is None else size
            for axis, size in zip(point.axes, point.shape, strict=True)
        )
        assert tuple(cache[point.name].shape) == sizes, point.name


@pytest.mark.parametrize("architecture", LOADED)
def test_the_lists_are_those_of_the_architecture(architecture: str) -> None:
    """Of each as people load it: what it lacks is not listed, what is shared has fewer heads."""
    other = tiny(architecture)
    listed = parameters(other)
    for parameter in listed:
        assert tuple(follow(other, parameter.name).shape) == parameter.shape, parameter.name
    filed = {weight.data_ptr(): weight for weight in hugging_face_weights(architecture).values()}
    missing = {"b_U"} | ({"W_U"} if architecture in TIED else set())
    count = sum(np.prod(each.shape) for each in listed if each.name not in missing)
    assert count == sum(weight.numel() for weight in filed.values())
    tokens = repeated_tokens(other, length=5, batch=2)
    with torch.inference_mode():
        _, kept = other.bridge.run_with_cache(tokens.tensor)
    for point in hook_points(other):
        for axis, size, found in zip(point.axes, point.shape, kept[point.name].shape, strict=True):
            assert found == (size or {"batch": 2}.get(axis, 11)), point.name


def test_every_activation_is_listed_under_one_name(
    model: HeadModel, cache: dict[str, torch.Tensor]
) -> None:
    """What the full cache holds is token ids, or equals something on the list."""
    listed = [cache[point.name] for point in hook_points(model)]
    biased = {f"{name}.hook_out" for name in ("ln_final", *_norms(model))}
    for name, value in cache.items():
        if value.dtype == torch.int64 or name.endswith(".attn.hook_in"):
            continue
        # A norm's output is its normalized input times weight plus bias: on the page as such.
        if name in biased or name.endswith((".q.hook_in", ".k.hook_in", ".v.hook_in")):
            continue
        if name.endswith(("mlp.hook_in", "mlp.in.hook_in", "unembed.hook_in")):
            continue
        same = any(value.shape == other.shape and torch.equal(value, other) for other in listed)
        assert same, name


def _norms(model: HeadModel) -> list[str]:
    return [f"blocks.{layer}.ln{n}" for layer in range(model.n_layers) for n in (1, 2)]


def test_short_names_with_their_layer_are_unambiguous(model: HeadModel) -> None:
    keys = [(point.short_name, point.layer) for point in hook_points(model)]
    assert len(set(keys)) == len(keys)


def test_an_activation_is_the_cached_one(
    model: HeadModel, tokens: Tokens, cache: dict[str, torch.Tensor]
) -> None:
    for point in hook_points(model):
        # As layer 0, and every point costs a forward pass; scores have tests of their own.
        if point.layer == 1 or point.short_name == "attn_scores":
            continue
        found = activation(model, tokens, point.name)
        assert found.axes == point.axes
        np.testing.assert_allclose(found.values, cache[point.name].numpy(), atol=1e-5)


def test_unknown_and_oversized_activations_are_refused(
    model: HeadModel, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("blocks.2.attn.hook_q", "blocks.0.attn.hook_result", "", "__class__"):
        with pytest.raises(AnalysisError, match="list of hook points"):
            activation(model, tokens, name)
    monkeypatch.setattr("analysis.activations.MAX_BYTES", 4 * 2 * 11 * 4096 - 1)
    activation(model, tokens, "hook_embed")
    with pytest.raises(AnalysisError, match="MiB"):
        activation(model, tokens, "unembed.hook_out")


def test_a_pattern_worked_out_by_hand_is_the_models(model: HeadModel, tokens: Tokens) -> None:
    for layer in (0, 1):
        check = verify_pattern(model, tokens, layer)
        assert check.difference < 1e-5
        assert np.abs(check.computed.sum(-1) - 1).max() < 1e-5
        assert check.cached.shape == (2, 4, 11, 11)
        np.testing.assert_allclose(check.computed, check.cached, atol=1e-5)


def test_patterns_that_cannot_be_verified_are_refused(model: HeadModel, tokens: Tokens) -> None:
    with pytest.raises(AnalysisError, match="Layer 2"):
        verify_pattern(model, tokens, 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_verified_to_rounding(family: str) -> None:
    """Rotary positions, norms of queries, shared keys, scales and caps of their own."""
    model = tiny(family)
    tokens = repeated_tokens(model, length=3, batch=2)  # within the window of Gemma's layers
    for layer in range(model.n_layers):
        check = verify_pattern(model, tokens, layer)
        assert check.difference < 1e-6
        assert np.ptp(check.cached[..., -1, :]) > 0.02  # uneven, so that a mistake would show


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen3", "neox", "gemma2", "gemma3"])
def test_attn_scores_are_those_that_the_hook_holds_where_it_holds_scores(family: str) -> None:
    model = tiny(family)
    tokens = repeated_tokens(model, length=3, batch=2)
    _, cache = model.bridge.run_with_cache(tokens.tensor)
    seen = np.tri(tokens.length, dtype=bool)
    for layer in range(model.n_layers):
        found = activation(model, tokens, f"blocks.{layer}.attn.hook_attn_scores").values
        own = cache[f"blocks.{layer}.attn.hook_attn_scores"].numpy()
        np.testing.assert_allclose(found[..., seen], own[..., seen], atol=1e-4)
        assert np.isnan(found[..., ~seen]).all()


def test_attn_scores_of_a_model_whose_hook_holds_the_pattern(model: HeadModel) -> None:
    """In a slow loop; the hook's own rows sum to 1."""
    tokens = repeated_tokens(model, length=4, batch=2)
    found = activation(model, tokens, "blocks.1.attn.hook_attn_scores").values
    _, cache = model.bridge.run_with_cache(tokens.tensor)
    q, k = cache["q", 1], cache["k", 1]
    for batch, head, dest, src in ((0, 0, 3, 1), (1, 2, 8, 8), (1, 3, 5, 0)):
        expected = float(q[batch, dest, head] @ k[batch, src, head]) / model.d_head**0.5
        assert found[batch, head, dest, src] == pytest.approx(expected, abs=1e-5)


def test_a_heads_weights_make_its_queries_and_its_output(model: HeadModel) -> None:
    """Multiplied by hand from the stream on, they give the q and the write that were cached."""
    tokens = repeated_tokens(model, length=4, batch=2)
    _, cache = model.bridge.run_with_cache(tokens.tensor)
    head, block = Head(1, 2), model.bridge.blocks[1]
    with torch.inference_mode():
        stream = cache["resid_pre", 1]
        normed = block.ln1(stream) if model.info.normalization else stream
    for name, side in (("W_Q", "q"), ("W_K", "k"), ("W_V", "v")):
        weight = head_weight(model, head, name)
        assert weight.axes == ("d_model", "d_head")
        bias = getattr(block.attn, f"b_{name[-1]}")[2].numpy()
        found = normed.numpy() @ weight.values + bias
        np.testing.assert_allclose(found, cache[side, 1][:, :, 2].numpy(), atol=1e-4)
    every = [head_weight(model, Head(1, number), "W_O").values for number in range(4)]
    z = cache["z", 1].numpy()
    written = sum(z[:, :, number] @ each for number, each in enumerate(every))
    expected = cache["attn_out", 1].numpy() - block.attn.b_O.numpy()
    np.testing.assert_allclose(written, expected, atol=1e-4)


def test_heads_that_share_keys_have_the_same_ones() -> None:
    model = tiny("llama")  # 4 heads, 2 of keys and values
    keys = [head_weight(model, Head(0, number), "W_K") for number in range(4)]
    assert [weight.number for weight in keys] == [0, 0, 1, 1]
    own = hugging_face_weights("llama")["model.layers.0.self_attn.k_proj.weight"].numpy()
    for weight in keys:
        rows = own[8 * weight.number : 8 * (weight.number + 1)]
        np.testing.assert_allclose(weight.values, rows.T, atol=1e-6)
    with pytest.raises(AnalysisError, match="heads 0 to 3"):
        head_weight(model, Head(0, 9), "W_K")
