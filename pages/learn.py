"""Learn: guided lessons, whose place and answers are kept in the link."""

from app.sections.lesson.page import draw_lesson
from app.shell.page import open_page

draw_lesson(open_page("learn"))
