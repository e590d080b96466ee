"""Sets: what every head does over a set of prompts, with how sure that is."""

from app.compute import calls
from app.frame.frame import part
from app.sections.sets.choose import choose_measure, draw_set
from app.sections.sets.heads import draw_map, draw_ranking, draw_rows
from app.sections.sets.subject import SetView
from app.shell.page import open_page

selection = open_page("sets")
with part():
    prompts = calls.fitted_set(selection)
    choose_measure(selection, prompts)
    with part():
        view = SetView.of(selection, prompts)
        draw_map(view)
        draw_ranking(view)
        draw_rows(view)
    draw_set(selection, prompts)
