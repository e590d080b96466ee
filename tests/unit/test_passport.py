"""A head's sentence: what it says is what the evidence holds, and no more."""

from dataclasses import replace

import numpy as np
import pytest

import analysis
from analysis.circuits.composition import Baseline, Composition
from analysis.circuits.copying import Copying
from analysis.definitions import ABLATION, COPYING, PARTNERS, ROLES, SCORES, TARGETED
from analysis.effects.ablation import HeadAblation
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models.loading import HeadModel
from analysis.passport import Evidence, JudgedRole, passport_from, short
from analysis.roles.verdict import Verdict, Word
from analysis.runs.results import HeadScores
from tests.architectures import tiny

HEAD = Head(1, 0)


def scores(spread: float = np.nan, **values: float) -> HeadScores:
    """Scores of two layers of two heads, of which one is given and the others are low."""
    table = {name: np.full((2, 2), 0.05, np.float32) for name in TARGETED}
    for name, value in values.items():
        table[name][1, 0] = value
    sd = {name: np.full((2, 2), spread, np.float32) for name in table}
    return HeadScores(table, sd, dict.fromkeys(table, 0.02), None, (0, 1))


def composition(kind, value: float) -> Composition:  # noqa: ANN001
    values = np.full((2, 2, 2, 2), np.nan, np.float32)
    values[0, :, 1, :] = 0.06
    values[0, 1, 1, 0] = value
    return Composition(kind, values, Baseline(0.063, 0.002, 0.0625, np.zeros(2, np.float32)), "")


def ablation(value: float) -> HeadAblation:
    return HeadAblation(HEAD, value, np.zeros(3, np.float32), 1.43, "zero")


def copying(share: float) -> Copying:
    hits = np.zeros((1, 100), bool)
    hits[0, : round(100 * share)] = True
    return Copying((HEAD,), (1,), hits, "")


WHOLE = Evidence(
    scores(0.02, induction=0.75),
    (composition("Q", 0.064), composition("K", 0.16), composition("V", 0.063)),
    copying(0.67),
    ablation(0.56),
)


def test_a_sentence_holds_every_number_with_its_chance() -> None:
    found = passport_from(HEAD, WHOLE)
    assert found.text == (
        "L1H0: looks like an induction head, 0.75 ± 0.02 where chance is 0.020; by its weights "
        "reads L0H1 most, through its keys, 0.16 where random pairs have 0.063 ± 0.002; copies 67% "
        "of the vocabulary where chance is 1.0%; the loss rises 0.56 nats without it, from 1.43."
    )
    assert found.missing == ()
    values = [round(claim.value, 4) for claim in found.claims]
    assert values == [0.75, 0.16, 0.67, 0.56]


@pytest.mark.parametrize(
    ("part", "quantity"),
    [("compositions", PARTNERS), ("copying", COPYING), ("ablation", ABLATION)],
)
def test_what_was_not_measured_is_not_said_but_named(part: str, quantity) -> None:  # noqa: ANN001
    none = () if part == "compositions" else None
    found = passport_from(HEAD, replace(WHOLE, **{part: none}))
    assert found.missing == (quantity,)
    assert quantity not in [claim.quantity for claim in found.claims]
    assert len(found.claims) == 3


def test_without_evidence_only_the_label_is_left() -> None:
    found = passport_from(HEAD, Evidence())
    assert found.text == "L1H0"
    assert set(found.missing) == {*(SCORES[n] for n in TARGETED), PARTNERS, COPYING, ABLATION}


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (Evidence(scores(previous=0.9)), "looks like a previous-token head, 0.90 where"),
        (Evidence(scores(induction=0.31)), "looks in part like an induction head, 0.31 where"),
        (Evidence(scores(induction=0.09)), "no head of a kind that is scored (the nearest: ind"),
        (Evidence(scores(first=0.7)), "rests on the first token, 0.70 where"),
        (Evidence(compositions=(composition("K", 0.065),)), "reads no earlier head beyond random"),
        (Evidence(copying=copying(0)), "copies 0% of the vocabulary"),
        (Evidence(ablation=ablation(-0.11)), "the loss falls 0.11 nats without it"),
        (Evidence(ablation=ablation(0.001)), "the loss changes by +0.001 nats without it"),
    ],
)
def test_a_weak_number_makes_no_strong_claim(evidence: Evidence, said: str) -> None:
    assert said in passport_from(HEAD, evidence).text


def test_a_score_that_is_high_by_chance_makes_no_kind() -> None:
    """On five tokens every head looks at the one before."""
    high = replace(scores(previous=0.5), chance=dict.fromkeys(TARGETED, 0.4))
    assert "no head of a kind" in passport_from(HEAD, Evidence(high)).text


def test_the_bundled_induction_head_is_called_one(bundled: HeadModel) -> None:
    """With the numbers of the functions themselves."""
    found = analysis.head_sentence(bundled, Head(1, 4))
    tokens = analysis.repeated_tokens(bundled, 50, 10, 0)
    by = {claim.quantity.name: claim for claim in found.claims}
    assert by["Induction score"].value == pytest.approx(
        analysis.head_scores(bundled, tokens).induction[1, 4]
    )
    assert by[COPYING.name].value == analysis.ov_copying(bundled, Head(1, 4)).accuracy[1]
    effect = analysis.ablate_head(bundled, tokens, Head(1, 4)).value
    assert by[ABLATION.name].value == effect
    assert f"{short(effect)} nats without it" in found.text
    read = analysis.composition_scores(bundled, "K").values[0, 0, 1, 4]
    assert by[PARTNERS.name].value == pytest.approx(read)
    assert "reads L0H0 most, through its keys" in found.text
    first = analysis.head_sentence(bundled, Head(0, 0)).text
    assert "a previous-token head" in first and "read most by the keys of L1H" in first


def test_what_a_model_does_not_allow_is_missing() -> None:
    """Normed queries and keys have no composition by queries and keys, and values still do."""
    model = tiny("gemma3")
    found = analysis.head_sentence(model, Head(1, 0), analysis.tokenize(model, "The cat sat."))
    assert ABLATION not in found.missing
    with pytest.raises(AnalysisError):
        analysis.head_sentence(model, Head(9, 9))


def judged(heads: tuple[Head, ...], word: Word) -> JudgedRole:
    """A head that adds a little to an answer: 2.49 less without it on 32 prompts, as roles.md."""
    by_row, others = np.full(32, -2.49), np.array([-0.09, 0.26])
    found = Verdict(
        *(heads, -2.49, (-2.8, -2.2), by_row, others, ((Head(1, 1),),) * 2, word),
        clean=4.55,
        clean_by_row=np.full(32, 4.55),
        metric="logit_diff",
        method="zero",
        opposes=False,
        backups=(),
        redundancy=None,
    )
    return JudgedRole(ROLES["subject-suppressor"], 0.59, 0.062, "indirect-object", found)


def test_a_role_is_said_by_its_verdict_with_the_numbers_behind_it() -> None:
    found = passport_from(HEAD, Evidence(roles=(judged((HEAD,), "cause"),)))
    name = ROLES["subject-suppressor"].name.lower()
    assert found.text == (
        f"L1H0: on 32 prompts of the set indirect-object looks like the role “{name}” (0.59 where "
        "chance is 0.062) and is a cause: the logit difference changes by -2.49 [-2.80, -2.20] "
        "without it, where 2 random groups have -0.09 to +0.26."
    )
    (claim,) = found.claims
    assert claim.value == -2.49
    assert claim.judged is not None
    group = passport_from(HEAD, Evidence(roles=(judged((Head(0, 2), HEAD), "correlate"),)))
    assert "and, with L0H2, is a correlate" in group.text
    assert "without them" in group.text
