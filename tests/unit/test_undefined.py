"""Heads without weights, one head, one layer: a number, NaN or a sentence, and never a crash."""

from collections.abc import Callable

import numpy as np
import pytest

import analysis
from analysis import AnalysisError, Head, HeadModel
from analysis.runs.inputs import Tokens, repeated_tokens
from tests.conftest import make_model

SIZES = {"plain": {}, "LN and MLP": {"normalization": "LN", "d_mlp": 64}}


def without_queries(**sizes: object) -> HeadModel:
    model = make_model(**sizes)
    attention = model.bridge.blocks[1].attn
    for weight in (attention.W_Q, attention.b_Q):
        weight[1].zero_()
    return model


def without_anything(**sizes: object) -> HeadModel:
    """All scores are equal, and no head reads or writes."""
    model = make_model(**sizes)
    for block in model.bridge.blocks:
        for part in ("W_Q", "b_Q", "W_K", "b_K", "W_V", "W_O"):
            getattr(block.attn, part).zero_()
    return model


def one_head(**sizes: object) -> HeadModel:
    return make_model(n_layers=1, n_heads=1, d_head=32, **sizes)


CALLS: dict[str, Callable[[HeadModel, Tokens, Head], object]] = {
    "k_composition": lambda m, t, h: analysis.k_composition(m, t, h.layer, h.head),
    "score_split": lambda m, t, h: analysis.score_split(m, t, h, 3, 2),
    "verify_pattern": lambda m, t, h: analysis.verify_pattern(m, t, h.layer),
    "composition": lambda m, t, h: analysis.composition_scores(m, "Q"),
    "eigenvalues": lambda m, t, h: analysis.ov_eigenvalues(m),
    "svd": lambda m, t, h: analysis.ov_svd(m, h),
    "copying": lambda m, t, h: analysis.ov_copying(m, h),
    "top tokens": lambda m, t, h: analysis.ov_top_tokens(m, h, 5),
    "positions": lambda m, t, h: analysis.previous_token_circuit(m, h.layer, h.head),
    "tokens": lambda m, t, h: analysis.qk_preferences(m, h, 5),
    "attribution": lambda m, t, h: analysis.logit_attribution(m, t),
    "sources": lambda m, t, h: analysis.source_attribution(m, t, h),
    "scores": lambda m, t, h: analysis.head_scores(m, t),
    "sweep": lambda m, t, h: analysis.ablation_sweep(m, t, "resample"),
    "targeted": lambda m, t, h: analysis.targeted_ablation(m, t, h),
    "edges": lambda m, t, h: analysis.faithfulness(m, t, analysis.edge_attribution(m, t).edges),
}


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("made", [without_queries, without_anything, one_head])
def test_what_is_undefined_is_said(made: Callable[..., HeadModel], sizes: str) -> None:
    model = made(**SIZES[sizes])
    tokens = repeated_tokens(model, length=4, batch=2)
    head = Head(model.n_layers - 1, model.n_heads - 1 and 1)
    for name, call in CALLS.items():
        try:
            call(model, tokens, head)
        except AnalysisError as refused:
            assert str(refused).endswith("."), name


def test_a_head_without_queries_scores_nothing_and_splits_into_nothing() -> None:
    model = without_queries()
    tokens = repeated_tokens(model, length=4, batch=2)
    split = analysis.k_composition(model, tokens, 1, 1)
    assert split.query_error == 0 and not split.score_std.any() and split.keys.any()
    assert analysis.score_split(model, tokens, Head(1, 1), 3, 2).score == 0


def test_what_a_head_without_weights_copies_and_composes_is_not_known() -> None:
    model = without_anything()
    assert np.isnan(analysis.ov_eigenvalues(model).score).all()
    assert np.isnan(analysis.composition_scores(model, "V").values).all()
    uniform = analysis.previous_token_circuit(model, 1, 1).values
    np.testing.assert_allclose(uniform[5, :6], 1 / 6, atol=1e-6)


def test_of_a_single_token_there_is_no_spread() -> None:
    model = make_model()
    alone = Tokens(np.array([[5]]), (("x",),), None, has_bos=False)
    assert np.isnan(analysis.k_composition(model, alone, 1, 0).score_std).all()
