"""Ablation sweeps, against weights set to zero and a model written out without hooks."""

import inspect
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch.nn import functional

from analysis import ablation as ablation_module
from analysis.ablation import METHODS, Ablation, ablation_sweep
from analysis.attribution import logit_attribution
from analysis.errors import AnalysisError
from analysis.forward import run
from analysis.inputs import Tokens, repeated_tokens, tokenize
from analysis.patterns import attention_patterns
from analysis.predictions import next_token_stats
from tests.conftest import make_model
from tests.unit.test_forward import hooks_on
from tests.unit.test_predictions import perfect_copier

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
    logits = functional.linear(resid, weights["unembed.weight"], weights["unembed.bias"])
    return functional.cross_entropy(
        logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none"
    ).numpy()


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


def test_the_mean_over_a_single_sequence_is_refused(attention_only):
    """It is the head's own output: every effect would come out 0, as if no head mattered."""
    for tokens in (
        tokenize(attention_only, TEXT),
        repeated_tokens(attention_only, length=5, batch=1),
    ):
        with pytest.raises(AnalysisError, match="only one.*at least 2"):
            ablation_sweep(attention_only, tokens, "mean")


def test_the_mean_over_identical_sequences_changes_nothing(model):
    one = repeated_tokens(model, length=8, batch=1)
    same = Tokens(np.repeat(one.ids, 3, axis=0), one.labels * 3, one.half_length, True)
    found = ablation_sweep(model, same, "mean")
    np.testing.assert_allclose(found.per_token, 0, atol=1e-5)
    assert np.abs(ablation_sweep(model, same, "zero").values).max() > 1e-2


def test_an_unknown_method_is_refused_with_the_known_ones(attention_only):
    tokens = tokenize(attention_only, TEXT)
    # Unwrapped: under test, the type checker would refuse it first.
    with pytest.raises(AnalysisError, match="'meen' is unknown.*zero, mean"):
        inspect.unwrap(ablation_sweep)(attention_only, tokens, "meen")


def test_the_clean_loss_is_the_loss_of_the_second_half(attention_only):
    tokens = repeated_tokens(attention_only, length=8, batch=2)
    _, second = next_token_stats(attention_only, tokens).half_losses(tokens)
    assert ablation_sweep(attention_only, tokens).clean_loss == pytest.approx(second, abs=1e-6)


def test_the_clean_loss_of_a_prompt_is_its_loss(attention_only):
    tokens = tokenize(attention_only, TEXT)
    expected = next_token_stats(attention_only, tokens).loss
    assert ablation_sweep(attention_only, tokens).clean_loss == pytest.approx(expected, abs=1e-6)


def test_the_entry_that_nothing_predicts_is_outside_the_window(attention_only, monkeypatch):
    """Every ablation ruins entries 0..S only; over S+1..2S-1 the effect is then exactly 0."""
    length = 6

    def ruined_up_to_s(model, ids, capture=(), hooks=()):
        logits, _ = perfect_copier(model, ids)
        if hooks:
            logits[:, : length + 1, 0] = 5
        return logits, {}

    monkeypatch.setattr(ablation_module, "run", ruined_up_to_s)
    tokens = repeated_tokens(attention_only, length=length, batch=2)
    found = ablation_sweep(attention_only, tokens)
    assert found.clean_loss == 0
    assert not found.values.any()
    assert (found.per_token[..., : length + 1] > 0).all()
    assert not found.per_token[..., length + 1 :].any()


@pytest.mark.parametrize("method", METHODS)
def test_an_intervention_edits_a_copy(method):
    """Editing z itself would reach whatever else holds that memory, such as a capture before it."""
    z = torch.randn(3, 5, 4, 8, generator=torch.Generator().manual_seed(0))
    before = z.clone()
    edited = ablation_module._replace(1, method)(z, hook=None)
    assert torch.equal(z, before)
    assert torch.equal(edited[:, :, [0, 2, 3]], before[:, :, [0, 2, 3]])
    expected = torch.zeros(5, 8) if method == "zero" else before[:, :, 1].mean(0)
    torch.testing.assert_close(edited[:, :, 1], expected.expand(3, 5, 8))


def test_the_order_of_heads_does_not_matter(attention_only, monkeypatch):
    """An edit left behind by one head would add to all that come after it."""
    tokens = repeated_tokens(attention_only, length=8, batch=3)
    forwards = ablation_sweep(attention_only, tokens, "mean")
    original = ablation_module._all_heads
    monkeypatch.setattr(
        ablation_module, "_all_heads", lambda model: reversed(list(original(model)))
    )
    backwards = ablation_sweep(attention_only, tokens, "mean")
    np.testing.assert_array_equal(forwards.values, backwards.values)
    np.testing.assert_array_equal(forwards.per_token, backwards.per_token)


def test_progress_counts_every_head_from_none_to_all(attention_only):
    calls = []
    ablation_sweep(
        attention_only,
        tokenize(attention_only, TEXT),
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(done, 8) for done in range(9)]


def test_others_can_run_the_model_between_two_heads(attention_only):
    """A page waits for one forward pass, not for someone's whole sweep."""
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
