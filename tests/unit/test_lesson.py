"""The lesson's checks against numbers of known meaning, and what its link may hold."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from analysis.head import Head
from app.sections.lesson.steps import STEPS, found_head, read_answers, write_answers


@dataclass
class Known:
    """A model whose L1H2 has the stripe, fed by L0H3."""

    halves: tuple[float, float] = (9.0, 0.5)
    induction: np.ndarray = field(default_factory=lambda: np.zeros((2, 8)))
    previous: np.ndarray = field(default_factory=lambda: np.zeros((2, 8)))
    effects: np.ndarray = field(default_factory=lambda: np.zeros((2, 8)))
    head: Head = Head(1, 2)
    feeder: Head = Head(0, 3)
    stripe_without: float = 0.02
    copied: float = 0.7

    def __post_init__(self) -> None:
        self.induction[1, 2], self.previous[0, 3] = 0.7, 0.98
        self.effects[0, 3], self.effects[1, 2] = 8.0, 1.0


RIGHT = ("second", "L1H2", "high", "layer0", "L0H3", "fades", "high", "circuit")


@pytest.mark.parametrize("number", range(len(STEPS)))
def test_one_answer_of_each_step_is_right_and_every_other_says_what_to_look_at(
    number: int,
) -> None:
    step = STEPS[number]
    verdicts = {answer: step.check(answer, Known()) for answer, _ in step.options}
    assert [answer for answer, verdict in verdicts.items() if verdict.right] == [RIGHT[number]]
    for verdict in verdicts.values():
        assert len(verdict.sentence) > 40
        assert "wrong" not in verdict.sentence.lower()


def test_the_checks_follow_the_numbers() -> None:
    other = Known(stripe_without=0.69, copied=0.05)
    other.effects[1, 2] = 20
    assert STEPS[3].check("mine", other).right
    assert STEPS[5].check("stays", other).right
    assert STEPS[6].check("low", other).right


def test_answers_that_no_step_offers_are_dropped() -> None:
    assert read_answers("") == [""] * len(STEPS)
    assert read_answers("second,L0H3,,layer0,L9H9") == ["second", "", "", "layer0", "", "", "", ""]
    assert read_answers(",".join("x" * 20)) == [""] * len(STEPS)
    assert read_answers(write_answers(RIGHT)) == list(RIGHT)


def test_the_lesson_goes_on_with_a_head_that_has_the_stripe() -> None:
    known = Known()
    known.induction[1, 5] = 0.6
    assert found_head(["", "L1H5"], known.induction) == Head(1, 5)
    assert found_head(["", "L1H0"], known.induction) == Head(1, 2)
    assert found_head(["", ""], known.induction) == Head(1, 2)
