"""Interventions by hand, against transformers with hooks and against what they must amount to."""

from contextlib import ExitStack

import numpy as np
import pytest
import torch

from analysis.effects.ablation import ablate_head
from analysis.effects.estimate import ablation_estimate
from analysis.effects.intervene import intervene
from analysis.effects.recipe import Listed, clashes, parse_recipe, recipe_text
from analysis.effects.steps import Borrow, Dial, Fire, Look, Patch, Push, Steer, Swap, Weigh
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.runs.forward import run
from tests.architectures import FAMILIES, plain, tiny
from tests.unit.test_forward import hooks_on
from tests.unit.test_patching import some_tokens

FIRST = [[0, 41, 52, 63, 41, 7]]
SECOND = [[0, 9, 8, 77, 9, 5]]
HEAD = Head(1, 2)


def tried(model, recipe, focus=HEAD, **options):
    return intervene(model, some_tokens(FIRST), recipe, focus, **options)


def log_probs(model, hooks, capture=()):
    """Of the tokens that came, in a whole run with hooks."""
    logits, kept = run(model, torch.tensor(FIRST), capture, hooks)
    found = logits[0, :-1].log_softmax(-1)
    return found[torch.arange(5), torch.tensor(FIRST)[0, 1:]].numpy(), kept


@pytest.mark.parametrize("architecture", FAMILIES)
def test_an_empty_recipe_changes_nothing(architecture):
    found = tried(tiny(architecture), "off-L0H0x0")
    np.testing.assert_array_equal(found.log_probs[0], found.log_probs[1])
    np.testing.assert_array_equal(found.patterns[0], found.patterns[1])
    assert not found.moved.any()


@pytest.mark.parametrize("architecture", FAMILIES)
@pytest.mark.parametrize("recipe", ["L1H2x1", "L0H1x1_L2H0x1"])
def test_a_dial_at_one_changes_nothing(architecture, recipe):
    model = tiny(architecture)
    if model.n_layers == 2 and "L2" in recipe:
        recipe = "L0H1x1_L1H0x1"
    found = tried(model, recipe)
    np.testing.assert_allclose(found.log_probs[1], found.log_probs[0], atol=2e-5)
    np.testing.assert_allclose(found.moved, 0, atol=1e-5)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_pattern_that_is_set_to_what_it_is_changes_nothing(architecture):
    """Copied from the same prompt, and cell by cell of one row, as exact as a recipe holds them."""
    model = tiny(architecture)
    copied = tried(model, "L1H2-borrow", second=some_tokens(FIRST))
    np.testing.assert_allclose(copied.log_probs[1], copied.log_probs[0], atol=2e-6)
    row = copied.patterns[0][4]
    cells = "_".join(f"L1H2q4k{k}x{row[k]:.4f}" for k in range(5))
    painted = tried(model, cells)
    np.testing.assert_allclose(painted.log_probs[1], painted.log_probs[0], atol=5e-4)
    assert not painted.moved[0].any()


@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_dial_at_zero_is_zero_ablation(architecture):
    model = tiny(architecture)
    found = tried(model, "L1H2x0")
    clean, ablated = found.losses
    expected = ablate_head(model, some_tokens(FIRST), HEAD, "zero")
    np.testing.assert_allclose(ablated - clean, expected.value, atol=2e-5)
    assert abs(ablated - clean) > 1e-4


@pytest.mark.parametrize("architecture", FAMILIES)
def test_all_rows_zero_are_zero_ablation(architecture):
    model = tiny(architecture)
    cells = "_".join(f"L1H2q{q}k{k}x0" for q in range(4) for k in range(q + 1))
    rows = intervene(model, some_tokens([[0, 41, 52, 63]]), cells, HEAD)
    dialled = intervene(model, some_tokens([[0, 41, 52, 63]]), "L1H2x0", HEAD)
    np.testing.assert_allclose(rows.log_probs[1], dialled.log_probs[1], atol=2e-5)
    assert not rows.patterns[1].any()


def _in_transformers(model, edit_z, layer, capture_v):
    """Log-probabilities where a function edits [pos, head, d_head] before the output weights."""
    block = model.model.layers[layer].self_attn
    seen = {}

    def keep_v(module, arguments, output):
        seen["v"] = output[0].unflatten(-1, (2, 8))

    def edit(module, arguments):
        z = arguments[0].clone()
        heads = z[0].unflatten(-1, (4, 8))
        edit_z(heads, seen["v"])
        return (heads.flatten(1)[None],)

    with ExitStack() as stack, torch.no_grad():
        stack.callback(block.v_proj.register_forward_hook(keep_v).remove)
        stack.callback(block.o_proj.register_forward_pre_hook(edit).remove)
        logits = model(torch.tensor(FIRST)).logits[0, :-1]
        clean = model(torch.tensor(FIRST), output_attentions=True)
    found = logits.log_softmax(-1)[torch.arange(5), torch.tensor(FIRST)[0, 1:]]
    return found.numpy(), clean.attentions[layer][0].numpy()


def test_each_edit_of_a_head_is_what_transformers_makes_of_it():
    model, own = tiny("llama"), plain("llama")
    weights = {}

    def dial(z, v):
        z[:, 2] *= -0.5

    def look(z, v):
        z[4, 2] = v[1, 1]  # heads 2 and 3 share key/value head 1

    def remove(z, v):
        z[4, 2] -= weights["A"] * v[1, 1]

    _, patterns = _in_transformers(own, dial, 1, None)
    weights["A"] = float(patterns[2, 4, 1])
    for recipe, edit in (("L1H2x-0.5", dial), ("L1H2q4k1", look), ("L1H2q4k1x0", remove)):
        expected, _ = _in_transformers(own, edit, 1, None)
        found = tried(model, recipe)
        np.testing.assert_allclose(found.log_probs[1], expected, atol=1e-5)
        assert np.abs(found.log_probs[1] - found.log_probs[0]).max() > 1e-4
    np.testing.assert_allclose(tried(model, "").patterns[0], patterns[2], atol=1e-6)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_the_slope_of_a_dial_is_the_gradient(architecture):
    model = tiny(architecture)
    step = 0.05
    up, down = (tried(model, f"L1H2x{1 + side * step:g}").losses[1] for side in (1, -1))
    slope = (up - down) / (2 * step)
    name = "blocks.1.attn.hook_z"
    with torch.inference_mode(False), torch.enable_grad():
        factor = torch.ones((), requires_grad=True)

        def scale(z, hook):
            z = z.detach().clone()
            return torch.cat([z[:, :, :2], z[:, :, 2:3] * factor, z[:, :, 3:]], 2)

        with model.lock:
            logits = model.bridge.run_with_hooks(torch.tensor(FIRST), fwd_hooks=[(name, scale)])
        ids = torch.tensor(FIRST)[0, 1:]
        loss = -logits[0, :-1].log_softmax(-1)[torch.arange(5), ids].mean()
        (gradient,) = torch.autograd.grad(loss, factor)
    np.testing.assert_allclose(slope, float(gradient), atol=2e-3)
    # Zero ablation is estimated by a step from 1 to 0 along it.
    estimate = ablation_estimate(model, some_tokens(FIRST), "zero").values[1, 2]
    np.testing.assert_allclose(-estimate, float(gradient), atol=1e-5)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_what_is_taken_of_a_second_prompt_is_a_patch(architecture):
    model = tiny(architecture)
    second = some_tokens(SECOND)
    pattern, stream = "blocks.1.attn.hook_pattern", "blocks.1.hook_resid_pre"
    _, of_second = run(model, second.tensor, [pattern, stream])
    _, of_first = run(model, torch.tensor(FIRST), [stream])

    def borrow(activation, hook):
        activation = activation.clone()
        activation[:, 2] = of_second[pattern][:, 2]
        return activation

    def patch(activation, hook):
        activation = activation.clone()
        activation[:, 3] = of_second[stream][:, 3]
        return activation

    def steer(activation, hook):
        return activation + 0.5 * (of_second[stream][:, -1:] - of_first[stream][:, -1:])

    for recipe, hook in (
        ("L1H2-borrow", (pattern, borrow)),
        ("R1p3", (stream, patch)),
        ("R1x0.5", (stream, steer)),
    ):
        expected, _ = log_probs(model, [hook])
        found = tried(model, recipe, second=second)
        np.testing.assert_allclose(found.log_probs[1], expected, atol=2e-5)
        assert np.abs(expected - found.log_probs[0]).max() > 1e-4


@pytest.mark.parametrize("architecture", ["native", "gpt2", "llama", "gemma2"])
def test_a_head_pushed_at_one_source_alone_looks_there_alone(architecture):
    model = tiny(architecture)
    top = Head(model.n_layers - 1, 2)  # nothing later mixes positions
    looking = "_".join(f"{top.label}q{dest}k1" for dest in range(1, 6))
    looked = tried(model, looking)
    pushed = tried(model, f"{top.label}x0_{top.label}v1x1")
    np.testing.assert_allclose(pushed.log_probs[1][1:], looked.log_probs[1][1:], atol=2e-5)
    assert np.abs(pushed.log_probs[1] - pushed.log_probs[0]).max() > 1e-4


def test_steering_leaves_bos_alone(attention_only):
    tokens = some_tokens(FIRST)
    behind = type(tokens)(tokens.ids, tokens.labels, None, has_bos=True)
    second = some_tokens(SECOND)
    for recipe in ("R1x2", "L1H2v3x2"):
        everywhere = intervene(attention_only, tokens, recipe, HEAD, second=second)
        found = intervene(attention_only, behind, recipe, HEAD, second=second)
        assert found.log_probs[1][0] == found.log_probs[0][0]
        assert everywhere.log_probs[1][0] != everywhere.log_probs[0][0]


def test_a_neuron_is_set_at_every_position():
    model = tiny("native-LN-MLP")
    name = "blocks.1.mlp.hook_post"

    def fire(activation, hook):
        activation = activation.clone()
        activation[..., 5] = 4
        return activation

    expected, _ = log_probs(model, [(name, fire)])
    np.testing.assert_allclose(tried(model, "L1N5x4").log_probs[1], expected, atol=2e-5)


@pytest.mark.parametrize("method", ["mean", "resample"])
def test_a_swap_is_that_ablation(attention_only, method):
    found = tried(attention_only, f"L1H2-{method}", seed=3)
    expected = ablate_head(attention_only, some_tokens(FIRST), HEAD, method, seed=3)
    clean, ablated = found.losses
    np.testing.assert_allclose(ablated - clean, expected.value, atol=2e-5)


def test_what_is_said_of_both_runs(attention_only):
    found = tried(attention_only, "L0H1x0_L1H2q3k0", answer=11, foil=12)
    name = "blocks.1.attn.hook_pattern"

    def silence(z, hook):
        z = z.clone()
        z[:, :, 1] = 0
        return z

    def look(pattern, hook):
        pattern = pattern.clone()
        pattern[:, 2, 3] = torch.tensor([1.0, 0, 0, 0, 0, 0])
        return pattern

    hooks = [("blocks.0.attn.hook_z", silence), (name, look)]
    logits, kept = run(attention_only, torch.tensor(FIRST), [name], hooks)
    clean, clean_kept = run(attention_only, torch.tensor(FIRST), [name])
    for side, (own, cache) in enumerate(((clean, clean_kept), (logits, kept))):
        last = own[0, -1]
        np.testing.assert_allclose(found.difference[side], last[11] - last[12], atol=1e-4)
        np.testing.assert_allclose(
            found.probs[side], last.softmax(-1)[torch.tensor(found.ids)], atol=1e-5
        )
        np.testing.assert_allclose(found.patterns[side], cache[name][0, 2], atol=1e-5)
    assert set(clean[0, -1].topk(10).indices.tolist()) <= set(found.ids.tolist())
    assert set(logits[0, -1].topk(10).indices.tolist()) <= set(found.ids.tolist())
    apart = (kept[name] - clean_kept[name])[0, :, 1:].abs().sum(-1).mean(-1) / 2
    np.testing.assert_allclose(found.moved[1], apart, atol=1e-5)
    assert not found.moved[0].any()
    assert np.isnan(tried(attention_only, "L0H1x0").difference).all()


@pytest.mark.parametrize(
    ("architecture", "more"), [("native", []), ("llama", ["L0N3x2", "L1N5x-1", "L0N3x1"])]
)
def test_the_order_counts_where_it_is_said_to_and_nowhere_else(architecture, more):
    """Of attention alone, and beside neurons, shared keys and rotary positions."""
    model = tiny(architecture)
    second = some_tokens(SECOND)
    steps = ["L0H1x0.5", "L0H1x-1", "L0H1-mean", "L0H1v2x3", "L1H2q3k1", "L1H2q3k1x0.5"]
    steps += ["L1H2q3k2x0.7", "L1H2-borrow", "R1p3", "R1x0.5", "R1x-2", "R0p2", *more]
    for i, one in enumerate(steps):
        for other in steps[i + 1 :]:
            there, back = (
                tried(model, "_".join(order), second=second).log_probs[1]
                for order in ((one, other), (other, one))
            )
            parsed = [listed.step for listed in parse_recipe(f"{one}_{other}")]
            said = list(clashes(parsed))
            assert bool(said) == (not np.allclose(there, back, atol=2e-5)), (one, other)


def test_a_recipe_reads_back_as_it_was_written():
    steps = (
        Listed(Dial(Head(1, 4), 0.5)),
        Listed(Dial(Head(1, 4), -1.0), on=False),
        Listed(Swap(Head(0, 3), "mean")),
        Listed(Swap(Head(0, 3), "resample")),
        Listed(Push(Head(0, 3), 2, -0.5)),
        Listed(Look(HEAD, 5, 2)),
        Listed(Weigh(HEAD, 5, 2, 0.25)),
        Listed(Borrow(HEAD)),
        Listed(Fire(2, 130, 4.0)),
        Listed(Patch(3, 5)),
        Listed(Steer(3, 0.8)),
    )
    text = recipe_text(steps)
    assert parse_recipe(text) == steps
    assert text == (
        "L1H4x0.5_off-L1H4x-1_L0H3-mean_L0H3-resample_L0H3v2x-0.5_L1H2q5k2_L1H2q5k2x0.25_"
        "L1H2-borrow_L2N130x4_R3p5_R3x0.8"
    )


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("L1H4", "is no step of a recipe"),
        ("L1H4x½", "is no step of a recipe"),
        ("L1H4x3", "A head is dialled to -1 … 2, not 3"),
        ("L1H2q3k1x1.5", "A cell is set to 0 … 1"),
        ("_".join(["L0H0x0"] * 21), "at most 20"),
        ("L9H0x0", "has layers 0 to 1"),
        ("L1H2q1k3", "cannot look from position 1 ahead to 3"),
        ("L1H2q9k3", "has positions 0 to 5"),
        ("R0p9", "has positions 0 to 5"),
        ("L1H2v6x1", "has positions 0 to 5"),
        ("L1H2v2x11", "What a head writes is added to -10 … 10"),
        ("R7x1", "Layer 7 was asked for"),
        ("R0p3", "needs a second prompt. Type one"),
        ("L0N3x1", "Neuron 3 was asked for"),
    ],
)
def test_a_bad_recipe_is_refused_with_its_reason(attention_only, recipe, said):
    with pytest.raises(AnalysisError, match=said.replace(".", r"\.")):
        tried(attention_only, recipe)


def test_prompts_of_other_lengths_are_refused_where_positions_have_to_meet(attention_only):
    second = some_tokens([[0, 9, 8]])
    tried(attention_only, "R1x1", second=second)
    with pytest.raises(AnalysisError, match="the first has 6, the second 3"):
        tried(attention_only, "L1H2-borrow", second=second)


def test_nothing_stays_on_the_model(attention_only):
    before = hooks_on(attention_only)
    tried(attention_only, "L0H1x0_L1H2q3k0")
    assert hooks_on(attention_only) == before
    with pytest.raises(AnalysisError):
        tried(attention_only, "L9H1x0")
    assert hooks_on(attention_only) == before
