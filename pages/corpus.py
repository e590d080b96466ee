"""Corpus: one head over a whole text."""

from app.sections.corpus.reading import draw_reading
from app.sections.corpus.source import choose_text
from app.shell.page import open_page

selection = open_page("corpus")
draw_reading(selection, choose_text())
