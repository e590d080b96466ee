"""The definitions that pages show beside each figure."""

from dataclasses import FrozenInstanceError, fields

import pytest

from analysis import definitions
from analysis.definitions import SCORES, Definition
from analysis.heads.scores import SCORE_NAMES, HeadScores

EVERY = {
    **SCORES,
    **{name: value for name, value in vars(definitions).items() if isinstance(value, Definition)},
}


def test_every_score_is_defined_and_every_definition_is_computed():
    """A score without its definition would leave its page unable to say what it shows."""
    assert tuple(SCORES) == SCORE_NAMES
    assert set(SCORES) <= {field.name for field in fields(HeadScores)}


@pytest.mark.parametrize("name", EVERY)
def test_a_definition_is_complete(name):
    definition = EVERY[name]
    for field in fields(Definition):
        assert getattr(definition, field.name).strip(), f"{name} lacks its {field.name}"


def test_names_are_unique():
    names = [definition.name for definition in EVERY.values()]
    assert len(set(names)) == len(names)


def test_a_definition_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        definitions.LOSS.unit = "bits"  # type: ignore[misc]
