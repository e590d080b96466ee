"""Head scores, on synthetic heads whose scores are known and against a loop from the definition."""

import numpy as np
import pytest

from analysis import limits
from analysis.definitions import SCORE_NAMES, TARGETED
from analysis.effects.knockout import keep_only
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.heads.scores import head_scores, score_patterns, targets
from analysis.runs import patterns as patterns_module
from analysis.runs.inputs import Tokens, repeated_tokens, tokenize
from analysis.runs.patterns import Patterns, attention_patterns
from analysis.runs.results import HeadScores
from tests.allocations import largest_tensor
from tests.conftest import make_model
from tests.score_samples import SAMPLES

S = 50


@pytest.fixture(scope="module")
def roomy():
    """A context of 128, enough for the course's S = 50."""
    return make_model(n_ctx=128)


@pytest.fixture(scope="module")
def repeated(roomy):
    return repeated_tokens(roomy, length=S, batch=3)


def prompt(*rows):
    """Tokens of a prompt with given ids."""
    ids = np.array(rows, dtype=np.int64)
    labels = tuple(tuple(str(i) for i in row) for row in rows)
    return Tokens(ids, labels, half_length=None, has_bos=True)


def synthetic(tokens, source):
    """One head that puts all attention of `dest` on `source(dest)`."""
    n = tokens.length
    values = np.zeros((tokens.batch, 1, 1, n, n), dtype=np.float32)
    for dest in range(n):
        values[:, :, :, dest, source(dest)] = 1
    return Patterns(values, (0,))


def uniform(tokens):
    """Uniform causal attention."""
    n = tokens.length
    values = np.tri(n, dtype=np.float32) / np.arange(1, n + 1, dtype=np.float32)[:, None]
    return Patterns(np.tile(values, (tokens.batch, 1, 1, 1, 1)), (0,))


def at_random(tokens, heads=3, layers=2, seed=0):
    """Random causal attention, peaked enough that every entry differs."""
    n = tokens.length
    draws = np.random.default_rng(seed).normal(size=(tokens.batch, layers, heads, n, n)) * 2
    values = np.exp(draws) * np.tri(n)
    values /= values.sum(-1, keepdims=True)
    return Patterns(values.astype(np.float32), tuple(range(layers)))


def score_of(patterns, tokens, name):
    return score_patterns(patterns, tokens)[name].item()


def stripe(offset):
    """Attention `offset` back in the second half, BOS elsewhere."""
    return lambda dest: dest - offset if dest >= S + 1 else 0


@pytest.mark.parametrize("name", SCORE_NAMES)
def test_a_head_scores_what_its_sample_says(name):
    sample = SAMPLES[name]
    values = np.zeros((1, 1, 1, len(sample.ids), len(sample.ids)), np.float32)
    for dest, row in enumerate(sample.pattern):
        values[..., dest, : dest + 1] = row
    found = score_patterns(Patterns(values, (0,)), prompt(sample.ids))[name].item()
    assert found == pytest.approx(sample.score, abs=1e-5)


def test_a_head_that_attends_one_back_is_a_previous_token_head(repeated):
    scores = score_patterns(synthetic(repeated, lambda dest: max(dest - 1, 0)), repeated)
    n = repeated.length
    assert scores.previous.item() == 1
    assert scores.current.item() == pytest.approx(1 / n)  # row 0 can only attend to itself
    assert scores.first.item() == pytest.approx(2 / n)  # rows 0 and 1
    assert scores.duplicate.item() == scores.induction.item() == 0


def test_a_head_that_attends_to_itself_is_a_current_token_head(repeated):
    scores = score_patterns(synthetic(repeated, lambda dest: dest), repeated)
    assert scores.current.item() == 1
    assert scores.previous.item() == scores.duplicate.item() == scores.induction.item() == 0
    assert scores.entropy.item() == 0


def test_a_head_that_rests_on_position_0_is_a_first_token_head(repeated):
    scores = score_patterns(synthetic(repeated, lambda dest: 0), repeated)
    assert scores.first.item() == 1
    assert scores.previous.item() == pytest.approx(1 / (repeated.length - 1))
    assert scores.duplicate.item() == scores.induction.item() == 0


def test_a_head_that_attends_to_the_earlier_copy_is_a_duplicate_token_head(repeated):
    scores = score_patterns(synthetic(repeated, stripe(S)), repeated)
    assert scores.duplicate.item() == 1
    assert scores.induction.item() == 0


def test_a_perfect_induction_head_scores_exactly_1(repeated):
    scores = score_patterns(synthetic(repeated, stripe(S - 1)), repeated)
    assert scores.induction.item() == 1
    assert scores.duplicate.item() == 0


def test_the_courses_stripe_gives_a_perfect_head_51_of_52(repeated):
    """Its diagonal has two cells that cannot be induction; one of them lies on BOS."""
    scores = score_patterns(synthetic(repeated, stripe(S - 1)), repeated)
    assert scores.course_stripe.item() == pytest.approx((S + 1) / (S + 2), abs=1e-6)


@pytest.mark.parametrize("offset", [S - 2, S, S + 1])
def test_a_stripe_that_is_off_by_one_is_no_induction(repeated, offset):
    """The mistake of a published write-up that had to be retracted."""
    scores = score_patterns(synthetic(repeated, stripe(offset)), repeated)
    assert scores.induction.item() == 0
    assert scores.course_stripe.item() < 0.05


def test_induction_in_the_first_half_does_not_count(repeated):
    """Only dest S+1 .. 2S have an earlier copy; what a head does elsewhere is not induction."""
    last = synthetic(repeated, lambda dest: dest - (S - 1) if dest == 2 * S else 0)
    assert score_of(last, repeated, "induction") == pytest.approx(1 / S)
    before = synthetic(repeated, lambda dest: dest - (S - 1) if dest == S else 0)
    assert score_of(before, repeated, "induction") == 0


@pytest.mark.parametrize("tokens", ["repeated", "text"])
def test_uniform_attention_scores_exactly_chance(request, tokens):
    tokens = prompt([0, 5, 7, 5, 9, 5, 11]) if tokens == "text" else request.getfixturevalue(tokens)
    scores = score_patterns(uniform(tokens), tokens)
    for name in SCORE_NAMES:
        assert scores[name].item() == pytest.approx(scores.chance[name], abs=1e-6)


def test_chance_is_what_the_definitions_give(repeated):
    chance = score_patterns(uniform(repeated), repeated).chance
    share = 1 / (np.arange(2 * S + 1) + 1.0)
    assert chance["current"] == pytest.approx(share.mean(), rel=1e-5)
    assert chance["first"] == pytest.approx(share.mean(), rel=1e-5)
    assert chance["previous"] == pytest.approx(share[1:].mean(), rel=1e-5)
    assert chance["duplicate"] == pytest.approx(share[S + 1 :].mean(), rel=1e-5)
    assert chance["induction"] == pytest.approx(share[S + 1 :].mean(), rel=1e-5)
    assert chance["entropy"] == pytest.approx(np.log(1 / share).mean(), rel=1e-5)


def test_the_entropy_of_uniform_attention_is_the_log_of_its_sources(repeated):
    expected = np.log(np.arange(repeated.length) + 1).mean()
    assert score_of(uniform(repeated), repeated, "entropy") == pytest.approx(expected, rel=1e-5)


def test_text_with_a_token_three_times_counts_every_earlier_copy():
    tokens = prompt([0, 5, 7, 5, 9, 5, 11])
    duplicate, induction = targets("duplicate", tokens)[0], targets("induction", tokens)[0]
    assert {(int(d), int(s)) for d, s in np.argwhere(duplicate)} == {(3, 1), (5, 1), (5, 3)}
    assert {(int(d), int(s)) for d, s in np.argwhere(induction)} == {(3, 2), (5, 2), (5, 4)}


def test_the_token_after_its_copy_is_never_the_destination_itself():
    """In `the the`, the token after the first is the second: attending there copies nothing."""
    tokens = prompt([0, 5, 5, 7, 5])
    induction = targets("induction", tokens)[0]
    assert {(int(d), int(s)) for d, s in np.argwhere(induction)} == {(4, 2), (4, 3)}
    current = synthetic(tokens, lambda dest: dest)
    assert score_of(current, tokens, "induction") == 0


def test_scores_of_text_add_up_over_copies():
    tokens = prompt([0, 5, 7, 5, 9, 5, 11])
    values = np.zeros((1, 1, 1, 7, 7), dtype=np.float32)
    values[..., 0] = 1
    values[0, 0, 0, 5] = [0, 0.1, 0.2, 0.3, 0.4, 0, 0]
    scores = score_patterns(Patterns(values, (0,)), tokens)
    assert scores.duplicate.item() == pytest.approx((0 + 0.1 + 0.3) / 2)
    assert scores.induction.item() == pytest.approx((0 + 0.2 + 0.4) / 2)
    assert scores.course_stripe is None


def test_nothing_repeats_so_nothing_can_be_said():
    """0 would read as "no induction head"; the text cannot show one."""
    tokens = prompt([0, 5, 7, 9])
    scores = score_patterns(uniform(tokens), tokens)
    assert np.isnan(scores.duplicate).all()
    assert np.isnan(scores.induction).all()
    assert np.isnan(scores.chance["induction"])
    assert np.isfinite(scores.previous).all()
    assert scores.above("induction", 0.0) == []


def test_sequences_in_which_nothing_repeats_are_left_out_of_the_mean():
    tokens = prompt([0, 5, 7, 5], [0, 1, 2, 3])
    pattern = synthetic(tokens, lambda dest: 2 if dest == 3 else 0)
    assert score_of(pattern, tokens, "induction") == 1


def slow_scores(pattern, ids):
    """The course's scores of one pattern [dest, src], from the words of their definitions."""
    n = len(ids)
    by_name = {name: [] for name in ("current", "previous", "first", "duplicate", "induction")}
    for dest in range(n):
        copies = [src for src in range(dest) if ids[src] == ids[dest]]
        sources = {
            "current": [dest],
            "previous": [dest - 1] if dest else [],
            "first": [0],
            "duplicate": copies,
            "induction": [src + 1 for src in copies if src + 1 < dest],
        }
        for name, chosen in sources.items():
            if chosen:
                by_name[name].append(sum(float(pattern[dest, src]) for src in chosen))
    found = {name: np.mean(values) if values else np.nan for name, values in by_name.items()}
    rows = [-sum(p * np.log(p) for p in row.astype(float) if p > 0) for row in pattern]
    return found | {"entropy": np.mean(rows)}


@pytest.mark.parametrize("kind", ["repeated", "text"])
def test_scores_equal_a_slow_loop_on_random_patterns(roomy, kind):
    if kind == "repeated":
        tokens = repeated_tokens(roomy, length=9, batch=4)
    else:
        rng = np.random.default_rng(5)
        tokens = prompt(*([0, *rng.integers(1, 6, size=15).tolist()] for _ in range(4)))
    patterns = at_random(tokens)
    scores = score_patterns(patterns, tokens)
    for layer in range(2):
        for head in range(3):
            slow = [
                slow_scores(patterns.values[row, layer, head], tokens.ids[row].tolist())
                for row in range(4)
            ]
            for name in slow[0]:
                each = np.array([one[name] for one in slow])
                assert scores[name][layer, head] == pytest.approx(each.mean(), abs=1e-6)
                spread = scores.spread[name][layer, head]
                assert spread == pytest.approx(np.std(each, ddof=1), abs=1e-6)


def test_one_sequence_has_no_spread(roomy):
    """0 would claim that other sequences give the same."""
    tokens = repeated_tokens(roomy, length=9, batch=1)
    scores = score_patterns(at_random(tokens), tokens)
    for name in SCORE_NAMES:
        assert np.isnan(scores.spread[name]).all()
        assert np.isfinite(scores[name]).all()


def test_a_score_does_not_depend_on_what_else_is_in_the_batch(roomy):
    tokens = repeated_tokens(roomy, length=9, batch=4)
    patterns = at_random(tokens)
    together = score_patterns(patterns, tokens)
    alone = []
    for row in range(4):
        one = Tokens(tokens.ids[row : row + 1].copy(), tokens.labels[row : row + 1], 9, True)
        alone.append(score_patterns(Patterns(patterns.values[row : row + 1].copy(), (0, 1)), one))
    for name in SCORE_NAMES:
        np.testing.assert_allclose(
            together[name], np.mean([one[name] for one in alone], 0), atol=1e-6
        )


def test_rounding_stays_below_the_last_digit_shown_at_a_full_context():
    """Sums run in float32 over up to a context of 512; shown are two to three digits."""
    tokens = prompt([0, *np.random.default_rng(0).integers(1, 40, size=511).tolist()])
    patterns = at_random(tokens, heads=2, layers=1)
    scores = score_patterns(patterns, tokens)
    exact = patterns.values.astype(np.float64)
    for name in TARGETED:
        mask = targets(name, tokens)
        expected = (exact * mask[:, None, None]).sum((-1, -2)) / mask.any(-1).sum()
        np.testing.assert_allclose(scores[name], expected[0], atol=2e-6)
    entropy = -(exact * np.log(np.where(exact > 0, exact, 1))).sum(-1).mean(-1)
    np.testing.assert_allclose(scores.entropy, entropy[0], atol=2e-5)


def test_patterns_of_other_tokens_are_refused(roomy):
    tokens = repeated_tokens(roomy, length=9, batch=2)
    for other in (
        repeated_tokens(roomy, length=9, batch=3),
        repeated_tokens(roomy, length=8, batch=2),
    ):
        with pytest.raises(ValueError, match="tokens"):
            score_patterns(at_random(tokens), other)


def test_entropy_has_no_targets(repeated):
    with pytest.raises(ValueError, match="entropy"):
        targets("entropy", repeated)


def test_heads_above_a_threshold_come_highest_first(roomy):
    tokens = repeated_tokens(roomy, length=9, batch=2)
    scores = score_patterns(at_random(tokens), tokens)
    threshold = float(np.median(scores.previous))
    found = scores.above("previous", threshold)
    values = [value for _, value in found]
    assert values == sorted(values, reverse=True)
    assert {(head.layer, head.head) for head, _ in found} == {
        (int(layer), int(head)) for layer, head in np.argwhere(scores.previous > threshold)
    }
    for head, value in found:
        assert scores.previous[head.layer, head.head] == pytest.approx(value)
    assert scores.above("previous", max(values)) == []


def test_heads_keep_their_layer_when_only_some_layers_are_scored(roomy):
    """Scores of layer 1 alone must not be listed as heads of layer 0."""
    tokens = repeated_tokens(roomy, length=9, batch=2)
    everything = at_random(tokens)
    second = Patterns(everything.values[:, 1:].copy(), (1,))
    expected = [
        pair for pair in score_patterns(everything, tokens).above("previous", 0.0) if pair[0].layer
    ]
    assert score_patterns(second, tokens).above("previous", 0.0) == expected
    assert expected[0][0].layer == Head(1, 0).layer


def test_head_scores_are_the_scores_of_the_models_patterns(attention_only):
    tokens = tokenize(attention_only, "The cat sat on the mat and the cat sat.")
    ours = head_scores(attention_only, tokens)
    expected = score_patterns(attention_patterns(attention_only, tokens), tokens)
    for name in SCORE_NAMES:
        np.testing.assert_array_equal(ours[name], expected[name])
        assert ours[name].shape == (2, 4)


def test_by_default_scores_are_of_the_courses_repeated_tokens(roomy):
    """10 sequences of 50 random tokens repeated; the seed changes them."""
    default = head_scores(roomy)
    expected = head_scores(roomy, repeated_tokens(roomy, length=50, batch=10, seed=0))
    np.testing.assert_array_equal(default.induction, expected.induction)
    other = head_scores(roomy, seed=1)
    assert not np.array_equal(default.induction, other.induction)
    assert np.isfinite(default.spread["induction"]).all()


def test_every_array_of_the_scores_is_read_only(repeated):
    """One result is shared by every visitor through the cache."""
    scores = score_patterns(synthetic(repeated, lambda dest: dest), repeated)
    arrays = [scores[name] for name in SCORE_NAMES]
    arrays += [scores.spread[name] for name in SCORE_NAMES]
    arrays += [scores.course_stripe]
    for array in arrays:
        assert array.dtype == np.float32
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(TypeError):
        scores.spread["current"] = None


def test_a_score_that_a_result_is_older_than_is_not_measured(repeated):
    whole = score_patterns(synthetic(repeated, lambda dest: dest), repeated)
    values = {name: whole[name] for name in SCORE_NAMES if name != "first"}
    older = HeadScores(values, {}, {}, None, (0,))
    assert whole.not_measured == ()
    assert older.not_measured == ("first",)
    assert older.first.shape == (1, 1)
    assert np.isnan(older["first"]).all()
    assert np.isnan(older.chance["first"])
    assert np.isnan(older.spread["first"]).all()
    assert older.above("first", 0.0) == []
    assert older.current.item() == 1
    with pytest.raises(AttributeError, match="no score is called last"):
        older.last  # noqa: B018
    with pytest.raises(KeyError):
        older["last"]


def test_scores_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="induction score lies outside"):
        HeadScores({"induction": np.full((1, 1), 1.5, np.float32)}, {}, {}, None, (0,))
    with pytest.raises(ValueError, match="1 rows of scores for 2 layers"):
        HeadScores({"induction": np.zeros((1, 1), np.float32)}, {}, {}, None, (0, 1))
    with pytest.raises(ValueError, match="no scores"):
        HeadScores({}, {}, {}, None, (0,))


def test_scores_of_a_wide_model_are_made_a_few_layers_at_a_time(monkeypatch):
    """All patterns of GPT-2 XL on ten sequences are over what one answer may hold."""
    model = make_model(n_layers=5)
    tokens = repeated_tokens(model, length=6, batch=3)
    whole = head_scores(model, tokens)
    monkeypatch.setattr(patterns_module, "MAX_BYTES", 2 * 4 * 3 * 4 * 13**2)  # two layers
    with pytest.raises(AnalysisError, match="fewer layers"):
        attention_patterns(model, tokens)
    pieces = head_scores(model, tokens)
    assert pieces.layers == whole.layers == tuple(range(5))
    assert pieces.chance == whole.chance
    for name in SCORE_NAMES:
        np.testing.assert_array_equal(pieces[name], whole[name])
        np.testing.assert_array_equal(pieces.spread[name], whole.spread[name])
    np.testing.assert_array_equal(pieces.course_stripe, whole.course_stripe)


def test_logits_of_a_large_vocabulary_are_never_there_for_all_sequences(monkeypatch):
    """Scores and losses keep none of them: 262,000 numbers a token were over the limit."""
    model = make_model()
    tokens = repeated_tokens(model, length=6, batch=5)
    kept = [Head(0, 1), Head(1, 2)]
    whole, loss = head_scores(model, tokens, without=kept), keep_only(model, tokens, kept)
    one = 4 * tokens.length * model.d_vocab
    with largest_tensor() as watch:
        head_scores(model, tokens)
    assert max(watch.sizes) < one
    with largest_tensor() as watch:
        keep_only(model, tokens, kept)
    assert max(watch.sizes) == tokens.batch * one
    monkeypatch.setattr(limits, "MAX_LOGIT_BYTES", 2 * one)
    with largest_tensor() as watch:
        pieces, again = head_scores(model, tokens, without=kept), keep_only(model, tokens, kept)
    assert max(watch.sizes) == 2 * one
    assert again == pytest.approx(loss, abs=1e-5)
    for name in SCORE_NAMES:
        np.testing.assert_allclose(pieces[name], whole[name], atol=1e-6)
