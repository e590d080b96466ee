"""What every lesson is made of: steps that are asked and checked, and where a learner is.

No Streamlit in here. The numbers come from a lesson's evidence, so that the checks hold for
whatever the model really does.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from app.compute.findings.finding import Number
from app.links.selection import Selection

E = TypeVar("E")
# In place of an answer: the learner wanted to be shown.
SHOWN = "shown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an answer fits what the model does, and what there is to see.

    The sentence of a right answer is true whoever has found it: a learner or the page.
    """

    right: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Step(Generic[E]):
    """One step: a figure, one thing to do, and a check against evidence of type `E`.

    `options` are what can be answered: what the link holds, and what the page shows for it. Many
    short ones stand in a line (`pills`), and are looked at before one is right. Of several right
    answers `shows` says which one is shown; by default it is the first.
    """

    title: str
    text: str
    task: str
    figure: str  # its name in the lesson's `draw_figure`
    options: tuple[tuple[str, str], ...]
    check: Callable[[str, E], Verdict]
    pills: bool = False
    shows: Callable[[E], str] | None = None


@dataclass(frozen=True)
class Lesson(ABC):
    """A lesson, and where a learner is in it."""

    view: Selection
    answers: list[str]
    number: int  # of the step on the screen, from 1

    @property
    @abstractmethod
    def steps(self) -> tuple[Step[Any], ...]:
        """All of its steps."""

    @property
    def step(self) -> Step[Any]:
        """The step on the screen."""
        return self.steps[self.number - 1]

    @property
    def answer(self) -> str:
        """What has been answered to it, if anything."""
        return self.answers[self.number - 1]

    @property
    @abstractmethod
    def name(self) -> str:
        """What tells it from other lessons: of its questions in a room."""

    @property
    def is_last(self) -> bool:
        """Whether no step follows."""
        return self.number == len(self.steps)

    def solved(self, number: int | None = None) -> bool:
        """Whether a step, by default that on the screen, has its right answer or was shown."""
        place = (number or self.number) - 1
        answer = self.answers[place]
        return answer == SHOWN or (bool(answer) and self.steps[place].check(answer, self).right)

    def solution(self, number: int | None = None) -> tuple[str, str]:
        """What a step's right answer is called and says: the learner's own, if it is right."""
        place = (number or self.number) - 1
        step = self.steps[place]
        shown = step.shows(self) if step.shows else ""
        labels = dict(step.options)
        for answer in (self.answers[place], shown, *labels):
            if answer in labels and (verdict := step.check(answer, self)).right:
                return labels[answer], verdict.sentence
        raise ValueError(f"no answer to “{step.title}” is right")

    def open_steps(self) -> list[int]:
        """The numbers of steps that are not solved."""
        return [i for i in range(1, len(self.steps) + 1) if not self.solved(i)]

    def with_answer(self, answer: str) -> str:
        """All answers as the link holds them, with another one to the step on the screen."""
        answers = list(self.answers)
        answers[self.number - 1] = answer
        return write_answers(answers)

    @abstractmethod
    def numbers(self) -> tuple[Number, ...]:
        """What its end rests on, for who keeps it as a finding."""

    @abstractmethod
    def draw_figure(self) -> None:
        """The figure of the step on the screen."""

    @abstractmethod
    def draw_ways_on(self) -> None:
        """Links to pages, once the last step is solved."""


def read_answers(text: str, steps: Sequence[Step[Any]]) -> list[str]:
    """The answer to each step, "" where there is none or none that the step offers."""
    given = [*text.split(","), *[""] * len(steps)][: len(steps)]
    return [
        answer if answer == SHOWN or answer in dict(step.options) else ""
        for answer, step in zip(given, steps, strict=True)
    ]


def write_answers(answers: Sequence[str]) -> str:
    """The answers as the link holds them."""
    return ",".join(answers).rstrip(",")
