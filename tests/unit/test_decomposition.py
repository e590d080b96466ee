"""Queries, keys and scores by component: the parts always add up to the model's own numbers."""

import numpy as np
import pytest
import torch

from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.logits.decomposition import Decomposition, k_composition, score_split
from analysis.models.loading import HeadModel
from analysis.runs.inputs import Tokens, repeated_tokens
from tests.conftest import make_model

SIZES = {
    "no norm": {},
    "LayerNorm": {"normalization": "LN"},
    "LayerNorm and MLP": {"normalization": "LN", "d_mlp": 64},
    "MLP without norm": {"d_mlp": 64},
}


@pytest.fixture(scope="module", params=SIZES)
def model(request: pytest.FixtureRequest) -> HeadModel:
    return make_model(n_layers=3, **SIZES[request.param])


@pytest.fixture(scope="module")
def tokens(model: HeadModel) -> Tokens:
    return repeated_tokens(model, length=6, batch=3)


@pytest.fixture(scope="module")
def cache(model: HeadModel, tokens: Tokens) -> dict[str, torch.Tensor]:
    """TransformerLens's own cache: the independent source of activations."""
    with torch.inference_mode():
        _, kept = model.bridge.run_with_cache(tokens.tensor)
    return dict(kept.cache_dict)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_components_sum_to_the_heads_queries_and_keys(
    model: HeadModel, tokens: Tokens, cache: dict[str, torch.Tensor], layer: int
) -> None:
    split = k_composition(model, tokens, layer, 2)
    query = cache[f"blocks.{layer}.attn.hook_q"][:, :, 2].numpy()
    key = cache[f"blocks.{layer}.attn.hook_k"][:, :, 2].numpy()
    np.testing.assert_allclose(split.queries.sum(0), query, atol=1e-4)
    np.testing.assert_allclose(split.keys.sum(0), key, atol=1e-4)
    assert max(split.stream_error, split.query_error, split.key_error) < 1e-5


def test_components_are_named_in_the_order_of_the_forward_pass(
    model: HeadModel, tokens: Tokens
) -> None:
    labels = k_composition(model, tokens, 2, 0).labels
    expected = ["Embedding", "Positions"]
    for layer in range(2):
        expected += [f"L{layer}H{head}" for head in range(4)]
        expected += [f"MLP{layer}"] * model.info.has_mlp
    assert labels == (*expected, "Biases")


def test_a_model_without_biases_has_no_row_for_them() -> None:
    model = make_model()
    for name, value in model.bridge.state_dict().items():
        if name.endswith("bias"):
            value.zero_()
    split = k_composition(model, repeated_tokens(model, length=5, batch=1), 1, 0)
    assert split.labels == ("Embedding", "Positions", "L0H0", "L0H1", "L0H2", "L0H3")


def test_one_components_part_is_its_own_write_through_the_norm(
    model: HeadModel, tokens: Tokens, cache: dict[str, torch.Tensor]
) -> None:
    """Guards against parts that are mislabelled yet add up: L0H1 alone, from the cache."""
    split = k_composition(model, tokens, 1, 3)
    write = cache["blocks.0.attn.hook_z"][:, :, 1] @ model.bridge.W_O[0, 1]
    if model.info.normalization:
        norm = model.bridge.blocks[1].ln1.original_component
        write = (write - write.mean(-1, keepdim=True)) / cache["blocks.1.ln1.hook_scale"]
        write = write * norm.weight
    part = split.labels.index("L0H1")
    expected = (write @ model.bridge.W_K[1, 3]).numpy()
    np.testing.assert_allclose(split.keys[part], expected, atol=1e-4)
    norms = np.linalg.norm(expected, axis=-1).mean(0)
    np.testing.assert_allclose(split.key_norms[part], norms, atol=1e-4)
    expected_query = (write @ model.bridge.W_Q[1, 3]).numpy()
    np.testing.assert_allclose(
        split.query_norms[part], np.linalg.norm(expected_query, axis=-1).mean(0), atol=1e-4
    )


def test_maps_of_all_pairs_sum_to_the_scores_before_the_mask(
    model: HeadModel, tokens: Tokens, cache: dict[str, torch.Tensor]
) -> None:
    split = k_composition(model, tokens, 1, 1)
    total = sum(split.score_map(a, b, sequence=2) for a in split.labels for b in split.labels)
    query = cache["blocks.1.attn.hook_q"][2, :, 1]
    key = cache["blocks.1.attn.hook_k"][2, :, 1]
    scores = (query @ key.T / model.d_head**0.5).numpy()
    causal = np.tri(len(scores), dtype=bool)
    assert isinstance(total, np.ndarray)
    np.testing.assert_allclose(total[causal], scores[causal], atol=1e-4)
    assert np.isnan(total[~causal]).all()
    # And softmax over them is the pattern that the model used.
    pattern = np.exp(np.where(causal, total, -np.inf))
    pattern /= pattern.sum(-1, keepdims=True)
    used = cache["blocks.1.attn.hook_pattern"][2, 1].numpy()
    np.testing.assert_allclose(pattern, used, atol=1e-4)


def test_spread_of_a_pair_is_that_of_its_maps(model: HeadModel, tokens: Tokens) -> None:
    split = k_composition(model, tokens, 1, 0)
    rows = np.tri(tokens.length, dtype=bool)
    for a, b in ((0, 3), (3, 0), (1, 1)):
        maps = [
            split.score_map(split.labels[a], split.labels[b], sequence)
            for sequence in range(tokens.batch)
        ]
        expected = np.mean([np.std(scores[rows], ddof=1) for scores in maps])
        assert split.score_std[a, b] == pytest.approx(expected, rel=1e-4)
        whole = [
            split.queries[a, sequence] @ split.keys[b, sequence].T / model.d_head**0.5
            for sequence in range(tokens.batch)
        ]
        expected = np.mean([np.std(scores, ddof=1) for scores in whole])
        assert split.course_std[a, b] == pytest.approx(expected, rel=1e-4)


def test_a_split_that_does_not_add_up_is_not_built(model: HeadModel, tokens: Tokens) -> None:
    good = k_composition(model, tokens, 1, 0)
    with pytest.raises(ValueError, match="query_error"):
        Decomposition(**(vars(good) | {"query_error": 1e-3}))


def test_one_score_splits_by_component_on_either_side(
    model: HeadModel, tokens: Tokens, cache: dict[str, torch.Tensor]
) -> None:
    for head, dest, src in ((Head(2, 1), 11, 5), (Head(1, 0), 12, 12), (Head(0, 3), 4, 0)):
        split = score_split(model, tokens, head, dest, src, sequence=1)
        query = cache[f"blocks.{head.layer}.attn.hook_q"][1, dest, head.head]
        key = cache[f"blocks.{head.layer}.attn.hook_k"][1, src, head.head]
        score = float(query @ key) / model.d_head**0.5
        assert split.score == pytest.approx(score, abs=1e-4)
        assert split.query_side.sum() == pytest.approx(score, abs=1e-4)
        assert split.key_side.sum() == pytest.approx(score, abs=1e-4)
        np.testing.assert_allclose(split.pairs.sum(1), split.query_side, atol=1e-4)
        np.testing.assert_allclose(split.pairs.sum(0), split.key_side, atol=1e-4)
        whole = k_composition(model, tokens, head.layer, head.head)
        pair = whole.score_map(whole.labels[0], whole.labels[1], sequence=1)[dest, src]
        assert split.pairs[0, 1] == pytest.approx(float(pair), abs=1e-4)


def test_what_does_not_exist_is_refused(model: HeadModel, tokens: Tokens) -> None:
    with pytest.raises(AnalysisError, match="L3H0"):
        k_composition(model, tokens, 3, 0)
    split = k_composition(model, tokens, 0, 0)
    with pytest.raises(AnalysisError, match="L9H9"):
        split.score_map("Embedding", "L9H9")
    with pytest.raises(AnalysisError, match="Sequence 3"):
        split.score_map("Embedding", "Positions", sequence=3)
    for dest, src in ((3, 4), (13, 0), (2, -1)):
        with pytest.raises(AnalysisError, match="never after"):
            score_split(model, tokens, Head(1, 0), dest, src)
    with pytest.raises(AnalysisError, match="Sequence -1"):
        score_split(model, tokens, Head(1, 0), 3, 2, sequence=-1)


def test_oversized_splits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    small = make_model()
    monkeypatch.setattr("analysis.logits.decomposition.MAX_BYTES", 1000)
    with pytest.raises(AnalysisError, match="MiB"):
        k_composition(small, repeated_tokens(small, length=5, batch=1), 1, 0)


def test_a_split_says_that_the_norms_scale_is_the_real_one(
    attention_only: HeadModel, with_mlp: HeadModel
) -> None:
    """The circuits' own sentence, which counts the scale as 1, would be wrong here."""
    tokens = repeated_tokens(with_mlp, 5, 2)
    with_norms = k_composition(with_mlp, tokens, 1, 0)
    assert "really had" in with_norms.assumes
    assert "Biases" in with_norms.labels
    assert "no norms" in k_composition(attention_only, tokens, 1, 0).assumes
