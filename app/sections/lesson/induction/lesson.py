"""The lesson on one induction head: its numbers and its figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from analysis.definitions import (
    ABLATION,
    COMPOSITION,
    COPYING,
    LOSS,
    MEAN_LOG_PROBS,
    PARTNERS,
    PATTERN,
    SCORES,
)
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.kept import kept_property
from analysis.models.catalog import available_models, find_model
from app.compute import calls
from app.compute.findings.check import read_number
from app.compute.findings.finding import Number
from app.compute.findings.readings import READINGS
from app.figures import ablation as ablation_figures
from app.figures import base as figures
from app.figures import circuits as circuit_figures
from app.frame.clicks import open_head
from app.frame.frame import draw, figure_frame
from app.frame.layout import beside
from app.links.parsers import Value
from app.links.selection import Selection
from app.links.session import choose
from app.links.subject import Subject
from app.pickers.heads import joint_heads
from app.sections.lesson.induction.steps import INPUT, SETTINGS, Setting, found_head, steps_of
from app.sections.lesson.lesson import SHOWN, Lesson, Step, read_answers
from app.shell.theme import palette
from app.shell.watching import watch
from app.text import markdown_text

# Seconds to wait for the effects of all heads; they take a few.
_PATIENCE = 60.0
# Pixels: a step's figure and what it asks are on one screen of 900.
HEIGHT = 460
# Two beside each other have longer headings.
HEIGHT_OF_TWO = 400


@dataclass(frozen=True)
class InductionLesson(Lesson):
    """The lesson, and the numbers that its steps are checked against."""

    setting: Setting

    @property
    def name(self) -> str:
        """What tells it from other lessons."""
        return f"induction {self.setting.model}"

    @property
    def steps(self) -> tuple[Step[Any], ...]:
        """All of its steps."""
        return steps_of(self.setting)

    @kept_property
    def halves(self) -> tuple[float, float]:
        """Loss on each half, nats."""
        return calls.next_token_stats(self.view).half_losses(calls.tokens_of(self.view))

    @kept_property
    def induction(self) -> np.ndarray:
        """Induction scores."""
        return calls.scores(self.view).induction

    @kept_property
    def previous(self) -> np.ndarray:
        """Previous-token scores."""
        return calls.scores(self.view).previous

    @kept_property
    def effects(self) -> np.ndarray:
        """Zero ablation of every head, nats."""
        known = watch(calls.ablation_sweep(self.view, "zero"), patience=_PATIENCE)
        if known.failure:
            raise known.failure
        return known.values(self.view.info)

    @kept_property
    def head(self) -> Head:
        """The head that the learner has found."""
        return found_head(self.answers, self.induction, self.setting.layer)

    @kept_property
    def feeder(self) -> Head:
        """The strongest previous-token head of the layer that feeds it."""
        before = self.setting.before
        return Head(before, int(self.previous[before].argmax()))

    @kept_property
    def stripe_without(self) -> float:
        """The head's induction score when the feeder is silenced."""
        ablated = calls.scores(self.view, without=(self.feeder,)).induction
        return float(ablated[self.head.layer, self.head.head])

    @kept_property
    def copied(self) -> float:
        """Share of all tokens that the head's OV raises most."""
        return calls.ov_copying(self.view, (self.head,)).accuracy[1]

    def numbers(self) -> tuple[Number, ...]:
        """Loss, scores, effect, copying and composition that the steps have shown."""
        head, feeder = self.head, self.feeder
        of_head: dict[str, Value] = {"layer": head.layer, "head": head.head, "method": "zero"}
        of_feeder: dict[str, Value] = {"layer": feeder.layer, "head": feeder.head}
        both: dict[str, Value] = {"kind": "K", "layer2": feeder.layer, "head2": feeder.head}
        return tuple(
            read_number(READINGS[key], READINGS[key].settings_from(self.view.values, **chosen))
            for key, chosen in (
                ("second_half_loss", {}),
                ("induction", of_head),
                ("ablation", of_head),
                ("previous", of_feeder),
                ("composition", of_head | both),
                ("copying", of_head),
            )
        )

    def draw_ways_on(self) -> None:
        """Links to the pages with the learner's head, and the same lesson on the other model."""
        head, view = self.head, self.view
        st.markdown(f"**Go on with {head.label} on your own**")
        # The pages' own S and seed.
        own = view.with_values(length=50)
        with st.container(horizontal=True):
            for page in ("head", "induction", "ablation", "circuits", "composition"):
                open_head(own, head, page)
        for name in _offered():
            if name != view.info.name:
                st.button(
                    f"The same lesson on {markdown_text(find_model(name).title)}",
                    icon=":material/school:",
                    on_click=choose,
                    kwargs={"model": name, "lesson": 1, "answers": ""},
                )

    def draw_figure(self) -> None:
        """The figure of the step on the screen."""
        {
            "line": _draw_line,
            "pattern of the answer": _draw_answer,
            "scores": _draw_scores,
            "effects": _draw_effects,
            "wire": _draw_wire,
            "copying": _draw_copying,
            "composition": _draw_composition,
        }[self.step.figure](self)


def read_induction_lesson(selection: Selection) -> InductionLesson:
    """The lesson at the link's step, on the link's model where it can be about that.

    Raises:
        AnalysisError: This instance offers no model that it could be about.
    """
    known = _offered()
    if not known:
        names = " or ".join(setting.model for setting in SETTINGS)
        raise AnalysisError(f"The lesson is about {names}, and neither is offered here.")
    setting = known.get(selection.info.name) or next(iter(known.values()))
    view = selection.with_values(model=setting.model, **INPUT)
    answers = read_answers(selection["answers"], steps_of(setting))
    return InductionLesson(view, answers, selection["lesson"], setting)


def _offered() -> dict[str, Setting]:
    here = [info.name for info in available_models()]
    return {setting.model: setting for setting in SETTINGS if setting.model in here}


def _draw_line(lesson: InductionLesson) -> None:
    tokens = calls.tokens_of(lesson.view)
    stats = calls.next_token_stats(lesson.view)
    with figure_frame(
        Subject(lesson.view),
        "How probable each token was to the model",
        "Higher is better; 0 is certain.",
        MEAN_LOG_PROBS,
        also=(LOSS,),
    ):
        draw(
            figures.log_prob_line(stats.log_probs, tokens.labels[0], tokens.half_length, palette()),
            key="lesson-line",
        )


def _draw_answer(lesson: InductionLesson) -> None:
    """The head that is looked at: the one chosen, or the right one where it was shown."""
    label = lesson.solution()[0] if lesson.answer == SHOWN else lesson.answer
    _draw_pattern(lesson, Head.parse(label or lesson.step.options[0][0]))


def _draw_pattern(
    lesson: InductionLesson, head: Head, without: tuple[Head, ...] = (), height: int = HEIGHT
) -> None:
    tokens = calls.tokens_of(lesson.view)
    pattern = calls.patterns(lesson.view, 0, (head.layer,), without).values[0, 0, head.head]
    title = f"Pattern of {head.label}" + "".join(f" without {other.label}" for other in without)
    with figure_frame(
        Subject(lesson.view, head=head, without=without, sequence=0),
        title,
        "Rows are destinations, columns sources.",
        PATTERN,
        acts="Hover for both.",
    ):
        figure = figures.pattern_map(pattern, tokens.labels[0], palette())
        figure.update_layout(height=height)
        draw(figure, key=title)


def _draw_scores(lesson: InductionLesson) -> None:
    with figure_frame(
        Subject(lesson.view),
        "Induction score of every head",
        f"Your head, {lesson.head.label}, is framed.",
        SCORES["induction"],
    ):
        draw(
            figures.head_map(
                lesson.induction,
                palette(),
                unit="induction score",
                top=1,
                focus=lesson.head,
            ),
            key="lesson-scores",
        )


def _draw_effects(lesson: InductionLesson) -> None:
    if not lesson.solved():
        _draw_pattern(lesson, lesson.head)
        return
    with figure_frame(
        Subject(lesson.view, method="zero"),
        "Loss without each head",
        "How much the loss on the second half rises, nats.",
        ABLATION,
    ):
        effects = lesson.effects
        draw(
            ablation_figures.effect_map(effects, effects, palette(), lesson.head),
            key="lesson-effects",
        )


def _draw_wire(lesson: InductionLesson) -> None:
    if not lesson.solved():
        _draw_pattern(lesson, lesson.head)
        return
    for place, without in zip(beside("lesson-wire", 300, 300), ((), (lesson.feeder,)), strict=True):
        with place:
            _draw_pattern(lesson, lesson.head, without, HEIGHT_OF_TWO)


def _draw_copying(lesson: InductionLesson) -> None:
    together = joint_heads(lesson.view.with_values(heads=None))
    names = ", ".join(head.label for head in together)
    found = [calls.ov_copying(lesson.view, heads) for heads in ((lesson.head,), together)]
    with figure_frame(
        Subject(lesson.view, heads=together, on_input=False),
        "Tokens that the OV circuit copies",
        f"{lesson.head.label} by itself, and {names} jointly.",
        COPYING,
    ):
        bars = [lesson.head.label, "together"]
        accuracy = {k: [result.accuracy[k] for result in found] for k in found[0].k}
        draw(circuit_figures.copying_bars(bars, accuracy, palette()), key="lesson-copying")


def _draw_composition(lesson: InductionLesson) -> None:
    head, composition = lesson.head, calls.composition(lesson.view, "K")
    with figure_frame(
        Subject(lesson.view.with_values(kind="K"), head=head, on_input=False),
        f"What the keys of {head.label} read",
        "K-composition score with each earlier head; random weights give about "
        f"{composition.baseline.mean:.2f}.",
        PARTNERS,
        also=(COMPOSITION,),
    ):
        values = composition.values[: head.layer, :, head.layer, head.head]
        draw(
            figures.head_map(values, palette(), unit="K-composition", focus=lesson.feeder),
            key="lesson-composition",
        )
