"""Roles and verdicts on SmolLM2, against numbers that transformers alone gave.

They are of prompts `When A and B went to the store, B gave a drink to`, measured with hooks in
transformers on the converted weights: screens on 64 prompts of seed 0 over all names, ablations on
32 prompts of seed 1 over the first 32 names.
"""

import random
from itertools import islice

import numpy as np
import pytest

from analysis.circuits.own_tokens import own_ranks
from analysis.effects.groups import group_metrics
from analysis.head import Head
from analysis.logits.direct import direct_effects
from analysis.models.loading import HeadModel
from analysis.roles.results import RoleScores
from analysis.roles.scores import role_scores
from analysis.roles.verdict import verdict
from analysis.sets.builtin import indirect_object, single_names
from analysis.sets.fitted import FittedSet, fit_set, prompt_set, token_counts
from analysis.sets.metrics import set_metric
from analysis.sets.rows import PromptSet

ROLES = ("name-mover", "negative-name-mover", "subject-suppressor", "successor")
NAME_MOVERS, SUPPRESSORS = (Head(23, 0), Head(23, 1)), (Head(25, 2), Head(20, 0))


@pytest.fixture(scope="module")
def screened(smollm2: HeadModel) -> FittedSet:
    return fit_set(smollm2, prompt_set(smollm2, "indirect-object", count=64))


@pytest.fixture(scope="module")
def ablated(smollm2: HeadModel) -> FittedSet:
    names = single_names(token_counts(smollm2))
    assert len(names) == 61
    rows = tuple(islice(indirect_object(names[:32], random.Random(1)), 32))
    return fit_set(smollm2, PromptSet("the first 32 names", rows))


@pytest.fixture(scope="module")
def seen(smollm2: HeadModel, screened: FittedSet) -> RoleScores:
    return role_scores(smollm2, screened, roles=ROLES)


def told(text: str) -> dict[tuple[int, int], float]:
    """Heads with numbers, such as `23.0 .66, 24.4 .61`."""
    pairs = (each.split() for each in text.split(","))
    return {(int(head.split(".")[0]), int(head.split(".")[1])): float(n) for head, n in pairs}


def test_the_task_is_done(smollm2: HeadModel, screened: FittedSet, ablated: FittedSet) -> None:
    values = set_metric(smollm2, screened).values
    assert values.mean() == pytest.approx(4.09, abs=0.01) and (values > 0).all()
    assert set_metric(smollm2, ablated).values.mean() == pytest.approx(4.55, abs=0.01)


@pytest.mark.parametrize(
    ("role", "table"),
    [
        ("name-mover", "23.0 .66, 24.4 .61, 23.1 .54, 23.7 .44, 22.7 .43"),
        ("subject-suppressor", "25.2 .68, 20.0 .65, 23.3 .59, 18.1 .41, 19.2 .41"),
    ],
)
def test_attention_from_the_end_is_that_of_transformers(
    seen: RoleScores, role: str, table: str
) -> None:
    attention = seen.screens[role].attention
    assert attention is not None
    for at, value in told(table).items():
        assert attention[at] == pytest.approx(value, abs=0.01)
    strongest = np.sort(attention, axis=None)[::-1][:5]
    assert strongest == pytest.approx(sorted(told(table).values(), reverse=True), abs=0.01)


def test_heads_raise_and_lower_the_names_that_transformers_says(smollm2: HeadModel) -> None:
    encode = smollm2.tokenizer.encode
    names = single_names(token_counts(smollm2))
    ranks = own_ranks(smollm2, [encode(f" {n}", add_special_tokens=False)[0] for n in names], 5)
    raised, lowered = ((each < 5).mean(-1) for each in (ranks.raised, ranks.lowered))
    table = "23.2 .97, 23.0 .85, 24.5 .72, 23.1 .72, 23.5 .67"
    for at, value in told(table).items():
        assert raised[at] == pytest.approx(value, abs=0.01)
    assert raised.mean() == pytest.approx(0.017, abs=0.001)
    assert lowered[23, 3] == pytest.approx(1, abs=0.01)
    assert lowered[24, 4] == pytest.approx(0.77, abs=0.01)
    assert np.sort(lowered, axis=None)[-3] < 0.05


def test_direct_logit_differences_are_those_of_transformers(
    smollm2: HeadModel, screened: FittedSet
) -> None:
    found = direct_effects(smollm2, screened).mean(0)
    for at, value in told(
        "23.3 2.15, 29.1 1.36, 23.0 .94, 29.0 -1.08, 24.4 -.59, 24.5 -.20"
    ).items():
        assert found[at] == pytest.approx(value, abs=0.01)


def test_ablations_change_the_logit_difference_as_in_transformers(
    smollm2: HeadModel, ablated: FittedSet
) -> None:
    table = {
        (Head(23, 3),): -2.49,
        SUPPRESSORS: -1.89,
        NAME_MOVERS: -0.18,
        (Head(8, 1), Head(9, 2)): -0.14,
        (Head(24, 4),): 0.20,
    }
    found = group_metrics(smollm2, ablated, list(table))
    changes = (found.without - found.clean).mean(1)
    assert changes == pytest.approx(list(table.values()), abs=0.05)


@pytest.mark.parametrize(
    ("heads", "word"),
    [((Head(23, 3),), "cause"), (SUPPRESSORS, "cause"), (NAME_MOVERS, "correlate")],
    ids=["23.3", "25.2 and 20.0", "23.0 and 23.1"],
)
def test_what_looks_like_a_cause_is_not_always_one(
    smollm2: HeadModel, ablated: FittedSet, heads: tuple[Head, ...], word: str
) -> None:
    assert verdict(smollm2, ablated, heads, redundancy=False).word == word


def test_roles_are_screened_and_succession_is_null(
    smollm2: HeadModel, ablated: FittedSet, seen: RoleScores
) -> None:
    assert seen.screened("name-mover") == NAME_MOVERS
    assert seen.screened("subject-suppressor") == SUPPRESSORS
    assert seen.screened("negative-name-mover") == (Head(24, 4),)
    assert seen.screened("successor") == ()
    assert 0.1 < seen.values["successor"].max() < 0.2
    assert seen.chance["successor"] == pytest.approx(0.07, abs=0.01)
    assert verdict(smollm2, ablated, seen.screened("successor")).word == "null"
