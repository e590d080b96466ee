"""What every lesson is made of: steps that are asked and checked, and where a learner is.

No Streamlit in here. The numbers come from a lesson's evidence, so that the checks hold for
whatever the model really does.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from app.links.selection import Selection

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an answer fits what the model does, and what there is to see."""

    right: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Step(Generic[E]):
    """One step: a figure, one thing to do, and a check against evidence of type `E`.

    `options` are what can be answered: what the link holds, and what the page shows for it. Many
    short ones stand in a line (`pills`).
    """

    title: str
    text: str
    task: str
    figure: str  # its name in the lesson's `draw_figure`
    options: tuple[tuple[str, str], ...]
    check: Callable[[str, E], Verdict]
    pills: bool = False


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

    @abstractmethod
    def draw_figure(self) -> None:
        """The figure of the step on the screen."""

    @abstractmethod
    def draw_ways_on(self) -> None:
        """Links to pages, once the last step is reached."""


def read_answers(text: str, steps: Sequence[Step[Any]]) -> list[str]:
    """The answer to each step, "" where there is none or none that the step offers."""
    given = [*text.split(","), *[""] * len(steps)][: len(steps)]
    return [
        answer if answer in dict(step.options) else ""
        for answer, step in zip(given, steps, strict=True)
    ]


def write_answers(answers: Sequence[str]) -> str:
    """The answers as the link holds them."""
    return ",".join(answers).rstrip(",")
