"""Which heads are alike: known distances, and what must not count."""

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.heads.similarity import ALIKE, alike_within, similar_heads


def test_the_head_with_the_same_profile_comes_first_and_oneself_never():
    scores = {
        "a": np.array([[0.1, 0.9], [0.1, 0.5]], np.float32),
        "b": np.array([[3.0, 1.0], [3.0, 2.0]], np.float32),
    }
    found = similar_heads(scores, Head(0, 0))
    assert found[0] == (Head(1, 0), 0)
    assert [head for head, _ in found] == [Head(1, 0), Head(1, 1), Head(0, 1)]


def test_the_distance_is_that_of_z_scores():
    """Against z-scores written out, mean and all."""
    rng = np.random.default_rng(0)
    scores = {name: rng.normal(5, 3, (3, 4)).astype(np.float32) for name in "abc"}
    z = np.stack([(v - v.mean()) / v.std() for v in scores.values()], -1)
    for head, distance in similar_heads(scores, Head(2, 1)):
        expected = np.sqrt(((z[head.layer, head.head] - z[2, 1]) ** 2).sum())
        assert distance == pytest.approx(expected, rel=1e-4)


def test_the_unit_of_a_score_does_not_matter():
    """Entropy in nats must not outweigh shares of attention."""
    rng = np.random.default_rng(1)
    scores = {name: rng.random((2, 3)).astype(np.float32) for name in "ab"}
    scaled = {**scores, "b": scores["b"] * 1000 - 7}
    assert [head for head, _ in similar_heads(scores, Head(0, 2))] == [
        head for head, _ in similar_heads(scaled, Head(0, 2))
    ]


def test_unknown_and_constant_scores_are_left_out():
    known = np.array([[0.0, 1.0, 3.0]], np.float32)
    extra = {"unknown": np.full((1, 3), np.nan, np.float32), "same": np.ones((1, 3), np.float32)}
    assert similar_heads({"a": known, **extra}, Head(0, 0)) == similar_heads(
        {"a": known}, Head(0, 0)
    )


def test_distances_are_symmetric():
    rng = np.random.default_rng(2)
    scores = {name: rng.random((2, 2)).astype(np.float32) for name in "ab"}
    there = dict(similar_heads(scores, Head(0, 0)))[Head(1, 1)]
    assert there == pytest.approx(dict(similar_heads(scores, Head(1, 1)))[Head(0, 0)])


def test_nothing_to_compare_is_refused():
    with pytest.raises(AnalysisError, match="None of 1 scores is known"):
        similar_heads({"a": np.full((1, 2), np.nan, np.float32)}, Head(0, 0))
    with pytest.raises(AnalysisError, match="L3H0 was asked for"):
        similar_heads({"a": np.array([[0.0, 1.0]], np.float32)}, Head(3, 0))


def test_few_pairs_of_heads_are_alike_and_a_copy_always_is():
    """Against every pair, one after the other."""
    rng = np.random.default_rng(2)
    scores = {name: rng.random((4, 5)).astype(np.float32) for name in "abc"}
    for values in scores.values():
        values[3, 4] = values[0, 0]
    pairs = {
        frozenset((Head(layer, head), other)): distance
        for layer in range(4)
        for head in range(5)
        for other, distance in similar_heads(scores, Head(layer, head))
    }
    within = alike_within(scores)
    assert len(pairs) == 190
    assert np.mean([distance <= within for distance in pairs.values()]) == pytest.approx(
        ALIKE, abs=1 / 190
    )
    assert similar_heads(scores, Head(0, 0))[0] == (Head(3, 4), 0)
    assert within > 0
