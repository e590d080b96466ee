"""Two heads, or prompts and corrupt ones, compared prompt by prompt over a set."""

from dataclasses import replace

import numpy as np
import streamlit as st

from analysis.head import Head
from analysis.sets.spread import paired
from app.compute import calls
from app.figures.sets import row_values
from app.frame.frame import draw, draw_table, figure_frame, part
from app.links.selection import Selection
from app.links.session import widget_key
from app.pickers.heads import completed, pick_head
from app.sections.sets.choose import choose_measure, draw_set
from app.sections.sets.page import draw_over_set
from app.sections.sets.subject import SIDED, SetView, interval

CHOICES = {"head": "Two heads", "prompt": "Prompts and corrupt prompts"}


def draw_compared(selection: Selection) -> None:
    """What differs, and by how much, over the set of the sidebar."""
    by = selection["by"] if selection["by"] in CHOICES else "head"
    st.segmented_control(
        "What differs",
        list(CHOICES),
        format_func=CHOICES.__getitem__,
        required=True,
        key=widget_key(selection, "by", shown=by),
    )
    if by == "prompt":
        measure = selection["measure"] if selection["measure"] in SIDED else SIDED[0]
        draw_over_set(selection.with_values(measure=measure), side="difference")
        return
    with part():
        prompts = calls.fitted_set(selection)
        choose_measure(selection, prompts, ())
        with part():
            _draw_two_heads(SetView.of(selection, prompts))
        draw_set(selection, prompts)


def _draw_two_heads(view: SetView) -> None:
    """One head less another on every prompt, which takes away what both owe to the prompt."""
    left, right = st.columns(2, border=True)
    with left:
        a = pick_head(view.selection, "A", view.focus)
    with right:
        b = pick_head(view.selection, "B", _other_head(view, a), "2")
    ours, theirs = view.found.of(a), view.found.of(b)
    less, found = ours - theirs, paired(ours, theirs)
    reading = (
        f"{a.label} {view.said(a)}, {b.label} {view.said(b)}. {a.label} less {b.label} on the same "
        f"prompt: {interval(found, (), signed=True)}; above 0 on {int((less > 0).sum())} of "
        f"{len(less)} prompts. The interval is a bootstrap over prompts."
    )
    subject = replace(view.subject, heads=(a, b))
    title = f"{view.what}: {a.label} less {b.label}"
    with figure_frame(subject, title, reading, view.uncoded, also=view.also):
        draw(row_values(less, f"difference in {view.unit}", view.theme), key="two-heads")
        order = np.argsort(-less, kind="stable")
        draw_table(
            [
                {
                    "Row": int(view.found.rows[at]) + 1,
                    f"A: {a.label}": float(ours[at]),
                    f"B: {b.label}": float(theirs[at]),
                    "A − B": float(less[at]),
                    "Prompt": view.prompts.of.rows[view.found.rows[at]].prompt,
                }
                for at in order
            ],
            "two-heads-table",
            {
                name: st.column_config.NumberColumn(format="%+.3f")
                for name in (f"A: {a.label}", f"B: {b.label}", "A − B")
            },
        )


def _other_head(view: SetView, first: Head) -> Head:
    """The link's second head, or the strongest beside the first."""
    size = np.abs(view.spread.mean - view.level)
    size[first.layer, first.head] = np.nan
    return completed(view.selection, "layer2", "head2", size)
