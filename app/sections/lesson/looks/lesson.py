"""The lesson on looks and verdicts: its numbers and its figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from analysis.definitions import (
    ATTENTION_OVER_SET,
    DIRECT_EFFECT,
    REDUNDANCY,
    ROLE_SCREENS,
    ROLES,
    VERDICT,
    Quantity,
)
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.kept import kept_property
from analysis.models.catalog import available_models
from app.compute import calls
from app.compute.findings.check import read_number
from app.compute.findings.finding import Number
from app.compute.findings.readings import READINGS
from app.figures.base import head_map
from app.figures.roles import group_strip
from app.figures.sets import row_values
from app.frame.clicks import open_head
from app.frame.frame import draw, draw_table, figure_frame
from app.links.selection import Selection
from app.links.subject import Subject
from app.sections.lesson.lesson import Lesson, Step, read_answers
from app.sections.lesson.looks.steps import CASES, Case, joined, steps_of, writer_of
from app.sections.shared.cancel import stoppable
from app.shell.theme import palette
from app.text import chance_text

if TYPE_CHECKING:
    from analysis.roles.results import RoleScores
    from analysis.roles.verdict import GroupTest
    from analysis.roles.verdict import Verdict as RoleVerdict
    from analysis.sets.fitted import FittedSet

_NUMBER = st.column_config.NumberColumn(format="%+.2f")


@dataclass(frozen=True)
class LooksLesson(Lesson):
    """The lesson, and the numbers that its steps are checked against."""

    case: Case

    @property
    def name(self) -> str:
        """What tells it from other lessons."""
        return f"looks {self.case.model}"

    @property
    def steps(self) -> tuple[Step[Any], ...]:
        """All of its steps."""
        return steps_of(self.case)

    @kept_property
    def prompts(self) -> FittedSet:
        """The set."""
        return calls.fitted_set(self.view)

    @property
    def subject(self) -> Subject:
        """What every figure is about."""
        return Subject(self.view, prompts=self.prompts, method="zero")

    @kept_property
    def differences(self) -> np.ndarray:
        """Logit difference of every prompt."""
        return self._verdict((), "Running the prompts").clean_by_row

    @kept_property
    def roles(self) -> RoleScores:
        """How much every head looks like each role."""
        with stoppable("Screening every head") as progress:
            return calls.role_scores(self.view, progress)

    @property
    def group(self) -> tuple[Head, ...]:
        """The heads that look most like the role."""
        return self.roles.screened(self.case.role, self.case.count)

    @kept_property
    def of_group(self) -> RoleVerdict:
        """The verdict on them."""
        return self._verdict(self.group, "Taking the heads out, and others")

    @kept_property
    def direct(self) -> np.ndarray:
        """What each head adds directly to the answer."""
        return calls.mean_direct_effects(self.view)

    @property
    def writer(self) -> Head:
        """The head that adds most."""
        return writer_of(self.case, self.direct)

    @kept_property
    def of_writer(self) -> RoleVerdict:
        """The verdict on it."""
        return self._verdict((self.writer,), "Taking the head out, and others")

    @kept_property
    def attention(self) -> dict[str, np.ndarray]:
        """From the end of the prompt to each place of the case."""
        found = {}
        view = self.view.with_values(measure="attention", to="end", side="prompt")
        with stoppable("Looking from the end of each prompt") as progress:
            for place, _ in self.case.places:
                asked = view.with_values(of=place)
                found[place] = calls.by_row(asked, progress).spread().mean
        return found

    def _verdict(self, heads: tuple[Head, ...], what: str) -> RoleVerdict:
        with stoppable(what) as progress:
            return calls.verdict(self.view, heads, False, progress)

    def draw_figure(self) -> None:
        """The figure of the step on the screen."""
        {
            "differences": _draw_differences,
            "screen": _draw_screen,
            "group": _draw_group,
            "direct": _draw_direct,
            "writer": _draw_writer,
            "attention": _draw_attention,
            "backups": _draw_backups,
            "summary": _draw_summary,
        }[self.step.figure](self)

    def numbers(self) -> tuple[Number, ...]:
        """The screens of the heads that look like the role, their effect, and the other head's."""
        screen, effect = READINGS[f"role-{self.case.role}"], READINGS["verdict"]
        values, role = self.view.values, self.case.role
        looks = (
            screen.settings_from(values, layer=head.layer, head=head.head) for head in self.group
        )
        groups = (",".join(head.label for head in heads) for heads in (self.group, (self.writer,)))
        matters = (effect.settings_from(values, role=role, group=group) for group in groups)
        return (
            *(read_number(screen, settings) for settings in looks),
            *(read_number(effect, settings) for settings in matters),
        )

    def draw_ways_on(self) -> None:
        """Links to the pages with the heads of the lesson."""
        st.markdown("**Go on with these heads on your own**")
        judged = self.view.with_values(role=self.case.role, judge=True)
        with st.container(horizontal=True):
            for heads in (self.group, (self.writer,)):
                group = ",".join(head.label for head in heads)
                open_head(judged.with_values(group=group), heads[0], "roles")
            open_head(self.view.with_values(measure="direct"), self.writer, "sets")


def read_looks_lesson(selection: Selection) -> LooksLesson:
    """The lesson at the link's step, on the first of its models that is here.

    Raises:
        AnalysisError: This instance offers none of them.
    """
    here = [info.name for info in available_models()]
    case = next((case for case in CASES if case.model in here), None)
    if case is None:
        models = " and ".join(case.model for case in CASES)
        raise AnalysisError(f"The lesson is about {models}, which are not offered here.")
    view = selection.with_values(
        model=case.model, set=case.prompts, rows=32, seed=0, bos=True, method="zero", input="prompt"
    )
    answers = read_answers(selection["answers"], steps_of(case))
    return LooksLesson(view, answers, selection["lesson"], case)


def _draw_differences(lesson: LooksLesson) -> None:
    rows = lesson.prompts.of.rows
    st.caption("For example:")
    st.text(f"{rows[0].prompt} … {rows[0].answer}, and not {rows[0].foil}")
    with figure_frame(
        lesson.subject,
        "Answer less foil, on every prompt",
        "Above 0 the model prefers the answer.",
        replace(VERDICT, code=""),
    ):
        draw(row_values(lesson.differences, "logit difference", palette()), key="looks-task")


def _draw_screen(lesson: LooksLesson) -> None:
    role, screen = ROLES[lesson.case.role], lesson.roles.screens[lesson.case.role]
    with figure_frame(
        lesson.subject,
        f"{role.name}: every head",
        f"{role.meaning} Chance is {chance_text(screen.chance)}.",
        ROLE_SCREENS,
        also=(role,),
    ):
        draw(
            head_map(
                screen.values,
                palette(),
                unit="Screen",
                top=1,
                focus=lesson.group[0] if lesson.solved() and lesson.group else None,
            ),
            key="looks-screen",
        )


def _draw_test(
    lesson: LooksLesson, found: GroupTest, title: str, quantity: Quantity, key: str
) -> None:
    with figure_frame(
        replace(lesson.subject, groups=(found.heads, *found.groups), heads=found.heads),
        title,
        f"{found.word.capitalize()}: the diamond is the change without {joined(found.heads)}, the "
        "bar its 95 % interval over prompts, the dots the random groups.",
        quantity,
    ):
        draw(group_strip(found, palette()), key=key)


def _draw_group(lesson: LooksLesson) -> None:
    if not lesson.solved():
        _draw_screen(lesson)
        return
    title = f"Without {joined(lesson.group)}"
    _draw_test(lesson, lesson.of_group, title, VERDICT, "looks-group")


def _draw_direct(lesson: LooksLesson) -> None:
    with figure_frame(
        lesson.subject,
        "Direct effect of every head",
        "Blue adds to the answer, red to the foil; mean over prompts, in logits.",
        DIRECT_EFFECT,
    ):
        draw(
            head_map(
                lesson.direct,
                palette(),
                unit="logits",
                diverging=True,
                focus=lesson.writer if lesson.solved() else None,
            ),
            key="looks-direct",
        )


def _draw_writer(lesson: LooksLesson) -> None:
    if not lesson.solved():
        _draw_direct(lesson)
        return
    _draw_test(lesson, lesson.of_writer, f"Without {lesson.writer.label}", VERDICT, "looks-writer")


def _draw_attention(lesson: LooksLesson) -> None:
    heads = tuple(dict.fromkeys((lesson.writer, *lesson.group)))
    with figure_frame(
        replace(lesson.subject, heads=heads),
        "Attention from the end of the prompt",
        f"Means over {len(lesson.differences)} prompts.",
        replace(ATTENTION_OVER_SET, code=""),
    ):
        draw_table(
            [
                {"Head": head.label}
                | {
                    f"At {words}": float(lesson.attention[place][head.layer, head.head])
                    for place, words in lesson.case.places
                }
                for head in heads
            ],
            "looks-attention",
            {
                f"At {words}": st.column_config.NumberColumn(format="%.2f")
                for _, words in lesson.case.places
            },
        )


def _draw_backups(lesson: LooksLesson) -> None:
    again = lesson.of_group.redundancy
    title = f"Without {joined(lesson.group)}"
    if not lesson.solved() or again is None:
        _draw_test(lesson, lesson.of_group, title, VERDICT, "looks-group")
        return
    title += f", where {joined(lesson.of_group.backups)} are gone already"
    _draw_test(lesson, again, title, REDUNDANCY, "looks-backups")


def _draw_summary(lesson: LooksLesson) -> None:
    screen = lesson.roles.screens[lesson.case.role]
    rows = []
    for found in (lesson.of_group, lesson.of_writer):
        at = ([head.layer for head in found.heads], [head.head for head in found.heads])
        rows.append(
            {
                "Heads": joined(found.heads),
                "Looks like it": float(screen.values[at].mean()),
                "Direct effect": float(lesson.direct[at].sum()),
                "Without them": found.effect,
                "Random groups from": float(found.random.min()),
                "to": float(found.random.max()),
                "Verdict": found.word.capitalize(),
            }
        )
    heads = (*lesson.group, lesson.writer)
    with figure_frame(
        replace(lesson.subject, heads=tuple(dict.fromkeys(heads))),
        "Looks like is not does",
        "How much they look like it (mean), what they add directly and what happens without them, "
        "in logits.",
        replace(VERDICT, code=""),
        also=(ROLE_SCREENS, DIRECT_EFFECT),
    ):
        draw_table(
            rows,
            "looks-summary",
            {name: _NUMBER for name, value in rows[0].items() if isinstance(value, float)},
        )
