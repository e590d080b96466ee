"""Composition scores: known answers, TransformerLens's own numbers, and the random baseline."""

import numpy as np
import pytest
import torch

from analysis.circuits.composition import KINDS, Kind, composition_scores, random_baseline
from analysis.circuits.weights import circuit_weights
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models.loading import HeadModel
from tests.conftest import make_model


def by_hand(model: HeadModel, kind: Kind) -> np.ndarray:
    """The definition, pair by pair, with d_model x d_model matrices."""
    w = circuit_weights(model)
    w_ov, w_qk = w.W_V @ w.W_O, w.W_Q @ w.W_K.mT
    reads = {"Q": w_qk, "K": w_qk.mT, "V": w_ov}[kind]
    shape = (model.n_layers, model.n_heads) * 2
    scores = np.full(shape, np.nan, np.float32)
    for a, b, c, d in np.ndindex(*shape):
        if a < c:
            product = w_ov[a, b] @ reads[c, d]
            scores[a, b, c, d] = product.norm() / (w_ov[a, b].norm() * reads[c, d].norm())
    return scores


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalization, d_mlp", [(None, 0), ("LN", 64)])
def test_scores_equal_the_definition_pair_by_pair(
    kind: Kind, normalization: str | None, d_mlp: int
) -> None:
    """Random W_QK is far from symmetric, so a missing transpose for K shows."""
    model = make_model(n_layers=3, normalization=normalization, d_mlp=d_mlp)
    ours = composition_scores(model, kind)
    np.testing.assert_allclose(ours.values, by_hand(model, kind), atol=1e-5)


def test_k_reads_the_transpose_that_q_does_not(attention_only: HeadModel) -> None:
    q, k = (composition_scores(attention_only, kind).values for kind in ("Q", "K"))
    assert np.nanmax(np.abs(q - k)) > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_scores_equal_transformer_lens(kind: Kind) -> None:
    """It gives 0 where ours are NaN. On a LayerNorm model it folds in place first."""
    for normalization, d_mlp in ((None, 0), ("LN", 64)):
        model = make_model(n_layers=3, normalization=normalization, d_mlp=d_mlp)
        ours = composition_scores(model, kind).values
        if normalization:
            model.bridge.enable_compatibility_mode(disable_warnings=True)
        theirs = model.bridge.all_composition_scores(kind).scores.detach().numpy()
        np.testing.assert_allclose(np.nan_to_num(ours), theirs, atol=1e-4)


def test_pairs_that_cannot_compose_are_nan(attention_only: HeadModel) -> None:
    values = composition_scores(attention_only, "K").values
    assert np.isfinite(values[0, :, 1]).all()
    assert np.isnan(values[0, :, 0]).all()
    assert np.isnan(values[1]).all()


def test_a_rank_one_pair_scores_the_cosine_of_what_is_written_and_read() -> None:
    """One direction written, one read by the keys: score = |cos| of the angle between them."""
    model = make_model(d_head=1)
    first, second = (model.bridge.blocks[layer].attn for layer in (0, 1))
    values = composition_scores(model, "K").values
    for writer, reader in np.ndindex(4, 4):
        written, read = first.W_O[writer, 0], second.W_K[reader, :, 0]
        cosine = torch.nn.functional.cosine_similarity(written, read, dim=0)
        assert values[0, writer, 1, reader] == pytest.approx(abs(float(cosine)), abs=1e-5)


def test_orthogonal_subspaces_score_zero_and_equal_ones_score_high() -> None:
    model = make_model()
    first, second = (model.bridge.blocks[layer].attn for layer in (0, 1))
    first.W_O[0].zero_()
    first.W_O[0][:, :8] = torch.eye(8)
    second.W_K[0].zero_()
    second.W_K[0][8:16] = torch.eye(8)
    second.W_K[1].zero_()
    second.W_K[1][:8] = torch.eye(8)
    values = composition_scores(model, "K").values
    assert values[0, 0, 1, 0] == pytest.approx(0, abs=1e-6)
    assert values[0, 0, 1, 1] > 0.3


def test_a_head_that_writes_nothing_has_no_score() -> None:
    model = make_model()
    model.bridge.blocks[0].attn.W_O[2].zero_()
    composition = composition_scores(model, "V")
    assert np.isnan(composition.values[0, 2, 1]).all()
    assert all(writer != Head(0, 2) for writer, _, _ in composition.strongest(100))


def test_random_pairs_score_one_over_the_root_of_d_model() -> None:
    for d_model, d_head in ((256, 32), (768, 64)):
        baseline = random_baseline(d_model, d_head, draws=40)
        assert baseline.closed_form == pytest.approx(d_model**-0.5)
        assert abs(baseline.mean - baseline.closed_form) < 5 * baseline.std
        assert baseline.std < 0.05 * baseline.mean
        assert len(baseline.sample) == 40
    # Simulated for the course's sizes with uniform weights: .03608 +- .00044.
    assert baseline.mean == pytest.approx(0.03608, abs=2e-4)
    assert baseline.std == pytest.approx(0.00044, abs=1.5e-4)


def test_heads_of_random_weights_score_like_random_pairs() -> None:
    """The baseline is what real pairs are compared with: it has to be that of the same function."""
    model = make_model(d_model=128, d_head=16)
    for kind in KINDS:
        found = composition_scores(model, kind)
        deviations = found.deviations[0, :, 1]
        assert abs(float(np.nanmean(found.values)) - 128**-0.5) < 5 * found.baseline.std
        assert np.abs(deviations).max() < 5


def test_the_baseline_follows_its_definition() -> None:
    generator = torch.Generator().manual_seed(5)
    a1, a2, b1, b2 = torch.randn(4, 3, 16, 4, generator=generator)
    w_a, w_b = a1 @ a2.mT, b1 @ b2.mT
    norm = torch.linalg.matrix_norm
    expected = norm(w_a @ w_b) / (norm(w_a) * norm(w_b))
    np.testing.assert_allclose(random_baseline(16, 4, draws=3, seed=5).sample, expected, atol=1e-5)


def test_strongest_pairs_come_in_order_and_name_real_scores(attention_only: HeadModel) -> None:
    composition = composition_scores(attention_only, "Q")
    pairs = composition.strongest(5)
    scores = [score for _, _, score in pairs]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(float(np.nanmax(composition.values)))
    for writer, reader, score in pairs:
        index = writer.layer, writer.head, reader.layer, reader.head
        assert composition.values[index] == pytest.approx(score)
    assert len(composition.strongest(1000)) == 16


def test_deviations_count_in_standard_deviations_of_random_pairs(
    attention_only: HeadModel,
) -> None:
    composition = composition_scores(attention_only, "K")
    baseline = composition.baseline
    expected = (composition.values[0, 1, 1, 2] - baseline.mean) / baseline.std
    assert composition.deviations[0, 1, 1, 2] == pytest.approx(expected, rel=1e-4)


def test_what_has_no_composition_is_refused(attention_only: HeadModel) -> None:
    with pytest.raises(AnalysisError, match="one layer"):
        composition_scores(make_model(n_layers=1))
    with pytest.raises(AnalysisError, match="at least 2"):
        composition_scores(attention_only, draws=1)
