"""Patching, against one hooked run per patch, TransformerLens's own and small steps."""

import numpy as np
import pytest
import torch
from transformer_lens import patching as reference

from analysis.effects import patching
from analysis.effects.patching import (
    PATCH_KINDS,
    activation_patching,
    attribution_patching,
    path_patching,
    prompt_pair,
)
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.runs.forward import run
from analysis.runs.inputs import Tokens, tokenize
from tests.architectures import tiny
from tests.conftest import make_model
from tests.unit.test_forward import hooks_on

ANSWER, FOIL = 11, 12
POINTS = {
    "resid_pre": "hook_resid_pre",
    "attn_out": "hook_attn_out",
    "mlp_out": "hook_mlp_out",
    "z": "attn.hook_z",
    "q": "attn.hook_q",
    "k": "attn.hook_k",
    "v": "attn.hook_v",
    "pattern": "attn.hook_pattern",
}


def some_tokens(ids):
    rows = np.array(ids, dtype=np.int64)
    return Tokens(rows, tuple(tuple(map(str, row)) for row in rows.tolist()), None, has_bos=False)


def some_pair(model):
    """Two sequences of which the third token differs."""
    clean = some_tokens([[0, 41, 52, 63, 41, 7], [0, 9, 8, 77, 6, 5]])
    corrupt = some_tokens([[0, 41, 99, 63, 41, 7], [0, 9, 33, 77, 6, 5]])
    # The one that calls for the answer more is the clean one.
    values = [difference(run(model, tokens.tensor)[0]) for tokens in (clean, corrupt)]
    if values[0] < values[1]:
        clean, corrupt = corrupt, clean
    return prompt_pair(model, clean, corrupt, ANSWER, FOIL)


@pytest.fixture(autouse=True)
def _small_differences_count(monkeypatch):
    """Random weights hardly prefer anything; rounding is still far below."""
    monkeypatch.setattr(patching, "LEAST_SHARED", 1e-3)


def difference(logits):
    return (logits[:, -1, ANSWER] - logits[:, -1, FOIL]).mean().item()


def place(kind, column):
    if kind == "pattern":
        return (slice(None), column)
    if kind in ("resid_pre", "attn_out", "mlp_out"):
        return (slice(None), column)
    return (slice(None), slice(None), column)


def moved(model, pair, kind, layer, column, part=1.0):
    """Logit difference of a whole corrupt run, a part of the way to the clean activation."""
    name = f"blocks.{layer}.{POINTS[kind]}"
    _, kept = run(model, pair.clean.tensor, capture=[name])
    at = place(kind, column)

    def edit(activation, hook):
        activation = activation.clone()
        activation[at] += part * (kept[name][at] - activation[at])
        return activation

    return difference(run(model, pair.corrupt.tensor, hooks=[(name, edit)])[0])


@pytest.mark.parametrize("kind", PATCH_KINDS)
@pytest.mark.parametrize("architecture", ["native", "gpt2", "llama", "neox", "gemma2"])
def test_a_patch_equals_one_hooked_run(architecture, kind):
    model = tiny(architecture)
    if kind == "mlp_out" and not model.info.has_mlp:
        pytest.skip("there is no MLP to patch")
    pair = some_pair(model)
    clean = difference(run(model, pair.clean.tensor)[0])
    corrupt = difference(run(model, pair.corrupt.tensor)[0])
    found = activation_patching(model, pair, kind)
    assert found.exact
    assert (found.clean, found.corrupt) == pytest.approx((clean, corrupt), abs=1e-5)
    for layer in range(model.n_layers):
        for column in range(found.values.shape[1]):
            restored = (moved(model, pair, kind, layer, column) - corrupt) / (clean - corrupt)
            assert found.values[layer, column] == pytest.approx(restored, abs=1e-4)
    assert np.abs(found.values).max() > 1e-3


@pytest.mark.parametrize("architecture", ["native", "native-LN-MLP", "gpt2", "llama", "neox"])
def test_an_attribution_is_the_slope_towards_the_clean_activation(architecture):
    model = tiny(architecture)
    pair = some_pair(model)
    maps = attribution_patching(model, pair)
    assert set(maps) == set(PATCH_KINDS) - (set() if model.info.has_mlp else {"mlp_out"})
    step = 0.02
    for kind, found in maps.items():
        assert not found.exact
        exact = activation_patching(model, pair, kind, cells=[])
        assert found.values.shape == exact.values.shape
        assert np.isnan(exact.values).all()
        gap = found.clean - found.corrupt
        for layer, column in ((0, 0), (0, 2), (1, 1)):
            if column >= found.values.shape[1]:
                continue
            up, down = (moved(model, pair, kind, layer, column, part) for part in (step, -step))
            slope = (up - down) / (2 * step) / gap
            assert found.values[layer, column] == pytest.approx(slope, rel=0.05, abs=5e-3)


def test_the_stream_that_enters_the_first_layer_restores_all_at_the_one_differing_position(bundled):
    clean = tokenize(bundled, "The cat sat. The dog ran. The cat")
    corrupt = tokenize(bundled, "The cat sat. The dog ran. The dog")
    pair = prompt_pair(bundled, clean, corrupt, 100, 200)
    (position,) = np.flatnonzero(pair.differing)
    found = activation_patching(bundled, pair, "resid_pre", cells=[(0, int(position)), (0, 0)])
    assert found.values[0, position] == pytest.approx(1, abs=1e-4)
    assert found.values[0, 0] == pytest.approx(0, abs=1e-4)
    assert np.isnan(found.values[1]).all()


def test_maps_equal_those_of_transformerlens():
    model = tiny("gpt2")
    pair = some_pair(model)
    clean = difference(run(model, pair.clean.tensor)[0])
    corrupt = difference(run(model, pair.corrupt.tensor)[0])
    with torch.no_grad():
        _, cache = model.bridge.run_with_cache(pair.clean.tensor)
        for kind, function in (
            ("resid_pre", reference.get_act_patch_resid_pre),
            ("z", reference.get_act_patch_attn_head_out_all_pos),
            ("k", reference.get_act_patch_attn_head_k_all_pos),
            ("pattern", reference.get_act_patch_attn_head_pattern_all_pos),
        ):
            theirs = function(
                model.bridge,
                pair.corrupt.tensor,
                cache,
                lambda logits: (logits[:, -1, ANSWER] - logits[:, -1, FOIL]).mean(),
            )
            expected = (theirs.numpy() - corrupt) / (clean - corrupt)
            found = activation_patching(model, pair, kind)
            np.testing.assert_allclose(found.values, expected, atol=1e-4, err_msg=kind)


def test_shared_keys_and_values_have_columns_of_their_own():
    """Under a query head's name, a key/value head's effect would appear for all of its group."""
    model = tiny("llama")
    pair = some_pair(model)
    maps = attribution_patching(model, pair)
    assert [maps[kind].axis for kind in ("z", "q", "k", "v", "pattern")] == [
        "head",
        "head",
        "kv_head",
        "kv_head",
        "head",
    ]
    assert maps["k"].values.shape == maps["v"].values.shape == (3, 2)
    assert maps["q"].values.shape == maps["z"].values.shape == (3, 4)


@pytest.mark.parametrize(("architecture", "inputs"), [("gpt2", "qkv"), ("llama", "q")])
def test_paths_equal_those_of_transformerlens(architecture, inputs):
    """On models whose attention has the forked inputs that its function needs."""
    model = tiny(architecture)
    pair = some_pair(model)
    clean = difference(run(model, pair.clean.tensor)[0])
    corrupt = difference(run(model, pair.corrupt.tensor)[0])
    writer, reader = Head(0, 1), Head(2, 3)
    with torch.no_grad():
        caches = [model.bridge.run_with_cache(t.tensor)[1] for t in (pair.clean, pair.corrupt)]
        for each in inputs:
            theirs = reference.get_act_patch_direct_path(
                model.bridge,
                pair.corrupt.tensor,
                *caches,
                lambda logits: (logits[:, -1, ANSWER] - logits[:, -1, FOIL]).mean(),
                src_layer=writer.layer,
                src_head=writer.head,
                component=each,
                verbose=False,
            )
            expected = (theirs[reader.layer, reader.head].item() - corrupt) / (clean - corrupt)
            found = path_patching(model, pair, reader, each)
            assert found.values[writer.layer, writer.head] == pytest.approx(expected, abs=1e-4)
            assert np.isnan(found.values[reader.layer]).all()
            assert np.isfinite(found.values[: reader.layer]).all()
            assert np.abs(found.values[: reader.layer]).max() > 1e-3


def test_path_patching_holds_copies_of_one_head_and_not_views_of_all(monkeypatch):
    """A view of one head keeps what it is a view of: as many times the memory as heads."""
    model = tiny("native-LN-MLP")
    held = []

    def rerun(model, recording, cases, *rest):
        tensors = [edit.values for case in cases for edit in case]
        storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
        held.append((sum(storages.values()), sum(4 * t.numel() for t in tensors)))
        return real(model, recording, cases, *rest)

    real = patching.rerun
    monkeypatch.setattr(patching, "rerun", rerun)
    clean, corrupt = (tokenize(model, text) for text in ("The cat sat", "The dog sat"))
    logits = [run(model, tokens.tensor)[0][0, -1] for tokens in (clean, corrupt)]
    change = logits[0] - logits[1]
    ids = int(change.argmax()), int(change.argmin())
    path_patching(model, prompt_pair(model, clean, corrupt, *ids), Head(2, 1), "k")
    assert held
    assert all(there == needed for there, needed in held)


def test_paths_into_shared_keys_go_to_key_value_heads():
    model = tiny("llama")
    pair = some_pair(model)
    assert np.isfinite(path_patching(model, pair, Head(1, 1), "k").values[0]).all()
    with pytest.raises(AnalysisError, match="Key/value head 2.*0 to 1"):
        path_patching(model, pair, Head(1, 2), "k")


@pytest.mark.parametrize(("least", "turned"), [(1e-3, True), (1e6, False)])
def test_a_share_of_noise_or_of_the_wrong_sign_is_not_given(monkeypatch, least, turned):
    """+75 of a gap of .0026 logits says nothing; what the patches do in logits still holds."""
    model = tiny("gpt2")
    pair = some_pair(model)
    usual = activation_patching(model, pair, "z")
    assert usual.no_share == ""
    gap = usual.clean - usual.corrupt
    np.testing.assert_allclose(usual.values, usual.effects / gap, rtol=1e-5)
    monkeypatch.setattr(patching, "LEAST_SHARED", least)
    if turned:
        pair = prompt_pair(model, pair.clean, pair.corrupt, FOIL, ANSWER)
    seen = []
    found = activation_patching(model, pair, "z", on_value=lambda cell, value: seen.append(value))
    paths = path_patching(model, pair, Head(2, 1), "q")
    estimate = attribution_patching(model, pair, ["z"])["z"]
    assert np.isnan(seen).all()
    for each in (found, paths, estimate):
        assert np.isnan(each.values).all()
        assert ("calls for the answer more" if turned else "noise") in each.no_share
        assert np.isfinite(each.effects[0]).all()
    np.testing.assert_allclose(
        found.effects, -usual.effects if turned else usual.effects, atol=1e-5
    )


def test_pairs_that_cannot_be_patched_are_refused(bundled):
    clean = tokenize(bundled, "The cat sat on the mat")
    longer = tokenize(bundled, "The cat sat on the mat and the cat slept")
    with pytest.raises(AnalysisError, match=f"{clean.length} tokens.*{longer.length}.*same number"):
        prompt_pair(bundled, clean, longer, 1, 2)
    with pytest.raises(AnalysisError, match="same tokens"):
        prompt_pair(bundled, clean, clean, 1, 2)
    other = tokenize(bundled, "The dog sat on the mat")
    with pytest.raises(AnalysisError, match="same token"):
        prompt_pair(bundled, clean, other, 1, 1)
    with pytest.raises(AnalysisError, match="4096 is unknown"):
        prompt_pair(bundled, clean, other, 4096, 1)
    pair = prompt_pair(bundled, clean, other, 1, 2)
    with pytest.raises(AnalysisError, match="no MLPs"):
        activation_patching(bundled, pair, "mlp_out")
    with pytest.raises(AnalysisError, match="column 8"):
        activation_patching(bundled, pair, "z", cells=[(0, 8)])
    with pytest.raises(AnalysisError, match="first layer"):
        path_patching(bundled, pair, Head(0, 0), "k")


def test_a_difference_that_does_not_change_is_refused():
    """Every share of nothing would be noise of any size."""
    model = make_model()
    for layer in range(2):
        model.bridge.state_dict()[f"blocks.{layer}.attn.o.weight"].zero_()
    pair = some_pair(model)
    with pytest.raises(AnalysisError, match="nothing to restore"):
        activation_patching(model, pair, "z")
    with pytest.raises(AnalysisError, match="nothing to restore"):
        attribution_patching(model, pair)


def test_values_come_one_by_one_and_a_cancelled_run_leaves_nothing():
    model = make_model()
    pair = some_pair(model)
    seen, calls = [], []
    found = activation_patching(
        model,
        pair,
        "z",
        progress=lambda done, total: calls.append((done, total)),
        on_value=lambda cell, value: seen.append((cell, value)),
    )
    assert calls == [(done, 8) for done in range(9)]
    assert [cell for cell, _ in seen] == [(layer, head) for layer in (0, 1) for head in range(4)]
    assert all(found.values[cell] == np.float32(value) for cell, value in seen)
    before, clean = hooks_on(model), run(model, pair.clean.tensor)[0]

    class Cancelled(BaseException):
        pass

    def cancel(*args):
        raise Cancelled

    with pytest.raises(Cancelled):
        activation_patching(model, pair, "q", on_value=cancel)
    assert hooks_on(model) == before
    assert not model.lock.locked()
    assert torch.equal(run(model, pair.clean.tensor)[0], clean)
