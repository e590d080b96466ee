"""Next-token loss, right guesses and the most likely tokens."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from analysis import limits
from analysis.errors import AnalysisError
from analysis.runs import predictions
from analysis.runs.inputs import repeated_tokens, tokenize
from analysis.runs.predictions import NextTokenStats, next_token_stats, top_by_id
from tests.conftest import make_model

TEXT = "The cat sat on the mat, and the cat slept."


@pytest.fixture(params=["attention_only", "with_mlp"])
def model(request):
    return request.getfixturevalue(request.param)


def test_the_loss_is_torchs_cross_entropy(model):
    tokens = tokenize(model, TEXT)
    logits = model.bridge(tokens.tensor)[0, :-1]
    expected = functional.cross_entropy(logits.double(), tokens.tensor[0, 1:]).item()
    assert next_token_stats(model, tokens).loss == pytest.approx(expected, abs=1e-5)


def test_the_loss_is_transformerlenss_own(model):
    tokens = repeated_tokens(model, length=12, batch=3)
    expected = model.bridge(tokens.tensor, return_type="loss").item()
    assert next_token_stats(model, tokens).loss == pytest.approx(expected, abs=1e-5)


def test_the_loss_is_the_mean_of_the_log_probs(model):
    stats = next_token_stats(model, repeated_tokens(model, length=12, batch=3))
    assert stats.log_probs.shape == (3, 24)
    assert stats.loss == pytest.approx(-stats.log_probs.mean(), abs=1e-5)


def test_without_bos_the_first_token_is_not_scored(model):
    """One prediction fewer than tokens: the first token has nothing before it."""
    tokens = tokenize(model, TEXT, prepend_bos=False)
    logits = model.bridge(tokens.tensor, prepend_bos=False)[0, :-1]
    expected = functional.cross_entropy(logits, tokens.tensor[0, 1:]).item()
    stats = next_token_stats(model, tokens)
    assert stats.log_probs.shape == (1, tokens.length - 1)
    assert stats.loss == pytest.approx(expected, abs=1e-5)


def test_the_top_tokens_are_the_softmax_sorted(model):
    tokens = tokenize(model, TEXT)
    stats = next_token_stats(model, tokens, top_k=7)
    probabilities = model.bridge(tokens.tensor).softmax(-1).numpy()
    assert stats.top_ids.shape == stats.top_probs.shape == (1, tokens.length, 7)
    assert (np.diff(stats.top_probs) <= 0).all()
    np.testing.assert_allclose(
        stats.top_probs, np.sort(probabilities)[..., ::-1][..., :7], atol=1e-6
    )
    np.testing.assert_allclose(
        stats.top_probs, np.take_along_axis(probabilities, stats.top_ids, -1), atol=1e-6
    )


def test_all_tokens_probabilities_sum_to_1(model):
    stats = next_token_stats(model, tokenize(model, TEXT), top_k=10**6)
    assert stats.top_ids.shape[-1] == model.d_vocab
    np.testing.assert_allclose(stats.top_probs.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("top_k", [0, -1])
def test_fewer_than_one_top_token_is_refused(model, top_k):
    with pytest.raises(AnalysisError, match=f"{top_k}.*at least 1"):
        next_token_stats(model, tokenize(model, TEXT), top_k=top_k)


def test_a_guess_is_right_when_the_top_token_is_the_one_that_came(model):
    """Random weights guess next to nothing right, so the text is made to hold some right ones."""
    tokens = tokenize(model, TEXT)
    ids = tokens.ids.copy()
    for position in (3, 4, 8):
        best = model.bridge(torch.from_numpy(ids))[0, position - 1].argmax().item()
        ids[0, position] = best
    labels = tuple(str(i) for i in ids[0])
    tokens = type(tokens)(ids=ids, labels=(labels,), half_length=None, has_bos=True)
    stats = next_token_stats(model, tokens)
    assert stats.correct.shape == (1, tokens.length - 1)
    assert stats.correct[0, [2, 3, 7]].all()
    guess = model.bridge(tokens.tensor)[0].argmax(-1).numpy()
    np.testing.assert_array_equal(stats.correct[0], guess[:-1] == tokens.ids[0, 1:])
    np.testing.assert_array_equal(stats.correct, stats.top_ids[:, :-1, 0] == tokens.ids[:, 1:])


def test_logits_of_many_sequences_are_not_held_at_once(model, monkeypatch):
    tokens = repeated_tokens(model, length=6, batch=5)
    whole, sizes, run = next_token_stats(model, tokens), [], predictions.run

    def counted(model, ids):
        sizes.append(len(ids))
        return run(model, ids)

    monkeypatch.setattr(predictions, "run", counted)
    for sequences, expected in ((2, [2, 2, 1]), (0.5, [1] * 5)):
        size = int(sequences * 4 * tokens.length * model.d_vocab)
        monkeypatch.setattr(limits, "MAX_LOGIT_BYTES", size)
        sizes.clear()
        stats = next_token_stats(model, tokens)
        assert sizes == expected
        assert stats.loss == pytest.approx(whole.loss, abs=1e-5)
        np.testing.assert_allclose(stats.log_probs, whole.log_probs, atol=1e-5)
        np.testing.assert_array_equal(stats.top_ids, whole.top_ids)
        np.testing.assert_allclose(stats.top_probs, whole.top_probs, atol=1e-6)
        np.testing.assert_array_equal(stats.correct, whole.correct)


def test_an_entry_scores_the_token_after_it_and_sees_none_later(model):
    """Off by one, the chips of the Tokens page would be coloured for their neighbour."""
    tokens = tokenize(model, TEXT)
    base = next_token_stats(model, tokens).log_probs[0]
    ids = tokens.ids.copy()
    ids[0, 6] = (ids[0, 6] + 100) % model.d_vocab
    changed = type(tokens)(ids=ids, labels=tokens.labels, half_length=None, has_bos=True)
    moved = np.abs(next_token_stats(model, changed).log_probs[0] - base) > 1e-4
    assert not moved[:5].any()  # entries 0..4 score tokens 1..5
    assert moved[5]  # entry 5 scores token 6
    assert moved[6:].any()  # and later entries see it


def perfect_copier(model, ids, capture=(), hooks=()):
    """Logits that are certain of the token after the earlier copy, where there is an earlier copy.

    As no token inside a half repeats, nothing tells positions 0..S what comes next.
    """
    logits = torch.zeros(*ids.shape, model.d_vocab)
    for row, sequence in enumerate(ids.tolist()):
        for position, token in enumerate(sequence):
            if token in sequence[:position]:
                following = sequence[sequence.index(token) + 1]
                logits[row, position, following] = 1000
    return logits, {}


def test_the_second_half_excludes_the_one_token_that_nothing_predicts(attention_only, monkeypatch):
    """With entry S (the first repeated token) in it, even perfect induction would show a loss."""
    monkeypatch.setattr(predictions, "run", perfect_copier)
    length = 10
    tokens = repeated_tokens(attention_only, length=length, batch=3)
    stats = next_token_stats(attention_only, tokens)
    first, second = stats.half_losses(tokens)
    chance = np.log(attention_only.d_vocab)
    assert second == 0
    assert first == pytest.approx(chance, rel=1e-6)
    assert -stats.log_probs[:, length : 2 * length].mean() == pytest.approx(chance / length)


def test_half_losses_take_exactly_their_entries(attention_only):
    length = 4
    tokens = repeated_tokens(attention_only, length=length, batch=2)
    log_probs = -(2.0 ** np.arange(2 * length, dtype=np.float32))
    log_probs = np.stack([log_probs, log_probs])
    nothing = np.zeros((2, 2 * length + 1, 1))
    stats = NextTokenStats(
        loss=0.0,
        log_probs=log_probs,
        correct=np.zeros((2, 2 * length), dtype=bool),
        top_ids=nothing.astype(np.int64),
        top_probs=nothing.astype(np.float32),
    )
    first, second = stats.half_losses(tokens)
    assert first == (1 + 2 + 4 + 8) / 4
    assert second == pytest.approx((32 + 64 + 128) / 3)


def test_results_are_read_only(attention_only):
    """One result is shared by every visitor through the cache."""
    stats = next_token_stats(attention_only, tokenize(attention_only, TEXT))
    for array in (stats.log_probs, stats.correct, stats.top_ids, stats.top_probs):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_log_prob_that_is_no_number_is_not_shown():
    with pytest.raises(ValueError, match="not finite"):
        NextTokenStats(
            loss=0.0,
            log_probs=np.array([[np.nan]], dtype=np.float32),
            correct=np.array([[False]]),
            top_ids=np.zeros((1, 2, 1), dtype=np.int64),
            top_probs=np.zeros((1, 2, 1), dtype=np.float32),
        )


def test_of_equal_guesses_the_lower_id_comes_first_whatever_top_k() -> None:
    """`topk` takes any of them, and others for another k."""
    model = make_model()
    model.bridge.W_U.zero_()
    model.bridge.b_U.zero_()
    model.bridge.b_U[[40, 7, 900]] = 1
    tokens = repeated_tokens(model, length=3, batch=2)
    for k in (1, 2, 3, 5, 64, 4096):
        found = next_token_stats(model, tokens, top_k=k).top_ids
        expected = [7, 40, 900, *(i for i in range(4096) if i not in (7, 40, 900))][:k]
        assert (found == expected).all(), k


@pytest.mark.parametrize("k", [1, 3, 9, 20])
def test_top_by_id_is_a_stable_sort(k: int) -> None:
    values = torch.randint(0, 4, (50, 20), generator=torch.Generator().manual_seed(k)).float()
    top, ids = top_by_id(values, k)
    expected = np.argsort(-values.numpy(), axis=-1, kind="stable")[:, :k]
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_array_equal(top, np.take_along_axis(values.numpy(), expected, -1))
