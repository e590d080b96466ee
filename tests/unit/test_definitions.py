"""The registered quantities: each is complete, and what it names is there."""

import re
from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest

import analysis
from analysis import definitions
from analysis.definitions import (
    PROFILE,
    QUANTITIES,
    ROLES,
    SCORE_NAMES,
    SCORES,
    SIMILARITY,
    TARGETED,
    Quantity,
)
from analysis.definitions.score import Score
from analysis.runs.results import HeadScores
from app.compute import trees
from app.frame import snippets

TEXTS = ("name", "meaning", "formula", "unit", "source", "function")
EACH = pytest.mark.parametrize("quantity", QUANTITIES, ids=lambda quantity: quantity.name)


def test_every_constant_and_every_score_is_registered_once() -> None:
    """A score without its definition would leave its page unable to say what it shows."""
    constants = {value for value in vars(definitions).values() if isinstance(value, Quantity)}
    assert constants | set(SCORES.values()) | set(ROLES.values()) == set(QUANTITIES)
    assert {q for q in QUANTITIES if isinstance(q, Score)} == set(SCORES.values())
    for names in ([q.name for q in QUANTITIES], [q.key for q in SCORES.values()]):
        assert len(set(names)) == len(names)
    assert tuple(SCORES) == SCORE_NAMES
    assert set(SCORE_NAMES) - set(TARGETED) == {s.key for s in SCORES.values() if s.measure}


def test_no_score_hides_what_a_result_has_under_that_name() -> None:
    taken = {field.name for field in fields(HeadScores)} | set(dir(HeadScores))
    taken |= {"eigenvalue", "copying", "ablation", "head", "names", "chance"}
    assert not taken & set(SCORES)
    assert set(SCORES) < set(PROFILE)


@EACH
def test_a_registration_is_complete(quantity: Quantity) -> None:
    for field in TEXTS:
        assert getattr(quantity, field).strip(), f"{quantity.name} lacks its {field}"
    assert callable(getattr(analysis, quantity.function))
    for result in quantity.results:
        assert is_dataclass(getattr(analysis, result))
        assert result in trees.TYPES


@EACH
def test_the_code_of_a_quantity_compiles_and_its_parts_are_there(quantity: Quantity) -> None:
    known = {"repeated", "history", "by_row", "conversation", *snippets._ORDER, *snippets._REQUIRES}
    assert set(quantity.needs) <= known
    compile(quantity.code, quantity.name, "exec")
    if quantity.code:
        assert re.search(r"^result = ", quantity.code, re.MULTILINE)


def test_the_code_of_similarity_has_every_score() -> None:
    for score in SCORES.values():
        assert score.code.strip() in SIMILARITY.code
        assert set(score.needs) <= set(SIMILARITY.needs)


def test_a_quantity_cannot_be_changed_or_left_incomplete() -> None:
    with pytest.raises(FrozenInstanceError):
        definitions.LOSS.unit = "bits"  # type: ignore[misc]
    with pytest.raises(ValueError, match="lacks its unit"):
        Quantity("Loss", "m", "f", " ", "s", function="f")
    texts = ("Name", "meaning", "formula", "unit", "source")
    with pytest.raises(ValueError, match="one of targets and measure"):
        Score(*texts, key="name")
    with pytest.raises(ValueError, match="one lower-case word"):
        Score(*texts, key="My name", measure=lambda values: values.mean((-1, -2)))
