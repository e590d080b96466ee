"""The lessons' checks against numbers of known meaning, and what its link may hold."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from analysis.head import Head
from analysis.roles.results import RoleScores, RoleScreen
from analysis.roles.verdict import GroupTest, Word
from analysis.roles.verdict import Verdict as RoleVerdict
from app.compute.findings.finding import Number
from app.links.parsers import answer_list
from app.sections.lesson.induction.steps import SETTINGS, Setting, found_head
from app.sections.lesson.induction.steps import steps_of as induction_steps
from app.sections.lesson.lesson import SHOWN, Lesson, Step, read_answers, write_answers
from app.sections.lesson.looks.steps import CASES, Case, steps_of

STEPS = induction_steps(SETTINGS[0])


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
    other.stripe_without = 0.3
    assert STEPS[5].check("weaker", other).right
    other.previous[0, 5] = 0.5
    assert "L0H5 look one back too" in STEPS[5].check("weaker", other).sentence
    assert STEPS[6].check("low", other).right


def test_answers_that_no_step_offers_are_dropped() -> None:
    assert read_answers("", STEPS) == [""] * len(STEPS)
    read = read_answers("second,L0H3,shown,layer0,L9H9", STEPS)
    assert read == ["second", "", "shown", "layer0", "", "", "", ""]
    assert read_answers(",".join("x" * 20), STEPS) == [""] * len(STEPS)
    assert read_answers(write_answers(RIGHT), STEPS) == list(RIGHT)


def test_the_lesson_goes_on_with_a_head_that_has_the_stripe() -> None:
    known = Known()
    known.induction[1, 5] = 0.6
    assert found_head(["", "L1H5"], known.induction, 1) == Head(1, 5)
    for answer in ("L1H0", "", SHOWN):
        assert found_head(["", answer], known.induction, 1) == Head(1, 2)


@dataclass(frozen=True)
class KnownLesson(Lesson):
    """The lesson on the model above, without a screen."""

    known: Known

    @property
    def name(self) -> str:
        """Its name."""
        return "known"

    def numbers(self) -> tuple[Number, ...]:
        """Nothing is kept of it."""
        return ()

    @property
    def steps(self) -> tuple[Step[Any], ...]:
        """The steps."""
        return STEPS

    def __getattr__(self, name: str) -> Any:
        return getattr(self.known, name)

    def draw_figure(self) -> None:
        """There is none."""

    def draw_ways_on(self) -> None:
        """There are none."""


def _lesson(*answers: str, number: int = 1) -> KnownLesson:
    return KnownLesson(None, read_answers(",".join(answers), STEPS), number, Known())


@pytest.mark.parametrize("number", range(1, len(STEPS) + 1))
def test_only_a_right_answer_or_being_shown_solves_a_step(number: int) -> None:
    before, right = RIGHT[: number - 1], RIGHT[number - 1]
    for answer, _ in STEPS[number - 1].options:
        assert _lesson(*before, answer, number=number).solved() == (answer == right)
    assert not _lesson(*before, number=number).solved()
    shown = _lesson(*before, SHOWN, number=number)
    assert shown.solved()
    assert shown.solution()[0] == dict(STEPS[number - 1].options)[right]


def test_what_is_said_to_a_right_answer_is_true_of_one_that_was_shown_too() -> None:
    """After the map was shown the page said "You saw that coming"."""
    for number in range(1, len(STEPS) + 1):
        said = _lesson(*RIGHT).solution(number)[1]
        assert not {"Yes", "Right", "You", "you"} & set(said.replace(":", "").split())


def test_steps_that_are_open_are_told() -> None:
    assert _lesson("second", "L1H0", "", SHOWN).open_steps() == [2, 3, 5, 6, 7, 8]
    assert _lesson(*RIGHT).open_steps() == []
    assert _lesson("second", "L1H2", number=2).solution()[0] == "L1H2"
    assert _lesson("second", number=3).with_answer(SHOWN) == "second,,shown"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.model)
def test_steps_name_the_layers_and_heads_of_their_model(setting: Setting) -> None:
    steps = induction_steps(setting)
    assert [label for label, _ in steps[1].options] == [
        f"L{setting.layer}H{head}" for head in range(setting.heads)
    ]
    assert {Head.parse(label).layer for label, _ in steps[4].options} == {setting.before}
    assert f"{setting.layers * setting.heads} heads" in steps[3].text
    assert all(len(answer) <= 8 for step in steps for answer, _ in step.options)


# As measured with transformers alone on SmolLM2 and the indirect object: two name movers that may
# go, and a head that lowers the repeated name, which may not.
MOVERS, LOWERS = (Head(23, 0), Head(23, 1)), Head(23, 3)
LOOKS = ("all", "L23H0", "alike", "L23H3", "cause", "subject", "other", "tested")


def screened(role: str) -> RoleScreen:
    """A screen of 30 layers of 9 heads, zero but for what was measured."""
    values = np.zeros((30, 9))
    if role == "name-mover":
        values[23, 0], values[23, 1] = 0.66 * 0.85, 0.54 * 0.72
    weights = np.full((30, 9), 1.0 if role == "negative-name-mover" else 0.0)
    unknown = np.full((30, 9), np.nan)
    return RoleScreen(values, 0.002, unknown, unknown, values, weights, 32)


def judged(
    heads: tuple[Head, ...], effect: float, others: tuple[float, ...], word: Word
) -> RoleVerdict:
    group = ((Head(23, 5),),) * len(others)
    interval = (effect - 0.3, effect + 0.3)
    by_row = np.full(32, effect)
    again = GroupTest(heads, -1.86, (-2.1, -1.6), by_row, np.array(others), group, "cause")
    return RoleVerdict(
        *(heads, effect, interval, by_row, np.array(others), group, word),
        clean=4.55,
        clean_by_row=np.full(32, 4.55),
        metric="logit_diff",
        method="zero",
        opposes=False,
        backups=(Head(24, 4),),
        redundancy=again,
    )


@dataclass
class Measured:
    """SmolLM2's numbers."""

    case: Case = CASES[0]
    differences: np.ndarray = field(default_factory=lambda: np.full(32, 4.55))
    roles: RoleScores = field(
        default_factory=lambda: RoleScores(
            {role: screened(role) for role in ("name-mover", "negative-name-mover")}, 32
        )
    )
    group: tuple[Head, ...] = MOVERS
    of_group: RoleVerdict = field(
        default_factory=lambda: judged(MOVERS, -0.18, (-2.5, 0.26), "correlate")
    )
    direct: np.ndarray = field(default_factory=lambda: np.zeros((30, 9)))
    writer: Head = LOWERS
    of_writer: RoleVerdict = field(
        default_factory=lambda: judged((LOWERS,), -2.49, (-0.09, 0.26), "cause")
    )
    attention: dict[str, np.ndarray] = field(
        default_factory=lambda: {
            "answer": np.full((30, 9), 0.1),
            "subject again": np.full((30, 9), 0.59),
        }
    )

    def __post_init__(self) -> None:
        self.direct[23, 3], self.direct[29, 1], self.direct[23, 0] = 2.15, 1.36, 0.94


@pytest.mark.parametrize("number", range(len(LOOKS)))
def test_looks_are_told_from_what_is_done(number: int) -> None:
    step = steps_of(CASES[0])[number]
    verdicts = {answer: step.check(answer, Measured()) for answer, _ in step.options}
    assert [answer for answer, verdict in verdicts.items() if verdict.right] == [LOOKS[number]]
    assert all(len(verdict.sentence) > 40 for verdict in verdicts.values())
    said = verdicts[LOOKS[number]].sentence
    telling = (
        "32 of 32",
        "0.56",
        "-0.18",
        "+2.15",
        "-2.49",
        "0.59",
        "-1.86",
        "correlate for L23H0",
    )
    assert telling[number] in said


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.model)
def test_every_answer_of_a_lesson_fits_into_a_link(case: Case) -> None:
    steps = steps_of(case)
    assert len(steps) == len(STEPS)
    for step in steps:
        assert len({answer for answer, _ in step.options}) == len(step.options)
        assert all(answer_list(answer) == answer for answer, _ in step.options)
