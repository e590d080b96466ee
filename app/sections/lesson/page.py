"""A lesson on the screen: which one, one step's text and task, feedback, and its figure."""

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from app.compute.server import current_server
from app.glossary import linked
from app.links.selection import Selection
from app.links.session import choose, widget_key
from app.sections.lesson.induction.lesson import read_induction_lesson
from app.sections.lesson.lesson import Lesson, write_answers
from app.sections.lesson.looks.lesson import read_looks_lesson


@dataclass(frozen=True, slots=True)
class Guide:
    """One of the lessons: what it is called, what one does in it, and how it is read."""

    title: str
    does: str
    minutes: int
    read: Callable[[Selection], Lesson]


# By their names in links.
GUIDES = {
    "induction": Guide(
        "Find an induction head",
        "Find an induction head, test it, explain it.",
        10,
        read_induction_lesson,
    ),
    "looks": Guide(
        "Looks like is not does",
        "Find heads that look like what is wanted, test whether the model needs them, and find "
        "the one that it does need.",
        10,
        read_looks_lesson,
    ),
}


def draw_lesson(selection: Selection) -> None:
    """The link's lesson at the link's step."""
    st.segmented_control(
        "Lesson",
        list(GUIDES),
        format_func=lambda key: GUIDES[key].title,
        required=True,
        key=widget_key(selection, "guide"),
        on_change=choose,
        kwargs={"lesson": 1, "answers": ""},
    )
    guide = GUIDES[selection["guide"]]
    lesson = guide.read(selection)
    if lesson.number == 1:
        current_server().warm_up(lesson.view.info.name)
        st.markdown(
            f"**{guide.does}** {len(lesson.steps)} steps, about {guide.minutes} minutes, no code. "
            "The link keeps your place and your answers."
        )
    _draw_step(lesson)
    if lesson.number == len(lesson.steps):
        lesson.draw_ways_on()


def _draw_step(lesson: Lesson) -> None:
    """One step: text, task, feedback, figure."""
    step = lesson.step
    answered = sum(bool(answer) for answer in lesson.answers)
    st.progress(
        lesson.number / len(lesson.steps),
        text=f"Step {lesson.number} of {len(lesson.steps)} · {answered} answered",
    )
    st.subheader(step.title, anchor=False)
    st.markdown(linked(step.text))
    _ask(lesson)
    if lesson.answer:
        verdict = step.check(lesson.answer, lesson)
        if verdict.right:
            st.success(linked(verdict.sentence), icon=":material/check:")
        else:
            st.info(linked(verdict.sentence), icon=":material/search:")
    lesson.draw_figure()
    _draw_steps(lesson)


def _ask(lesson: Lesson) -> None:
    step, key = lesson.step, f"lesson answer {lesson.number}"
    options = dict(step.options)
    st.session_state[key] = lesson.answer or None

    def take() -> None:
        answers = list(lesson.answers)
        answers[lesson.number - 1] = st.session_state[key] or ""
        choose(answers=write_answers(answers))

    if step.pills:
        st.pills(step.task, list(options), key=key, on_change=take)
    else:
        st.radio(step.task, list(options), format_func=options.__getitem__, key=key, on_change=take)


def _draw_steps(lesson: Lesson) -> None:
    with st.container(horizontal=True):
        if lesson.number > 1:
            st.button("Back", on_click=choose, kwargs={"lesson": lesson.number - 1})
        if lesson.number < len(lesson.steps):
            st.button(
                "Next step" if lesson.answer else "Skip this step",
                type="primary" if lesson.answer else "secondary",
                on_click=choose,
                kwargs={"lesson": lesson.number + 1},
            )
