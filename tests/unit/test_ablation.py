"""Ablation sweeps, against weights set to zero and a model written out without hooks."""

import inspect
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from analysis import limits
from analysis.effects import replacements
from analysis.effects.ablation import (
    Ablation,
    ablate_each,
    ablate_head,
    ablate_heads,
    ablation_sweep,
    pair_ablation,
    top_heads,
)
from analysis.effects.estimate import AblationEstimate, ablation_estimate
from analysis.effects.replacements import METHODS, reference_windows, replacement_note
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.logits.attribution import logit_attribution
from analysis.runs import pieces, suffix
from analysis.runs.forward import next_token_log_probs, run
from analysis.runs.inputs import Tokens, repeated_tokens, tokenize
from analysis.runs.patterns import attention_patterns
from analysis.runs.predictions import next_token_stats
from analysis.runs.suffix import Edit, record, rerun, runs_suffixes, z_points
from tests.architectures import ARCHITECTURES, tiny
from tests.conftest import make_model
from tests.unit.test_forward import hooks_on

STORY = (
    "Once upon a time there was a little girl called Alice, who lived with her father in an old "
    "house by the sea. Every morning Alice went down to the sea, and every evening her father "
    "told her a story."
)
TEXT = "The cat sat on the mat, and the cat slept."


@pytest.fixture(params=["attention_only", "with_mlp"])
def model(request):
    return request.getfixturevalue(request.param)


def head_columns(model, head):
    """Where a head's z enters its layer's output matrix."""
    return slice(head * model.d_head, (head + 1) * model.d_head)


def entry_losses(model, tokens):
    """Loss of every prediction [batch, entry], by torch."""
    logits = model.bridge(tokens.tensor)[:, :-1]
    targets = tokens.tensor[:, 1:]
    return functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none").numpy()


def plain_losses(model, tokens, ablated=None, method="zero"):
    """The same for an attention-only model written out in a few lines, which know no hook."""
    logits = plain_logits(model, tokens, ablated, method)[:, :-1]
    following = tokens.tensor[:, 1:]
    return functional.cross_entropy(logits.transpose(1, 2), following, reduction="none").numpy()


def plain_logits(model, tokens, ablated=None, method="zero"):
    """Its logits [batch, pos, d_vocab]."""
    weights = {name: value.double() for name, value in model.bridge.state_dict().items()}
    ids = tokens.tensor
    n = tokens.length
    resid = weights["embed.weight"][ids] + weights["pos_embed.weight"][:n]
    mask = torch.ones(n, n, dtype=torch.bool).triu(1)
    for layer in range(model.n_layers):
        q, k, v = (
            functional.linear(
                resid,
                weights[f"blocks.{layer}.attn.{name}.weight"],
                weights[f"blocks.{layer}.attn.{name}.bias"],
            ).unflatten(-1, (model.n_heads, model.d_head))
            for name in "qkv"
        )
        scores = torch.einsum("bdhe,bshe->bhds", q, k) / model.d_head**0.5
        z = torch.einsum("bhds,bshe->bdhe", scores.masked_fill(mask, -torch.inf).softmax(-1), v)
        if ablated and ablated[0] == layer:
            own = z[:, :, ablated[1]]
            z[:, :, ablated[1]] = 0 if method == "zero" else own.mean(0, keepdim=True)
        resid = resid + functional.linear(
            z.flatten(2),
            weights[f"blocks.{layer}.attn.o.weight"],
            weights[f"blocks.{layer}.attn.o.bias"],
        )
    return functional.linear(resid, weights["unembed.weight"], weights["unembed.bias"])


@pytest.mark.parametrize(
    ("kind", "method"), [("repeated", "zero"), ("repeated", "mean"), ("prompt", "zero")]
)
def test_a_sweep_equals_a_naive_loop_without_hooks(attention_only, kind, method):
    if kind == "repeated":
        tokens = repeated_tokens(attention_only, length=8, batch=3)
        scored = range(9, 16)
    else:
        tokens = tokenize(attention_only, TEXT)
        scored = range(tokens.length - 1)
    found = ablation_sweep(attention_only, tokens, method)
    clean = plain_losses(attention_only, tokens)
    assert found.method == method
    assert found.values.shape == (2, 4)
    assert found.per_token.shape == (2, 4, tokens.length - 1)
    assert found.clean_loss == pytest.approx(clean[:, scored].mean(), abs=1e-5)
    for layer in range(2):
        for head in range(4):
            rise = plain_losses(attention_only, tokens, (layer, head), method) - clean
            np.testing.assert_allclose(found.per_token[layer, head], rise.mean(0), atol=1e-5)
            expected = rise[:, scored].mean()
            assert found.values[layer, head] == pytest.approx(expected, abs=1e-5)
    assert np.abs(found.values).max() > 1e-2


@pytest.mark.parametrize("sizes", [{}, {"d_mlp": 64, "normalization": "LN"}])
def test_zero_ablation_equals_a_head_whose_output_weights_are_zero(sizes):
    model = make_model(**sizes)
    tokens = repeated_tokens(model, length=8, batch=2)
    found = ablation_sweep(model, tokens)
    clean = entry_losses(model, tokens)
    for layer in range(2):
        for head in range(4):
            weight = model.bridge.state_dict()[f"blocks.{layer}.attn.o.weight"]
            columns = head_columns(model, head)
            original = weight[:, columns].clone()
            weight[:, columns] = 0
            rise = entry_losses(model, tokens) - clean
            weight[:, columns] = original
            np.testing.assert_allclose(found.per_token[layer, head], rise.mean(0), atol=1e-5)


def test_zeroing_z_equals_zeroing_the_values_with_their_bias(model):
    """The pattern mixes values, so a head without values writes nothing."""
    tokens = repeated_tokens(model, length=8, batch=2)
    found = ablation_sweep(model, tokens)
    clean = entry_losses(model, tokens)

    def zero(head):
        def edit(v, hook):
            v = v.clone()
            v[:, :, head] = 0
            return v

        return edit

    for layer in range(2):
        for head in range(4):
            logits, _ = run(
                model, tokens.tensor, hooks=[(f"blocks.{layer}.attn.hook_v", zero(head))]
            )
            losses = functional.cross_entropy(
                logits[:, :-1].transpose(1, 2), tokens.tensor[:, 1:], reduction="none"
            )
            rise = (losses.numpy() - clean).mean(0)
            np.testing.assert_allclose(found.per_token[layer, head], rise, atol=1e-5)


def test_zeroing_z_equals_taking_the_heads_result_out_of_the_stream(model):
    """The result is z W_O; the bias b_O belongs to the layer and stays."""
    tokens = repeated_tokens(model, length=8, batch=2)
    found = ablation_sweep(model, tokens)
    clean = entry_losses(model, tokens)
    for layer in range(2):
        _, kept = run(model, tokens.tensor, capture=[f"blocks.{layer}.attn.hook_z"])
        z = kept[f"blocks.{layer}.attn.hook_z"]
        for head in range(4):
            result = z[:, :, head] @ model.bridge.blocks[layer].attn.W_O[head]
            logits, _ = run(
                model,
                tokens.tensor,
                hooks=[(f"blocks.{layer}.hook_attn_out", lambda out, hook, r=result: out - r)],
            )
            losses = functional.cross_entropy(
                logits[:, :-1].transpose(1, 2), tokens.tensor[:, 1:], reduction="none"
            )
            rise = (losses.numpy() - clean).mean(0)
            np.testing.assert_allclose(found.per_token[layer, head], rise, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_a_head_that_writes_nothing_is_not_needed(method):
    model = make_model()
    model.bridge.state_dict()["blocks.1.attn.o.weight"][:, head_columns(model, 2)] = 0
    tokens = repeated_tokens(model, length=8, batch=3)
    found = ablation_sweep(model, tokens, method)
    assert not found.values[1, 2]
    assert not found.per_token[1, 2].any()
    others = np.delete(np.abs(found.values).ravel(), 6)
    assert others.min() > 0


def windows_by_hand(model, tokens):
    """Ten stretches of the shipped text behind the same first token, cut with plain Python."""
    text = (Path(replacements.__file__).parent / "reference.txt").read_text()
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    body = tokens.length - tokens.has_bos
    starts = [window * len(ids) // 10 for window in range(10)]
    rows = [(ids * 3)[start : start + body] for start in starts]
    return torch.tensor([[*tokens.ids[0, : tokens.has_bos].tolist(), *row] for row in rows])


def test_the_same_ids_have_the_same_replacements_whoever_put_bos_there(attention_only):
    """Results are kept by their ids; a BOS that was typed is the same token."""
    tokens = tokenize(attention_only, TEXT)
    typed = Tokens(tokens.ids.copy(), tokens.labels, None, has_bos=False)
    first, second = (ablation_sweep(attention_only, each, "mean") for each in (tokens, typed))
    np.testing.assert_array_equal(first.values, second.values)


@pytest.mark.parametrize("bos", [True, False])
@pytest.mark.parametrize("method", ["mean", "resample"])
@pytest.mark.parametrize("architecture", ["native-LN-MLP", "llama"])
def test_one_prompt_is_set_against_the_reference_text(architecture, method, bos):
    """Its mean over itself is its own output: every effect would come out 0."""
    model = tiny(architecture)
    tokens = tokenize(model, TEXT, prepend_bos=bos)
    _, z = run(model, windows_by_hand(model, tokens), capture=z_points(model))
    if method == "mean":
        taken = {name: value.mean(0) for name, value in z.items()}
    else:
        row = int(np.random.default_rng(3).integers(10))
        taken = {name: value[row] for name, value in z.items()}
    found = ablation_sweep(model, tokens, method, seed=3)
    estimate = ablation_estimate(model, tokens, method, seed=3)
    clean = naive_log_probs(model, tokens, [])
    assert np.abs(found.values).min() > 0
    for head in (Head(0, 1), Head(2, 3)):

        def edit(current, hook, head=head):
            current = current.clone()
            own = taken[f"blocks.{head.layer}.attn.hook_z"]
            current[:, :, head.head] = own[:, head.head]
            return current

        logits, _ = run(model, tokens.tensor, hooks=[(f"blocks.{head.layer}.attn.hook_z", edit)])
        rise = (clean - next_token_log_probs(logits, tokens.tensor).numpy()).mean()
        assert found.values[head.layer, head.head] == pytest.approx(rise, abs=1e-5)
    # Towards the same replacement: far from it in size, the estimate is off by more.
    assert np.corrcoef(found.values.ravel(), estimate.values.ravel())[0, 1] > 0.3
    assert "Secret Garden" in replacement_note(method, tokens)
    assert replacement_note("zero", tokens) == ""


def test_the_reference_text_is_run_once_for_all_that_is_asked_of_one_length(monkeypatch):
    model = make_model()
    runs, mean_over = [], replacements.mean_over

    def counted(model, windows, points):
        runs.append(windows.shape)
        return mean_over(model, windows, points)

    tokens, shorter = tokenize(model, TEXT), tokenize(model, TEXT[:20])
    alone = [ablation_sweep(make_model(), shorter, "resample", seed=seed).values for seed in (0, 1)]
    monkeypatch.setattr(replacements, "mean_over", counted)
    ablation_estimate(model, tokens, "mean")
    ablation_sweep(model, tokens, "mean")
    assert runs == [(10, tokens.length)]
    for seed, values in zip((0, 1), alone, strict=True):
        found = ablation_sweep(model, shorter, "resample", seed=seed)
        np.testing.assert_allclose(found.values, values, atol=1e-6)
    assert runs[1:] == [(1, shorter.length)] * 2
    assert np.abs(alone[0] - alone[1]).max() > 1e-4
    monkeypatch.setattr(replacements, "MOST_KEPT", 1)
    for _ in range(2):  # too much to keep
        ablation_estimate(model, tokens, "mean")
    assert runs[3:] == [(10, tokens.length)] * 2


def test_a_prompt_longer_than_the_reference_text_is_compared_too(attention_only):
    """The text wraps around; without it nothing could be said of a long prompt."""
    tokens = tokenize(attention_only, "The cat sat on the mat. " * 7)
    windows = reference_windows(attention_only, tokens)
    assert windows.shape == (10, tokens.length)
    assert (windows[:, 0] == attention_only.bos_id).all()
    assert len({tuple(row.tolist()) for row in windows}) == 10


def test_the_mean_over_identical_sequences_changes_nothing(model):
    one = repeated_tokens(model, length=8, batch=1)
    same = Tokens(np.repeat(one.ids, 3, axis=0), one.labels * 3, one.half_length, True)
    found = ablation_sweep(model, same, "mean")
    np.testing.assert_allclose(found.per_token, 0, atol=1e-5)
    assert np.abs(ablation_sweep(model, same, "zero").values).max() > 1e-2


def test_an_unknown_method_is_refused_with_the_known_ones(attention_only):
    tokens = tokenize(attention_only, TEXT)
    # Unwrapped: under test, the type checker would refuse it first.
    with pytest.raises(AnalysisError, match="'meen' is unknown.*zero, mean, resample"):
        inspect.unwrap(ablation_sweep)(attention_only, tokens, "meen")


def test_the_clean_loss_is_the_loss_of_the_second_half(attention_only):
    tokens = repeated_tokens(attention_only, length=8, batch=2)
    _, second = next_token_stats(attention_only, tokens).half_losses(tokens)
    assert ablation_sweep(attention_only, tokens).clean_loss == pytest.approx(second, abs=1e-6)


def test_the_clean_loss_of_a_prompt_is_its_loss(attention_only):
    tokens = tokenize(attention_only, TEXT)
    expected = next_token_stats(attention_only, tokens).loss
    assert ablation_sweep(attention_only, tokens).clean_loss == pytest.approx(expected, abs=1e-6)


def test_the_entry_that_nothing_predicts_is_outside_the_window(attention_only):
    """The effect is the mean over S+1..2S-1 and ignores what happens before."""
    length = 6
    tokens = repeated_tokens(attention_only, length=length, batch=2)
    found = ablation_sweep(attention_only, tokens)
    window = found.per_token[..., length + 1 : 2 * length]
    np.testing.assert_allclose(found.values, window.mean(-1), atol=1e-6)
    assert np.abs(found.values - found.per_token.mean(-1)).max() > 1e-2


def test_only_scored_entries_can_be_computed(model):
    """The others are marked as not computed, which 0 would not say."""
    tokens = repeated_tokens(model, length=6, batch=2)
    every = ablation_sweep(model, tokens)
    scored = ablation_sweep(model, tokens, scored_only=True)
    np.testing.assert_allclose(scored.values, every.values, atol=1e-6)
    known = np.zeros(12, bool)
    known[tokens.scored] = True
    assert np.isnan(scored.per_token[..., ~known]).all()
    np.testing.assert_allclose(scored.per_token[..., known], every.per_token[..., known], atol=1e-6)


def test_an_edit_leaves_the_recorded_run_alone(attention_only):
    """Editing z itself would reach whatever else holds that memory, such as the recorded run."""
    tokens = repeated_tokens(attention_only, length=6, batch=2)
    recording = record(attention_only, tokens.tensor, z_points(attention_only))
    before = [tensor.clone() for tensor in (recording.logits, *recording.stream)]
    z = [recording.z(layer).clone() for layer in range(2)]
    cases = [(Edit(layer, "attn.hook_z", (slice(None), 1), torch.ones(())),) for layer in (0, 1)]
    rerun(attention_only, recording, cases, torch.arange(5), lambda logits, at: logits[..., 0])
    for old, new in zip(before, (recording.logits, *recording.stream), strict=True):
        assert torch.equal(old, new)
    for layer in range(2):
        assert torch.equal(z[layer], recording.z(layer))


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_heads_does_not_matter(model, method):
    """An edit left behind by one head would add to all that come after it."""
    tokens = repeated_tokens(model, length=8, batch=3)
    forwards = ablation_sweep(model, tokens, method)
    order = AblationEstimate(np.arange(8.0).reshape(2, 4), 1.0, method, np.zeros((2, 4)))
    backwards = ablation_sweep(model, tokens, method, estimate=order)
    np.testing.assert_allclose(forwards.values, backwards.values, atol=1e-6)
    np.testing.assert_allclose(forwards.per_token, backwards.per_token, atol=1e-5)


def test_progress_counts_every_head_from_none_to_all(attention_only):
    calls = []
    ablation_sweep(
        attention_only,
        tokenize(attention_only, TEXT),
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(done, 8) for done in range(9)]


def test_exact_values_come_one_by_one_with_the_most_important_first(model):
    """So that a page can replace its estimates cell by cell."""
    tokens = tokenize(model, TEXT)
    estimate = ablation_estimate(model, tokens)
    seen = []
    found = ablation_sweep(
        model,
        tokens,
        estimate=estimate,
        on_value=lambda head, value: seen.append((head, value)),
        progress=lambda done, total: seen.append(done),
    )
    assert seen[0] == 0
    assert seen[2::2] == list(range(1, 9))
    heads = tuple(head for head, _ in seen[1::2])
    assert heads == estimate.order
    likely = estimate.values.clip(0) + 2 * estimate.spreads
    ranks = [likely[head.layer, head.head] for head in heads]
    assert ranks == sorted(ranks, reverse=True)
    for head, value in seen[1::2]:
        assert value == found.values[head.layer, head.head]


def test_others_can_run_the_model_between_two_heads(attention_only):
    """A page waits for a few heads, not for someone's whole sweep."""
    tokens = tokenize(attention_only, TEXT)
    expected = next_token_stats(attention_only, tokens).loss
    seen = []

    def look(done, total):
        assert not attention_only.lock.locked()
        seen.append(next_token_stats(attention_only, tokens).loss)

    found = ablation_sweep(attention_only, tokens, progress=look)
    assert seen == [expected] * 9
    np.testing.assert_array_equal(found.values, ablation_sweep(attention_only, tokens).values)


class Cancelled(BaseException):
    """As Streamlit stops a script: no `Exception`."""


@pytest.mark.parametrize("at", [0, 1, 5, 8])
def test_a_cancelled_sweep_leaves_no_hook_and_no_lock(at):
    """The visitor who leaves the page must not change what the others see."""
    model = make_model()
    tokens = tokenize(model, TEXT)
    clean, _ = run(model, tokens.tensor)
    before = hooks_on(model)

    def cancel(done, total):
        if done == at:
            raise Cancelled

    with pytest.raises(Cancelled):
        ablation_sweep(model, tokens, progress=cancel)
    assert hooks_on(model) == before
    assert not model.lock.locked()
    assert torch.equal(run(model, tokens.tensor)[0], clean)


def test_other_users_do_not_change_results(attention_only):
    """Hooks sit on shared modules: without the lock most clean runs are silently wrong."""
    model = attention_only
    prompt, other = tokenize(model, TEXT), tokenize(model, "Something else entirely, my dear.")
    many = repeated_tokens(model, length=8, batch=3)
    tasks = [
        lambda: next_token_stats(model, prompt).log_probs,
        lambda: ablation_sweep(model, many, "mean").per_token,
        lambda: attention_patterns(model, prompt).values,
        lambda: ablation_sweep(model, prompt).per_token,
        lambda: attention_patterns(model, other).values,
        lambda: logit_attribution(model, many).values,
        lambda: next_token_stats(model, many).log_probs,
        lambda: ablation_sweep(model, other).per_token,
    ]
    expected = [task() for task in tasks]

    def visitor(start):
        order = [(start + i) % len(tasks) for i in range(len(tasks))]
        return [(index, tasks[index]()) for index in order]

    with ThreadPoolExecutor(8) as pool:
        for answers in pool.map(visitor, range(8)):
            for index, answer in answers:
                np.testing.assert_allclose(answer, expected[index], atol=1e-6)


def test_results_are_read_only(attention_only):
    """One result is shared by every visitor through the cache."""
    found = ablation_sweep(attention_only, tokenize(attention_only, TEXT))
    for array in (found.values, found.per_token):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_an_effect_that_is_no_number_is_not_shown():
    values = np.full((1, 1), np.nan, dtype=np.float32)
    with pytest.raises(ValueError, match="not finite"):
        Ablation(values, np.zeros((1, 1, 3), dtype=np.float32), clean_loss=1.0, method="zero")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_takes_the_quick_road(architecture):
    """Gemma 2 too, whose logits pass a soft cap after the unembedding."""
    assert runs_suffixes(tiny(architecture))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_sweep_equals_one_hooked_run_per_head(architecture, method):
    """Parallel blocks, rotary positions, shared keys and values, norms before and after."""
    model = tiny(architecture)
    tokens = repeated_tokens(model, length=5, batch=3)
    found = ablation_sweep(model, tokens, method, scored_only=method == "mean")
    clean = naive_log_probs(model, tokens, [])
    source = resampled_from(tokens)
    for layer in range(model.n_layers):
        for head in range(model.n_heads):
            rise = clean - naive_log_probs(model, tokens, [Head(layer, head)], method, source)
            exact = rise[:, tokens.scored].mean()
            assert found.values[layer, head] == pytest.approx(exact, abs=1e-5)
            scored = slice(6, 10) if method == "mean" else slice(0, 10)
            np.testing.assert_allclose(
                found.per_token[layer, head, scored], rise.mean(0)[scored], atol=1e-4
            )
    assert np.abs(found.values).max() > 1e-3


def resampled_from(tokens):
    """Which sequence stands in for which, read off a z that names its own sequence."""
    names = torch.arange(float(tokens.batch)).reshape(-1, 1, 1, 1)
    return replacements.replacement(names, "resample", seed=0).ravel().long().tolist()


def naive_log_probs(model, tokens, heads, method="zero", source=()):
    """One whole run with the plainest hooks; each head's replacement is of the run as it is."""
    _, z = run(model, tokens.tensor, capture=z_points(model))

    def replace(head):
        def edit(current, hook):
            current = current.clone()
            own = z[f"blocks.{head.layer}.attn.hook_z"][:, :, head.head]
            current[:, :, head.head] = {
                "zero": lambda: torch.zeros_like(own),
                "mean": lambda: own.mean(0, keepdim=True).expand_as(own),
                "resample": lambda: own[list(source)],
            }[method]()
            return current

        return f"blocks.{head.layer}.attn.hook_z", edit

    logits, _ = run(model, tokens.tensor, hooks=[replace(head) for head in heads])
    return next_token_log_probs(logits, tokens.tensor).numpy()


@pytest.mark.parametrize("batch", [2, 3, 8])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_resampling_takes_every_sequence_from_another(batch, seed):
    names = torch.arange(float(batch)).reshape(batch, 1, 1, 1)
    source = replacements.replacement(names, "resample", seed).ravel()
    assert sorted(source.tolist()) == list(range(batch))
    assert (source != torch.arange(batch)).all()


def test_resampling_depends_on_the_seed_alone(attention_only):
    tokens = repeated_tokens(attention_only, length=5, batch=6)
    first, again, other = (
        ablation_sweep(attention_only, tokens, "resample", seed=seed).values for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


@pytest.mark.parametrize("architecture", ["native", "native-LN-MLP", "llama", "neox", "gemma2"])
def test_a_set_of_heads_equals_one_run_with_all_their_hooks(architecture):
    model = tiny(architecture)
    tokens = repeated_tokens(model, length=5, batch=2)
    clean = naive_log_probs(model, tokens, [])
    last = model.n_layers - 1
    for heads in ([Head(0, 1), Head(0, 3), Head(last, 0)], [Head(last, 0), Head(last, 2)]):
        found = ablate_heads(model, tokens, heads, "mean")
        rise = clean - naive_log_probs(model, tokens, heads, "mean")
        assert found.value == pytest.approx(rise[:, tokens.scored].mean(), abs=1e-4)
        np.testing.assert_allclose(found.per_token, rise.mean(0), atol=1e-4)


def test_pairs_are_compared_with_the_sum_of_both(with_mlp):
    tokens = repeated_tokens(with_mlp, length=6, batch=2)
    heads = [Head(1, 2), Head(0, 1), Head(0, 0)]
    calls = []
    found = pair_ablation(
        with_mlp, tokens, heads, progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(done, 6) for done in range(7)]
    assert found.heads == tuple(heads)
    for i, first in enumerate(heads):
        alone = ablate_head(with_mlp, tokens, first).value
        assert found.alone[i] == pytest.approx(alone, abs=1e-5)
        assert np.isnan(found.excess[i, i])
        for j, second in enumerate(heads):
            if i != j:
                joint = ablate_heads(with_mlp, tokens, [first, second]).value
                assert found.together[i, j] == pytest.approx(joint, abs=1e-5)
                expected = joint - found.alone[i] - found.alone[j]
                assert found.excess[i, j] == pytest.approx(expected, abs=1e-5)
    assert np.nanmax(np.abs(found.excess)) > 1e-3


@pytest.mark.parametrize("at_once", [1, 3 * 4096, 40 * 4096])
def test_logits_in_parts_give_the_same_values(model, monkeypatch, at_once):
    tokens = repeated_tokens(model, length=6, batch=3)
    whole = ablation_sweep(model, tokens)
    monkeypatch.setattr(limits, "LOGITS_AT_ONCE", at_once)
    parts = ablation_sweep(model, tokens)
    np.testing.assert_allclose(parts.per_token, whole.per_token, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_in_parts_has_the_effects_of_the_whole(with_mlp, monkeypatch, method):
    tokens = repeated_tokens(with_mlp, length=6, batch=5)
    whole = ablation_sweep(with_mlp, tokens, method, seed=1)
    # Two sequences of 13 tokens, and one head of them, in each piece.
    monkeypatch.setattr(pieces, "TOKENS_AT_ONCE", 30)
    monkeypatch.setattr(pieces, "TOKENS_TOGETHER", 30)
    parts = ablation_sweep(with_mlp, tokens, method, seed=1)
    np.testing.assert_allclose(parts.per_token, whole.per_token, atol=1e-5)
    assert parts.clean_loss == pytest.approx(whole.clean_loss, abs=1e-6)


def test_work_can_be_cancelled_between_the_parts_of_one_head(with_mlp, monkeypatch):
    tokens = repeated_tokens(with_mlp, length=6, batch=5)
    monkeypatch.setattr(pieces, "TOKENS_AT_ONCE", 13)
    calls = []

    def pause():
        assert not with_mlp.lock.locked()
        calls.append(None)
        if len(calls) == 8:
            raise Cancelled

    found = []
    with pytest.raises(Cancelled):
        found.extend(ablate_each(with_mlp, tokens, [Head(0, 1), Head(1, 0)], pause=pause))
    # Five parts of the run as it is, and three of the first head, of which nothing is said.
    assert not found
    assert not with_mlp.lock.locked()


def test_the_top_heads_are_those_of_the_sweep(bundled):
    tokens = repeated_tokens(bundled, length=20, batch=4)
    sweep = ablation_sweep(bundled, tokens)
    found = top_heads(bundled, tokens, count=5)
    order = np.argsort(-sweep.values, axis=None)[:5]
    assert [(head.layer, head.head) for head in found.heads] == [divmod(int(i), 8) for i in order]
    np.testing.assert_allclose(found.values, sweep.values.ravel()[order], atol=1e-5)
    assert found.clean_loss == pytest.approx(sweep.clean_loss, abs=1e-6)


def test_no_memory_for_once_is_no_reason_to_take_whole_runs_for_good(monkeypatch):
    model, kept = make_model(d_mlp=64, normalization="LN"), suffix._suffixes

    def without_memory(*arguments):
        monkeypatch.setattr(suffix, "_suffixes", kept)
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 GB")

    monkeypatch.setattr(suffix, "_suffixes", without_memory)
    with pytest.raises(RuntimeError, match="allocate"):
        runs_suffixes(model)
    assert runs_suffixes(model)


def test_a_run_that_is_killed_in_the_middle_leaves_no_hook_and_no_lock(monkeypatch):
    model = make_model(d_mlp=64, normalization="LN")
    tokens = tokenize(model, TEXT)
    clean, _ = run(model, tokens.tensor)
    assert runs_suffixes(model)
    before = hooks_on(model)

    def kill(self, *args, **kwargs):
        raise Cancelled

    monkeypatch.setattr(type(model.bridge.blocks[1].mlp), "forward", kill)
    for call in (ablation_sweep, ablation_estimate):
        with pytest.raises(Cancelled):
            call(model, tokens)
        assert not model.lock.locked()
        assert hooks_on(model) == before
    monkeypatch.undo()
    assert torch.equal(run(model, tokens.tensor)[0], clean)
