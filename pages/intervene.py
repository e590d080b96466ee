"""Intervene: change heads by hand, and see what changes in the text."""

from app.compute import calls
from app.frame.clicks import open_more_text
from app.frame.frame import part
from app.pickers.sequence import choose_sequence
from app.sections.intervene.effects import draw_effects
from app.sections.intervene.flip import draw_flip
from app.sections.intervene.recipe import draw_recipe
from app.sections.intervene.subject import Bench
from app.sections.intervene.writing import draw_writing
from app.shell.page import open_page

selection = open_page("intervene")
tokens = calls.tokens_of(selection)
bench = Bench.of(selection, tokens, choose_sequence(selection, tokens))
draw_recipe(bench)
with part():
    draw_effects(bench)
    draw_writing(bench)
    draw_flip(bench)
open_more_text(selection, bench.head)
