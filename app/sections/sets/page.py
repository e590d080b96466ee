"""What a page measures, over a set of prompts."""

from app.compute import calls
from app.frame.frame import part
from app.links.parsers import Value
from app.links.selection import Selection
from app.sections.sets.choose import choose_measure, draw_set
from app.sections.sets.heads import draw_map, draw_ranking, draw_rows
from app.sections.sets.subject import SetView


def draw_over_set(selection: Selection, **fixed: Value) -> None:
    """Every head's mean over the set of the sidebar, with its interval and every row.

    `fixed` is what the page settles, such as the measure, and its visitor does not choose.
    """
    asked = selection.with_values(**fixed)
    with part():
        prompts = calls.fitted_set(asked)
        choose_measure(asked, prompts, fixed)
        with part():
            view = SetView.of(asked, prompts)
            draw_map(view)
            draw_ranking(view)
            draw_rows(view)
        draw_set(asked, prompts)
