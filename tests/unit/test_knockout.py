"""Knocking out heads and distances: identities, hand-made heads, and the bundled circuit."""

import numpy as np
import pytest
import torch

from analysis.effects.ablation import ablation_sweep
from analysis.effects.knockout import keep_only, offset_ablation, targeted_ablation
from analysis.effects.replacements import reference_windows
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.heads.scores import head_scores
from analysis.models.loading import HeadModel
from analysis.runs.forward import next_token_log_probs, run
from analysis.runs.inputs import Tokens, repeated_tokens, tokenize
from analysis.runs.predictions import next_token_stats
from tests.architectures import tiny
from tests.conftest import make_model


@pytest.fixture(scope="module")
def tokens(attention_only: HeadModel) -> Tokens:
    return repeated_tokens(attention_only, length=8, batch=4)


@pytest.fixture(scope="module", params=["attention_only", "with_mlp"])
def any_model(request: pytest.FixtureRequest) -> HeadModel:
    """Both kinds of model, with the same vocabulary: without norms, and with LayerNorm and MLPs."""
    model: HeadModel = request.getfixturevalue(request.param)
    return model


def every_head(model: HeadModel) -> list[Head]:
    return [Head(layer, head) for layer in range(model.n_layers) for head in range(model.n_heads)]


def test_keeping_every_head_is_the_models_own_loss(
    attention_only: HeadModel, with_mlp: HeadModel, tokens: Tokens
) -> None:
    for model in (attention_only, with_mlp):
        stats = next_token_stats(model, tokens)
        own = -float(stats.log_probs[:, tokens.scored].mean())
        assert keep_only(model, tokens, every_head(model)) == pytest.approx(own, abs=1e-5)


def test_keeping_all_but_one_is_zero_ablation_of_that_one(
    attention_only: HeadModel, tokens: Tokens
) -> None:
    sweep = ablation_sweep(attention_only, tokens)
    for dropped in (Head(0, 2), Head(1, 3)):
        kept = [head for head in every_head(attention_only) if head != dropped]
        rise = keep_only(attention_only, tokens, kept) - sweep.clean_loss
        assert rise == pytest.approx(sweep.values[dropped.layer, dropped.head], abs=1e-5)


def test_keeping_some_heads_equals_the_others_writing_nothing(with_mlp: HeadModel) -> None:
    """The same through the weights: under LayerNorm and MLPs a loss is far from a sum of heads."""
    tokens = repeated_tokens(with_mlp, length=8, batch=4)
    kept = [Head(0, 1), Head(1, 0), Head(1, 3)]
    silent = make_model(d_mlp=64, normalization="LN")
    for head in every_head(silent):
        if head not in kept:
            silent.bridge.blocks[head.layer].attn.W_O[head.head].zero_()
    stats = next_token_stats(silent, tokens)
    expected = -float(stats.log_probs[:, tokens.scored].mean())
    assert keep_only(with_mlp, tokens, kept) == pytest.approx(expected, abs=1e-5)
    assert keep_only(with_mlp, tokens, kept[:2]) != pytest.approx(expected, abs=1e-3)


def test_keeping_no_head_leaves_the_stream_of_the_embeddings(
    attention_only: HeadModel, tokens: Tokens
) -> None:
    bridge = attention_only.bridge
    stream = bridge.W_E[tokens.tensor] + bridge.W_pos[: tokens.length] + bridge.b_O.sum(0)
    log_probs = (stream @ bridge.W_U + bridge.b_U).log_softmax(-1)[:, :-1]
    chosen = log_probs.gather(-1, tokens.tensor[:, 1:, None])[..., 0]
    expected = -float(chosen[:, tokens.scored].mean())
    assert keep_only(attention_only, tokens, []) == pytest.approx(expected, abs=1e-4)


def test_unknown_heads_cannot_be_kept(attention_only: HeadModel, tokens: Tokens) -> None:
    with pytest.raises(AnalysisError, match="L5H0"):
        keep_only(attention_only, tokens, [Head(5, 0)])


def test_targeted_ablation_equals_zeroing_the_values_by_hand(
    any_model: HeadModel, tokens: Tokens
) -> None:
    target = Head(1, 2)
    found = targeted_ablation(any_model, tokens, target)
    assert [source.label for source in found.sources] == ["L0H0", "L0H1", "L0H2", "L0H3"]
    scores = head_scores(any_model, tokens)
    assert found.clean == pytest.approx(scores.induction[1, 2], abs=1e-6)
    half = tokens.half_length
    assert half is not None
    for source in range(4):

        def zero_values(v: torch.Tensor, hook: object, source: int = source) -> torch.Tensor:
            edited = v.clone()
            # The value bias passes through z as well.
            edited[:, :, source] = 0
            return edited

        with (
            torch.inference_mode(),
            any_model.bridge.hooks(fwd_hooks=[("blocks.0.attn.hook_v", zero_values)]),
        ):
            _, cache = any_model.bridge.run_with_cache(tokens.tensor)
        pattern = cache["blocks.1.attn.hook_pattern"][:, 2]
        stripe = [pattern[:, dest, dest - (half - 1)] for dest in range(half + 1, 2 * half + 1)]
        expected = float(torch.stack(stripe).mean())
        assert found.ablated[source] == pytest.approx(expected, abs=1e-5)
        assert found.values[source] == pytest.approx(expected - found.clean, abs=1e-5)


def test_silencing_a_head_that_writes_nothing_changes_nothing() -> None:
    model = make_model()
    model.bridge.blocks[0].attn.W_O[1].zero_()
    tokens = repeated_tokens(model, length=8, batch=2)
    found = targeted_ablation(model, tokens, Head(1, 0), [Head(0, 1), Head(0, 0)])
    assert found.values[0] == 0
    assert found.values[1] != 0


def test_the_previous_token_head_carries_the_bundled_induction_heads(bundled: HeadModel) -> None:
    tokens = repeated_tokens(bundled, length=30, batch=4, seed=11)
    scores = head_scores(bundled, tokens)
    target = Head(1, int(scores.induction[1].argmax()))
    previous = int(scores.previous[0].argmax())
    found = targeted_ablation(bundled, tokens, target)
    assert int(found.values.argmin()) == previous
    assert found.ablated[previous] < 0.3 * found.clean


def test_a_prompt_counts_only_where_something_repeats(bundled: HeadModel) -> None:
    repeating = tokenize(bundled, "one two three one two three")
    clean = targeted_ablation(bundled, repeating, Head(1, 0)).clean
    score = head_scores(bundled, repeating).induction[1, 0]
    assert clean == pytest.approx(score, abs=1e-6)
    with pytest.raises(AnalysisError, match="No token occurs twice"):
        targeted_ablation(bundled, tokenize(bundled, "The cat sat"), Head(1, 0))


def test_targets_and_sources_that_make_no_sense_are_refused(
    attention_only: HeadModel, tokens: Tokens
) -> None:
    with pytest.raises(AnalysisError, match="first layer"):
        targeted_ablation(attention_only, tokens, Head(0, 0))
    with pytest.raises(AnalysisError, match="earlier layers"):
        targeted_ablation(attention_only, tokens, Head(1, 0), [Head(1, 1)])
    with pytest.raises(AnalysisError, match="No head"):
        targeted_ablation(attention_only, tokens, Head(1, 0), [])


def test_keeping_every_distance_changes_nothing(
    attention_only: HeadModel, with_mlp: HeadModel, tokens: Tokens
) -> None:
    everything = range(tokens.length)
    for model in (attention_only, with_mlp):
        for layer in (0, 1):
            found = offset_ablation(model, tokens, layer, [everything])
            np.testing.assert_allclose(found.values, 0, atol=1e-5)


def test_a_restricted_head_reads_real_values_only_at_kept_distances(
    any_model: HeadModel, tokens: Tokens
) -> None:
    """The head's z written out as loops, patched in by hand."""
    bridge, layer, head, kept = any_model.bridge, 1, 3, (0, 2)
    with torch.inference_mode():
        logits, cache = bridge.run_with_cache(tokens.tensor)
    pattern = cache["blocks.1.attn.hook_pattern"][:, head]
    v = cache["blocks.1.attn.hook_v"][:, :, head]
    z = torch.zeros_like(v)
    for b in range(tokens.batch):
        for dest in range(tokens.length):
            for src in range(dest + 1):
                value = v[b, src] if dest - src in kept else v[:, src].mean(0)
                z[b, dest] += pattern[b, dest, src] * value

    def patch(original: torch.Tensor, hook: object) -> torch.Tensor:
        edited = original.clone()
        edited[:, :, head] = z
        return edited

    with torch.inference_mode():
        patched = bridge.run_with_hooks(tokens.tensor, fwd_hooks=[("blocks.1.attn.hook_z", patch)])

    def loss(values: torch.Tensor) -> float:
        following = tokens.tensor[:, 1:, None]
        chosen = values[:, :-1].log_softmax(-1).gather(-1, following)[..., 0]
        return -float(chosen[:, tokens.scored].mean())

    found = offset_ablation(any_model, tokens, layer, [(1,), kept])
    assert found.clean_loss == pytest.approx(loss(logits), abs=1e-5)
    assert found.values[1, head] == pytest.approx(loss(patched) - loss(logits), abs=1e-5)
    assert found.values[0, head] != pytest.approx(found.values[1, head], abs=1e-5)


def test_the_bundled_previous_token_head_needs_distance_one_only(bundled: HeadModel) -> None:
    tokens = repeated_tokens(bundled, length=20, batch=6, seed=3)
    head = int(head_scores(bundled, tokens).previous[0].argmax())
    found = offset_ablation(bundled, tokens, 0, [(0,), (1,)])
    assert found.values[0, head] > 1
    assert found.values[1, head] < 0.3


def test_a_single_sequence_reads_the_reference_text_at_other_distances() -> None:
    """Keeping no distance, z is the pattern times the mean values of the text."""
    model = tiny("llama")
    tokens = tokenize(model, "The cat sat on the mat and the cat slept.")
    windows = reference_windows(model, tokens)
    v = "blocks.1.attn.hook_v"
    means = run(model, windows, capture=[v])[1][v].mean(0)[:, 1]  # of head 3's group
    _, kept = run(model, tokens.tensor, capture=["blocks.1.attn.hook_pattern"])
    z = kept["blocks.1.attn.hook_pattern"][:, 3] @ means

    def patch(original: torch.Tensor, hook: object) -> torch.Tensor:
        edited = original.clone()
        edited[:, :, 3] = z
        return edited

    losses = [
        -float(next_token_log_probs(run(model, tokens.tensor, hooks=h)[0], tokens.tensor).mean())
        for h in ([], [("blocks.1.attn.hook_z", patch)])
    ]
    found = offset_ablation(model, tokens, 1, [(), tuple(range(tokens.length))])
    assert found.values[0, 3] == pytest.approx(losses[1] - losses[0], abs=1e-5)
    assert abs(found.values[0, 3]) > 1e-3
    assert found.values[1, 3] == pytest.approx(0, abs=1e-5)


def test_offsets_refuse_impossible_distances(attention_only: HeadModel, tokens: Tokens) -> None:
    for offset in (-1, tokens.length):
        with pytest.raises(AnalysisError, match="Distance"):
            offset_ablation(attention_only, tokens, 0, [(offset,)])
    with pytest.raises(AnalysisError, match="Layer 2"):
        offset_ablation(attention_only, tokens, 2)


def test_knockouts_report_progress_and_leave_no_hooks(
    attention_only: HeadModel, tokens: Tokens
) -> None:
    before = next_token_stats(attention_only, tokens).loss
    seen: list[tuple[int, int]] = []
    targeted_ablation(attention_only, tokens, Head(1, 0), progress=lambda *done: seen.append(done))
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    seen.clear()
    offset_ablation(
        attention_only, tokens, 0, [(0,), (1,)], progress=lambda *done: seen.append(done)
    )
    assert seen == [(done, 8) for done in range(9)]

    class Cancelled(Exception):
        pass

    def cancel(done: int, total: int) -> None:
        if done:
            raise Cancelled

    with pytest.raises(Cancelled):
        offset_ablation(attention_only, tokens, 0, progress=cancel)
    assert next_token_stats(attention_only, tokens).loss == before
