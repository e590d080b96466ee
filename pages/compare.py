"""Compare: two prompts, heads or models, or a head with and without another one, side by side."""

from dataclasses import replace

import numpy as np
import streamlit as st

from analysis.definitions import HALF_LOSS, LOSS, SCORES
from app.compute import calls
from app.frame.clicks import open_head, open_more_text
from app.frame.export import as_rows
from app.frame.frame import draw_table, figure_frame, part
from app.frame.layout import controls
from app.links.session import choose, widget_key
from app.pickers.sequence import choose_sequence
from app.pickers.weighting import pick_weighting
from app.sections.compare import choose_sides, draw_changed, other_models, remark
from app.sections.sets.compared import draw_compared
from app.sections.shared.pair import draw_pair
from app.shell.page import open_page
from app.shell.theme import palette
from app.text import markdown_text

CHOICES = {
    "ablate": "With and without a head",
    "head": "Two heads",
    "prompt": "Two prompts",
    "model": "Two models",
}


def begin_with_prompts(key: str) -> None:
    """Two prompts are compared as prompts, so the sidebar shows the first one."""
    if st.session_state[key] == "prompt":
        choose(input="prompt")


selection = open_page("compare")
if selection.over_set:
    draw_compared(selection)
    st.stop()
tokens = calls.tokens_of(selection)
by = widget_key(selection, "by")
with controls():
    st.segmented_control(
        "What differs",
        list(CHOICES),
        format_func=CHOICES.__getitem__,
        required=True,
        key=by,
        on_change=begin_with_prompts,
        args=(by,),
    )
    if selection["model2"] and selection["model2"] not in [m.name for m in other_models(selection)]:
        st.text("⚠ The link's second model is not here, or is the first one again.")
    if selection["by"] == "model" and not other_models(selection):
        st.info(
            f"There is no second model yet: {markdown_text(selection.info.title)} is the only one "
            "here. Compare two heads or two prompts of it instead."
        )
        st.stop()
    a, b = choose_sides(selection)
    if note := remark(a, b):
        st.caption(note)
    row = choose_sequence(selection, tokens)
    pick_weighting(selection)

with part():
    cells = a.pattern(row)
    sides = [side.pattern(row).about(replace(side.subject, sequence=row)) for side in (a, b)]
    subject = replace(sides[0], second=sides[1])
    with figure_frame(
        subject,
        f"{a.name} beside {b.name}",
        "Each row is a destination and shows where it looks back to. In the difference blue is "
        f"more {'attention ' * cells.weighting.plain}in B, red less. {cells.reading}".strip(),
        cells.quantity,
        also=(LOSS, HALF_LOSS),
    ):
        draw_pair(a.pane(row), b.pane(row), palette(), subject, key="pair")
        shown = dict.fromkeys((side.selection.info.name, side.head) for side in (a, b))
        for column, (model, head) in zip(st.columns(2), shown, strict=False):
            with column:
                open_head(selection.with_values(model=model), head)

open_more_text(selection, a.head)
if selection["by"] == "prompt" and selection["input"] == "prompt":
    draw_changed(a, b)

scores_a, scores_b = a.scores(), b.scores()
ours = np.array([scores_a[name][a.head.layer, a.head.head] for name in SCORES])
theirs = np.array([scores_b[name][b.head.layer, b.head.head] for name in SCORES])
with figure_frame(
    replace(a.subject, second=b.subject),
    "Scores of both",
    "Over all sequences. An empty cell is not measured, or cannot be known from these tokens: no "
    "token comes twice.",
    *SCORES.values(),
):
    columns = as_rows(
        {
            "Score": [definition.name for definition in SCORES.values()],
            f"A: {a.name}": ours.tolist(),
            f"B: {b.name}": theirs.tolist(),
            "B − A": (theirs - ours).tolist(),
            "Chance in A": [scores_a.chance[name] for name in SCORES],
        }
    )
    draw_table(
        columns,
        "scores",
        {
            f"A: {a.name}": st.column_config.NumberColumn(format="%.3f"),
            f"B: {b.name}": st.column_config.NumberColumn(format="%.3f"),
            "B − A": st.column_config.NumberColumn(format="%+.3f"),
            "Chance in A": st.column_config.NumberColumn(format="%.3f"),
        },
    )
