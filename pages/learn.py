"""Learn: a guided lesson on one induction head, kept in the link."""

import streamlit as st

from app import backend
from app.lesson import MINUTES, STEPS
from app.lesson_view import draw_step, draw_ways_on, read_lesson
from app.selection import open_page

selection = open_page("learn")
lesson = read_lesson(selection)
if lesson.number == 1:
    backend.warm_up(lesson.view.info.name)
    st.markdown(
        f"**Find an induction head, test it, explain it.** {len(STEPS)} steps, about {MINUTES} "
        "minutes, no code. The link keeps your place and your answers."
    )
draw_step(lesson)
if lesson.number == len(STEPS):
    draw_ways_on(lesson)
