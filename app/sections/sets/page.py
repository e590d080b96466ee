"""What a page measures, over a set of prompts."""

from collections.abc import Sequence

from app.compute import calls
from app.frame.frame import part
from app.links.parsers import Value
from app.links.selection import Selection
from app.sections.sets.choose import choose_measure, draw_set
from app.sections.sets.heads import draw_map, draw_ranking, draw_rows
from app.sections.sets.subject import MEASURES, SetView


def draw_over_set(
    selection: Selection, measures: Sequence[str] = tuple(MEASURES), **fixed: Value
) -> None:
    """Every head's mean over the set of the sidebar, with its interval and every row.

    Of `measures` its visitor chooses one; `fixed` is what the page settles, such as the measure.
    """
    asked = selection.with_values(**fixed)
    with part():
        prompts = calls.fitted_set(asked)
        choose_measure(asked, prompts, fixed, measures)
        with part():
            draw_heads(SetView.of(asked, prompts))
        draw_set(asked, prompts)


def draw_heads(view: SetView) -> None:
    """The heads as a map of means, the strongest with intervals, and one on every row."""
    draw_map(view)
    draw_ranking(view)
    draw_rows(view)
