"""Screens of heads for roles: each by an example worked out by hand, and on heads made to order."""

from itertools import product

import numpy as np
import pytest
import torch

from analysis.circuits.embeddings import token_vectors
from analysis.circuits.own_tokens import own_ranks, successor_shares
from analysis.circuits.weights import circuit_weights
from analysis.definitions.role import Role, Rows
from analysis.definitions.roles import ROLES
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.heads.scores import head_scores
from analysis.logits.attribution import logit_attribution
from analysis.logits.direct import direct_effects
from analysis.models.loading import HeadModel
from analysis.roles.results import RoleScores
from analysis.roles.scores import role_scores, screen_patterns
from analysis.runs.forward import run
from analysis.runs.inputs import repeated_tokens, tokenize
from analysis.sets.fitted import fit_set, prompt_set
from analysis.sets.rows import PromptRow, PromptSet
from analysis.tokens import Tokens
from tests.synthetic import IDLE, MOVER, NEGATIVE, QUIET_CAUSE, model_with_roles, prompts

OF_PATTERNS = [role for role in ROLES.values() if role.example]


def example(role: Role) -> tuple[Rows, np.ndarray]:
    assert role.example
    words = role.example.words
    pattern = np.zeros((1, 1, 1, len(words), len(words)), np.float32)
    for dest, row in enumerate(role.example.rows):
        pattern[..., dest, : dest + 1] = row
    ids = np.array([[sorted(set(words)).index(word) for word in words]])
    tokens = Tokens(ids, (tuple(words),), half_length=None, has_bos=False)
    places = {name: np.array([at]) for name, at in role.example.places.items()}
    return Rows(tokens, places), pattern


@pytest.mark.parametrize("role", OF_PATTERNS, ids=lambda role: role.key)
def test_a_screen_of_patterns_gives_what_was_worked_out_by_hand(role: Role) -> None:
    rows, pattern = example(role)
    assert np.allclose(pattern.sum(-1), 1)
    value, _ = screen_patterns(role, rows, pattern, np.random.default_rng(0))
    assert value[0, 0, 0] == pytest.approx(role.example.value, abs=1e-6)


@pytest.mark.parametrize("role", OF_PATTERNS, ids=lambda role: role.key)
def test_a_head_that_spreads_attention_evenly_is_at_the_level_of_chance(role: Role) -> None:
    rows, pattern = example(role)
    length = pattern.shape[-1]
    uniform = np.tril(np.ones((length, length), np.float32))
    pattern[...] = uniform / uniform.sum(-1, keepdims=True)
    value, chance = screen_patterns(role, rows, pattern, np.random.default_rng(0))
    assert value[0, 0, 0] == pytest.approx(chance[0], abs=1e-6)


def test_scores_on_random_tokens_are_those_of_the_finder(bundled: HeadModel) -> None:
    keys = {"previous-token": "previous", "induction": "induction", "duplicate-token": "duplicate"}
    found = role_scores(bundled, prompt_set(bundled, "plural", count=4), roles=list(keys))
    scores = head_scores(bundled, repeated_tokens(bundled, 50, 4))
    for role, score in keys.items():
        assert found.values[role] == pytest.approx(scores[score], abs=1e-5)
        assert found.chance[role] == pytest.approx(scores.chance[score], abs=1e-6)
        assert (found.spread[role][0] <= found.values[role] + 1e-6).all()


@pytest.fixture(scope="module")
def made() -> HeadModel:
    return model_with_roles()


@pytest.fixture(scope="module")
def seen(made: HeadModel) -> RoleScores:
    return role_scores(made, prompts())


@pytest.mark.parametrize(
    ("role", "heads"),
    [
        ("name-mover", {MOVER}),
        ("negative-name-mover", {NEGATIVE}),
        ("subject-suppressor", {IDLE}),  # by its pattern alone: it writes nothing
        ("copying", {MOVER}),
        ("copy-suppression", {QUIET_CAUSE, NEGATIVE}),
        ("successor", set()),
        ("induction", set()),
    ],
)
def test_heads_made_for_a_role_are_screened_and_no_others(
    seen: RoleScores, role: str, heads: set[Head]
) -> None:
    assert set(seen.screened(role, 4)) == heads


def test_a_head_that_writes_nothing_is_no_mover_wherever_it_looks(seen: RoleScores) -> None:
    screen = seen.screens["subject-suppressor"]
    assert screen.values[IDLE.layer, IDLE.head] == pytest.approx(1, abs=1e-5)
    for role in ("copying", "copy-suppression", "name-mover", "negative-name-mover"):
        assert seen.values[role][IDLE.layer, IDLE.head] == 0


@pytest.mark.parametrize("name", ["attention_only", "with_mlp"])
def test_ranks_of_own_tokens_are_those_of_the_whole_matrix(
    name: str, request: pytest.FixtureRequest
) -> None:
    model: HeadModel = request.getfixturevalue(name)
    ids = list(range(3, 4096, 20))
    weights = circuit_weights(model)
    found = own_ranks(model, ids, limit=100)
    for layer, head in product(range(2), range(4)):
        read = token_vectors(model, 0, "raw", ids)
        if name == "with_mlp" and layer:
            rows = torch.tensor([[model.bos_id, token] for token in ids])
            read = run(model, rows, ["blocks.1.hook_resid_pre"])[1]["blocks.1.hook_resid_pre"][:, 1]
        moved = read @ weights.W_V[layer, head] @ weights.W_O[layer, head] @ weights.W_U
        own = moved[torch.arange(len(ids)), ids][:, None]
        for ranks, beaten in ((found.raised, moved >= own), (found.lowered, moved <= own)):
            counts = (beaten.sum(1) - 1).clamp(max=100)
            assert ranks[layer, head].tolist() == counts.tolist()
    assert (found.raised < 100).any() and (found.raised == 100).any()


def test_a_head_that_turns_each_member_into_the_next_is_a_successor(made: HeadModel) -> None:
    """One head's OV is set to send 5 → 6 → 7 → 8; the others are at what the draw gives."""
    ids = [5, 6, 7, 8]
    bridge = made.bridge
    before = bridge.blocks[0].attn.W_V[3].clone(), bridge.blocks[0].attn.W_O[3].clone()
    bridge.blocks[0].attn.W_V[3].zero_()
    bridge.blocks[0].attn.W_O[3].zero_()
    for at, (token, following) in enumerate(zip(ids, ids[1:], strict=False)):
        bridge.blocks[0].attn.W_V[3, :, at] = bridge.W_E[token]
        bridge.blocks[0].attn.W_O[3, at] = bridge.W_E[following]
    try:
        shares, chance = successor_shares(made, [ids])
    finally:
        bridge.blocks[0].attn.W_V[3], bridge.blocks[0].attn.W_O[3] = before
    assert shares[0, 3] == 1 and chance == 0.25
    assert shares[IDLE.layer, IDLE.head] == 0


@pytest.mark.parametrize("name", ["attention_only", "with_mlp"])
def test_direct_effects_are_the_attribution_of_each_prompt(
    name: str, request: pytest.FixtureRequest
) -> None:
    model: HeadModel = request.getfixturevalue(name)
    rows = (
        PromptRow("he said to", answer="the", foil="a"),
        PromptRow("the old dog ran to", answer="him", foil="her"),
        PromptRow("she said to", answer="a", foil="him"),
    )
    fitted = fit_set(model, PromptSet("x", rows))
    found = direct_effects(model, fitted)
    for row in fitted.rows:
        tokens = tokenize(model, rows[row.index].prompt)
        alone = logit_attribution(model, tokens, row.answer, row.foil)
        at = [label.startswith("L") for label in alone.labels]
        assert found[row.index].ravel() == pytest.approx(alone.values[0, -1, at], abs=1e-4)


def test_a_set_that_cannot_show_a_role_says_what_it_lacks(bundled: HeadModel) -> None:
    found = role_scores(bundled, prompt_set(bundled, ["the dog ran", "he saw a big cat"]))
    for role in ("name-mover", "subject-suppressor", "delimiter", "duplicate-on-text"):
        assert np.isnan(found.values[role]).all()
        assert ROLES[role].asks in found.screens[role].lacks
        assert found.screened(role) == ()
    assert np.isfinite(found.values["sink"]).all()


def test_roles_are_the_same_for_the_same_seed_and_cancel_by_progress(bundled: HeadModel) -> None:
    drawn = prompt_set(bundled, "indirect-object", count=4)
    first, again = (role_scores(bundled, drawn, seed=3) for _ in range(2))
    for key in ROLES:
        assert np.array_equal(first.values[key], again.values[key], equal_nan=True)

    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        role_scores(bundled, drawn, progress=cancel)
    with pytest.raises(AnalysisError, match="No role is called"):
        role_scores(bundled, drawn, roles=["mover"])
