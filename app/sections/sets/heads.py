"""Every head over a set of prompts: a map of means, the strongest with intervals, every row."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app.figures.base import head_map
from app.figures.sets import ranked_means, row_values
from app.frame.clicks import draw_choice, draw_head_map, open_head
from app.frame.frame import draw, draw_table, figure_frame
from app.links.session import widget_key
from app.sections.sets.choose import written
from app.sections.sets.subject import SetView

# Heads with intervals.
LISTED = 12


def draw_map(view: SetView) -> None:
    """The mean of every head, and what can be said of the strongest."""
    spread, (strongest, *_) = view.spread, view.ranked(1)
    left_out = len(view.prompts.of.rows) - len(view.found.rows)
    counted = f"Mean over {len(view.found.rows)} prompts"
    if left_out:
        counted += f" ({left_out} of the set have no such number)"
    if not view.is_difference and np.isfinite(view.found.chance):
        counted += f"; chance is {view.found.chance:.3f}"
    with figure_frame(
        view.about(),
        f"{view.what}: every head",
        f"{counted}. {view.most}: {strongest.label} {view.said(strongest)}.",
        view.quantity("mean"),
        also=view.also,
        acts="Click a cell to see that head's prompts below.",
    ):
        draw_head_map(
            head_map(
                spread.mean,
                view.theme,
                unit=view.unit,
                diverging=view.signed,
                top=None if view.signed else 1,
                focus=view.focus,
                details={"sd": spread.sd, "95 % from": spread.low, "to": spread.high},
            ),
            key="set-map",
        )


def draw_ranking(view: SetView) -> None:
    """The heads farthest from chance, each with its interval."""
    heads = view.ranked(LISTED)
    with figure_frame(
        view.about(heads=heads),
        view.most if view.most == "Strongest" else f"{view.most}s",
        "Dots are means over prompts; lines are 95 % intervals (bootstrap over prompts): they say "
        "how sure the mean is for prompts like these, and nothing of others.",
        view.quantity("interval"),
        acts="Click a dot to see that head's prompts below.",
    ):
        figure = ranked_means(
            view.spread, heads, view.unit, view.found.chance, view.theme, view.focus
        )
        draw_choice(figure, "set-ranking", ("layer", "head"))


def draw_rows(view: SetView) -> None:
    """One head's number on every row, with the row."""
    head = view.focus
    values, sign = view.found.of(head), "+" if view.signed else ""
    with figure_frame(
        view.about(head),
        f"{head.label} on every prompt",
        f"{head.label} {view.said(head)}; on single prompts from {values.min():{sign}.3f} to "
        f"{values.max():{sign}.3f}.",
        view.quantity("each"),
        also=view.also,
    ):
        draw(row_values(values, view.unit, view.theme), key="set-rows")
        order = np.argsort(-values, kind="stable")
        rows = [view.prompts.of.rows[view.found.rows[at]] for at in order]
        draw_table(
            [
                {
                    "Row": int(view.found.rows[at]) + 1,
                    view.unit.capitalize(): float(values[at]),
                    **written(row, rows),
                }
                for at, row in zip(order, rows, strict=True)
            ],
            "set-table",
            {view.unit.capitalize(): st.column_config.NumberColumn(format=view.decimals)},
        )
        bar = st.container(horizontal=True, vertical_alignment="bottom")
        with bar:
            st.selectbox(
                "Prompt to open",
                range(len(view.prompts.of.rows)),
                format_func=lambda row: f"{row + 1}",
                key=widget_key(view.selection, "row", shown=_shown_row(view)),
                width=130,
            )
            prompt = view.prompts.of.rows[_shown_row(view)].prompt
            one = view.selection.with_values(input="prompt", prompt=prompt)
            open_head(one, head, "attention")
            open_head(one, head)
            open_head(view.selection.with_values(input="set", by="head"), head, "compare")


def _shown_row(view: SetView) -> int:
    return min(int(view.selection["row"]), len(view.prompts.of.rows) - 1)
