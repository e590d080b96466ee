"""A lesson on the screen: which one, a step's text, task, feedback and figure; what was found."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from app.compute.findings.finding import Evidence, View
from app.compute.server import current_server
from app.frame.keep import draw_keep_form
from app.frame.layout import beside, controls
from app.glossary import linked
from app.links.selection import Selection
from app.links.session import choose, widget_key
from app.sections.lesson.induction.lesson import read_induction_lesson
from app.sections.lesson.lesson import SHOWN, Lesson
from app.sections.lesson.looks.lesson import read_looks_lesson
from app.sections.lesson.poll import draw_tally, draw_vote, votes_here
from app.text import markdown_text


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
    controls().segmented_control(
        "Lesson",
        list(GUIDES),
        label_visibility="collapsed",
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
    if lesson.is_last and lesson.solved():
        _draw_findings(lesson)
        lesson.draw_ways_on()


def _draw_step(lesson: Lesson) -> None:
    """One step: what it says and asks beside its figure."""
    step, total = lesson.step, len(lesson.steps)
    st.progress(lesson.number / total, text=f"Step {lesson.number} of {total}")
    asked, shown = beside("lesson", 340, 560)
    with asked:
        st.subheader(step.title, anchor=False)
        st.markdown(linked(step.text))
        if votes_here():
            draw_vote(lesson)
        else:
            _ask(lesson)
        _draw_feedback(lesson)
        draw_tally(lesson)
        _draw_buttons(lesson)
    with shown:
        lesson.draw_figure()


def _draw_findings(lesson: Lesson) -> None:
    """What was found, step by step, once the last one is solved."""
    st.subheader("What you have found", anchor=False)
    if left := lesson.open_steps():
        st.caption("These steps are still open:")
        with st.container(horizontal=True):
            for number in left:
                st.button(
                    f"{number}. {lesson.steps[number - 1].title}",
                    on_click=choose,
                    kwargs={"lesson": number},
                )
        return
    found = [
        f"{number}. **{step.title}** · {linked(lesson.solution(number)[1])}"
        for number, step in enumerate(lesson.steps, start=1)
    ]
    st.markdown("\n".join(found))
    _draw_keep(lesson)
    if shown := sum(answer == SHOWN for answer in lesson.answers):
        st.caption(f"{len(found) - shown} of {len(found)} by yourself, {shown} shown.")


def _draw_keep(lesson: Lesson) -> None:
    """The end of the lesson as a finding: its sentences, its numbers, and the way back to it."""
    title = GUIDES[lesson.view["guide"]].title
    opened = st.popover(
        "Keep it as a finding", icon=":material/bookmark:", key="keep lesson", on_change="rerun"
    )
    if not opened.open:
        return
    keys = ("model", "guide", "lesson", "answers")
    values = {key: lesson.view[key] for key in keys}
    steps = enumerate(lesson.steps, start=1)
    note = "\n".join(f"{n}. {step.title}: {lesson.solution(n)[1]}" for n, step in steps)
    with opened:
        evidence: tuple[Evidence, ...] = (
            View("learn", values, f"Lesson: {title}"),
            *lesson.numbers(),
        )
        draw_keep_form("lesson", evidence, title, note)


def _ask(lesson: Lesson) -> None:
    step, key = lesson.step, f"lesson answer {lesson.number}"
    options = dict(step.options)
    st.session_state[key] = lesson.answer if lesson.answer in options else None

    def take() -> None:
        choose(answers=lesson.with_answer(st.session_state[key] or ""))

    draw: Any = st.pills if step.pills else st.radio
    draw(
        step.task,
        list(options),
        format_func=options.__getitem__,
        key=key,
        on_change=take,
        # What is known is no longer asked; a figure that is browsed stays one.
        disabled=lesson.solved() and not step.pills,
    )


def _draw_feedback(lesson: Lesson) -> None:
    if lesson.answer == SHOWN:
        label, sentence = lesson.solution()
        st.info(f"**{markdown_text(label)}.** {linked(sentence)}", icon=":material/visibility:")
    elif lesson.answer:
        verdict = lesson.step.check(lesson.answer, lesson)
        if verdict.right:
            st.success(linked(verdict.sentence), icon=":material/check:")
        else:
            st.info(linked(verdict.sentence), icon=":material/search:")


def _draw_buttons(lesson: Lesson) -> None:
    with st.container(horizontal=True):
        if lesson.number > 1:
            st.button("Back", on_click=choose, kwargs={"lesson": lesson.number - 1})
        if not lesson.solved():
            st.button("Show me", on_click=choose, kwargs={"answers": lesson.with_answer(SHOWN)})
        if not lesson.is_last:
            st.button(
                "Next step",
                type="primary",
                on_click=choose,
                kwargs={"lesson": lesson.number + 1},
                disabled=not lesson.solved(),
            )
