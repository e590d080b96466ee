"""Attention by distance and at rest, on made-up patterns of known answer."""

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.heads.distances import distance_profile, pattern_change, resting_attention
from analysis.heads.scores import head_scores
from analysis.models.loading import HeadModel
from analysis.runs.inputs import Tokens, repeated_tokens, tokenize
from analysis.runs.patterns import Patterns, attention_patterns

S = 8


@pytest.fixture(scope="module")
def tokens(attention_only: HeadModel) -> Tokens:
    return repeated_tokens(attention_only, length=S, batch=2)


def induction_head(tokens: Tokens) -> Patterns:
    """Attends S-1 back from the second half on, and rests on position 0 before."""
    n = tokens.length
    pattern = np.zeros((tokens.batch, 1, 1, n, n), np.float32)
    for dest in range(n):
        pattern[..., dest, dest - (S - 1) if dest > S else 0] = 1
    return Patterns(pattern, layers=(0,))


def test_an_induction_head_puts_all_its_attention_at_one_distance(tokens: Tokens) -> None:
    profile = distance_profile(induction_head(tokens), tokens)[0, 0]
    assert profile[S - 1] == 1
    assert profile.sum() == 1


def test_uniform_attention_falls_off_by_destination(tokens: Tokens) -> None:
    n = tokens.length
    uniform = np.tri(n, dtype=np.float32) / np.arange(1, n + 1, dtype=np.float32)[:, None]
    patterns = Patterns(np.broadcast_to(uniform, (2, 1, 1, n, n)).copy(), layers=(0,))
    profile = distance_profile(patterns, tokens)[0, 0]
    reached = 1 / np.arange(S + 2, 2 * S + 2)  # destinations S+1..2S
    np.testing.assert_allclose(profile[: S + 2], reached.mean(), rtol=1e-5)
    assert profile[-1] == pytest.approx(reached[-1])


def test_the_profile_of_a_model_holds_its_scores(attention_only: HeadModel, tokens: Tokens) -> None:
    """Two paths to the same numbers: on repeated tokens induction is distance S-1."""
    profile = distance_profile(attention_patterns(attention_only, tokens), tokens)
    scores = head_scores(attention_only, tokens)
    np.testing.assert_allclose(profile[..., S - 1], scores.induction, atol=1e-6)
    np.testing.assert_allclose(profile[..., S], scores.duplicate, atol=1e-6)
    prompt = tokenize(attention_only, "The cat sat on the mat")
    profile = distance_profile(attention_patterns(attention_only, prompt), prompt)
    scores = head_scores(attention_only, prompt)
    np.testing.assert_allclose(profile[..., 0], scores.current, atol=1e-6)
    np.testing.assert_allclose(profile[..., 1], scores.previous, atol=1e-6)


def test_an_induction_head_leaves_its_resting_place(tokens: Tokens) -> None:
    rest = resting_attention(induction_head(tokens), tokens)
    assert (rest.first_half.item(), rest.second_half.item()) == (1, 0)
    assert rest.chance[0] == pytest.approx(np.mean([1 / n for n in range(2, S + 2)]))
    assert rest.chance[1] == pytest.approx(np.mean([1 / n for n in range(S + 2, 2 * S + 2)]))


def test_what_cannot_be_summed_up_is_refused(attention_only: HeadModel, tokens: Tokens) -> None:
    prompt = tokenize(attention_only, "The cat sat on the mat")
    patterns = attention_patterns(attention_only, prompt)
    with pytest.raises(AnalysisError, match="no repeated half"):
        resting_attention(patterns, prompt)
    for function in (distance_profile, resting_attention):
        with pytest.raises(ValueError, match="but 2 x 17 tokens"):
            function(patterns, tokens)


def test_a_pattern_changes_by_the_attention_that_goes_elsewhere() -> None:
    """By hand: row 1 moves .25 of its attention, row 2 all of it; row 0 cannot."""
    one = np.array([[1, 0, 0], [0.5, 0.5, 0], [1, 0, 0]], np.float32)
    other = np.array([[1, 0, 0], [0.75, 0.25, 0], [0, 0.5, 0.5]], np.float32)
    before, after = (Patterns(each[None, None, None], (0,)) for each in (one, other))
    assert pattern_change(before, after).tolist() == [[(0.25 + 1) / 2]]
    assert pattern_change(before, before).tolist() == [[0]]
    shorter = Patterns(other[None, None, None, :2, :2], (0,))
    assert pattern_change(before, shorter).tolist() == [[0.25]]
    with pytest.raises(AnalysisError, match="one token"):
        pattern_change(before, Patterns(one[None, None, None, :1, :1], (0,)))
