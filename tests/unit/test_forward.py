"""Running a model: captures, hooks and the lock."""

import numpy as np
import pytest
import torch

from analysis.errors import AnalysisError
from analysis.runs.forward import next_token_log_probs, run
from analysis.runs.inputs import repeated_tokens, tokenize
from tests.conftest import make_model

PATTERN = "blocks.0.attn.hook_pattern"
Z = "blocks.1.attn.hook_z"


@pytest.fixture
def model():
    """A model of this test's own: hooks and locks are meant to be disturbed."""
    model = make_model()
    # TransformerLens puts hooks of its own on the blocks in the first run.
    run(model, tokenize(model, "One.").tensor)
    return model


def hooks_on(model):
    """Every hook of every kind that sits on the model's modules."""
    return sum(
        len(module._forward_hooks)
        + len(module._forward_pre_hooks)
        + len(module._backward_hooks)
        + len(getattr(module, "fwd_hooks", ()))
        + len(getattr(module, "bwd_hooks", ()))
        for module in model.bridge.modules()
    )


def test_logits_are_the_models_own(attention_only):
    ids = tokenize(attention_only, "One, two, three.").tensor
    logits, kept = run(attention_only, ids)
    assert torch.equal(logits, attention_only.bridge(ids))
    assert kept == {}


def test_tokens_of_another_model_are_refused_before_it_runs(attention_only):
    """Torch would stop with an index error, or on a GPU with nothing that can be read."""
    for wrong in (4096, -1):
        with pytest.raises(AnalysisError, match="rows for ids 0 to 4,095"):
            run(attention_only, torch.tensor([[0, wrong, 1]]))
    with pytest.raises(AnalysisError, match="65 tokens; tiny takes 64"):
        run(attention_only, torch.zeros((1, 65), dtype=torch.long))
    assert not attention_only.lock.locked()


def test_capturing_does_not_change_the_logits(with_mlp):
    ids = tokenize(with_mlp, "One, two, three.").tensor
    plain, _ = run(with_mlp, ids)
    names = [PATTERN, Z, "hook_embed", "blocks.0.hook_mlp_out", "ln_final.hook_scale"]
    captured, kept = run(with_mlp, ids, capture=names)
    assert torch.equal(plain, captured)
    assert set(kept) == set(names)


def test_captures_equal_the_cache_of_transformerlens(with_mlp):
    ids = tokenize(with_mlp, "One, two, three.").tensor
    _, kept = run(with_mlp, ids, capture=[PATTERN, Z, "blocks.1.hook_mlp_out"])
    _, cache = with_mlp.bridge.run_with_cache(ids)
    for name, value in kept.items():
        assert torch.equal(value, cache[name]), name


def test_captured_tensors_are_the_callers_own(attention_only):
    """Two visitors share one model: what one writes into its result must reach nobody else."""
    ids = tokenize(attention_only, "One, two, three.").tensor
    # The last residual stream and the unembedding's input are one tensor inside the model.
    names = ["blocks.1.hook_resid_post", "unembed.hook_in", "hook_embed"]
    logits, kept = run(attention_only, ids, capture=names)
    expected = logits.clone()
    for value in kept.values():
        with torch.inference_mode():
            value.fill_(7)
    addresses = [value.untyped_storage().data_ptr() for value in kept.values()]
    assert len(set(addresses)) == len(names)
    weights = {p.untyped_storage().data_ptr() for p in attention_only.bridge.parameters()}
    assert not weights & set(addresses)
    assert torch.equal(logits, expected)
    assert torch.equal(run(attention_only, ids)[0], expected)


def test_a_capture_sees_what_an_intervention_left(attention_only):
    ids = tokenize(attention_only, "One, two, three.").tensor
    _, kept = run(attention_only, ids, capture=[Z], hooks=[(Z, lambda z, hook: z * 0 + 3)])
    assert torch.equal(kept[Z], torch.full_like(kept[Z], 3))


def test_an_intervention_lasts_for_one_run(model):
    ids = tokenize(model, "One, two, three.").tensor
    clean, _ = run(model, ids)
    edited, _ = run(model, ids, hooks=[(Z, lambda z, hook: z * 0)])
    assert not torch.allclose(clean, edited, atol=1e-3)
    assert torch.equal(run(model, ids)[0], clean)


def test_a_hook_point_that_never_fires_is_an_error(model, monkeypatch):
    """Some bridges have hook points that exist and stay silent: no entry, and no error either."""
    original = model.bridge.run_with_hooks

    def without_captures(ids, return_type, fwd_hooks):
        return original(ids, return_type=return_type, fwd_hooks=[])

    monkeypatch.setattr(model.bridge, "run_with_hooks", without_captures)
    with pytest.raises(RuntimeError, match="never fired.*hook_pattern"):
        run(model, tokenize(model, "One, two.").tensor, capture=[PATTERN])
    assert not model.lock.locked()


class Broken(Exception):
    """Raised by a hook on purpose."""


def test_an_exception_in_a_hook_leaves_no_hook_and_no_lock(model):
    """One visitor's failed run must not change, or block, everyone else's."""
    ids = tokenize(model, "One, two, three.").tensor
    clean, _ = run(model, ids)
    before = hooks_on(model)

    def fail(z, hook):
        raise Broken

    zero = ("blocks.0.attn.hook_z", lambda z, hook: z * 0)
    with pytest.raises(Broken):
        run(model, ids, capture=[PATTERN], hooks=[zero, (Z, fail)])
    assert hooks_on(model) == before
    assert not model.lock.locked()
    assert torch.equal(run(model, ids)[0], clean)


def test_an_unknown_hook_point_leaves_no_hook_and_no_lock(model):
    ids = tokenize(model, "One, two, three.").tensor
    before = hooks_on(model)
    with pytest.raises(Exception, match="hook_nonsense"):
        run(model, ids, capture=[PATTERN, "blocks.0.hook_nonsense"])
    assert hooks_on(model) == before
    assert not model.lock.locked()


def test_a_normal_run_leaves_no_hook_and_no_lock(model):
    before = hooks_on(model)
    run(model, tokenize(model, "One, two.").tensor, capture=[PATTERN])
    assert hooks_on(model) == before
    assert not model.lock.locked()


def test_the_lock_is_held_while_the_model_runs(model):
    """Without it another thread's clean run would pass through this run's hooks."""
    seen = []

    def look(z, hook):
        seen.append(model.lock.locked())

    run(model, tokenize(model, "One, two.").tensor, hooks=[(Z, look)])
    assert seen == [True]


def test_a_result_carries_no_gradient_graph(attention_only):
    """A graph would keep every activation of every cached result in memory."""
    logits, kept = run(
        attention_only, tokenize(attention_only, "One, two.").tensor, capture=[PATTERN]
    )
    assert not logits.requires_grad
    assert not kept[PATTERN].requires_grad


def test_log_probs_are_log_softmax_at_the_token_that_came(attention_only):
    ids = repeated_tokens(attention_only, length=10, batch=3).tensor
    logits, _ = run(attention_only, ids)
    ours = next_token_log_probs(logits, ids)
    exact = logits.double().log_softmax(-1)
    assert ours.shape == (3, 20)
    for row in range(3):
        for entry in range(20):
            expected = exact[row, entry, ids[row, entry + 1]].item()
            assert ours[row, entry].item() == pytest.approx(expected, abs=1e-5)


def test_a_certain_prediction_has_log_prob_0_and_never_more():
    """Rounding of large logits must not give a probability above 1."""
    logits = torch.zeros(1, 2, 64)
    for best in np.linspace(5, 60, 200):
        logits[0, 0, 3] = float(best)
        value = next_token_log_probs(logits, torch.tensor([[0, 3]])).item()
        exact = -np.log1p(63 * np.exp(-float(logits[0, 0, 3])))
        assert value <= 0
        assert value == pytest.approx(exact, abs=1e-6)
