"""Learn: a guided lesson on one induction head, kept in the link."""

import streamlit as st

from app.compute.server import current_server
from app.sections.lesson.step import draw_step, draw_ways_on, read_lesson
from app.sections.lesson.steps import MINUTES, STEPS
from app.shell.page import open_page

selection = open_page("learn")
lesson = read_lesson(selection)
if lesson.number == 1:
    current_server().warm_up(lesson.view.info.name)
    st.markdown(
        f"**Find an induction head, test it, explain it.** {len(STEPS)} steps, about {MINUTES} "
        "minutes, no code. The link keeps your place and your answers."
    )
draw_step(lesson)
if lesson.number == len(STEPS):
    draw_ways_on(lesson)
