"""What is measured over a set, and the set itself as the model reads it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from analysis.definitions import SCORES
from analysis.sets.rows import FOUND
from app.frame.frame import draw_table, figure_frame
from app.links.selection import Selection
from app.links.session import widget_key
from app.links.subject import Subject
from app.pickers.method import choose_method
from app.sections.sets.subject import MEASURES, SIDES

if TYPE_CHECKING:
    from analysis.sets.fitted import FittedSet
    from analysis.sets.rows import PromptRow

# Rows that the table of a set shows; the others are in its file.
SHOWN = 200


def choose_measure(
    selection: Selection,
    prompts: FittedSet,
    fixed: Collection[str],
    measures: Sequence[str] = tuple(MEASURES),
) -> None:
    """What of `measures` is taken of every head, on which side; less what its page has `fixed`."""
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    if "measure" not in fixed:
        bar.selectbox(
            "What is measured",
            measures,
            format_func=MEASURES.__getitem__,
            key=widget_key(selection, "measure", shown=selection["measure"]),
            width=270,
        )
    if selection["measure"] == "score" and "score" not in fixed:
        bar.selectbox(
            "Score",
            list(SCORES),
            format_func=lambda key: SCORES[key].name,
            key=widget_key(selection, "score"),
            width=230,
        )
    if selection["measure"] == "attention":
        places = list(dict.fromkeys([*_places(prompts), selection["to"], selection["of"]]))
        for key, label in (("to", "From (destination)"), ("of", "To (source)")):
            bar.selectbox(label, places, key=widget_key(selection, key), width=190)
    if selection["measure"] in ("attention", "score") and "side" not in fixed:
        bar.selectbox(
            "On",
            SIDES,
            format_func=SIDES.__getitem__,
            key=widget_key(selection, "side"),
            width=230,
        )
    if selection["measure"] == "ablation":
        choose_method(selection, "What a head's output is replaced by")


def draw_set(selection: Selection, prompts: FittedSet) -> None:
    """The rows as the model reads them, and what is to be said of those left out."""
    rows = prompts.of.rows
    with figure_frame(
        Subject(selection, prompts=prompts, on_input=True),
        "The set",
        f"{len(prompts.rows)} of {len(rows)} rows are run; their hash is {prompts.of.hash}. "
        "Places: " + "; ".join(f"{name}, {FOUND.get(name, 'marked in the set')}"
        for name in _places(prompts)) + ".",
    ):  # fmt: skip
        for note in prompts.notes:
            st.text(f"⚠ {note.sentence}")
        draw_table(
            [
                {
                    "Row": row.index + 1,
                    **written(rows[row.index], rows),
                    "Tokens": len(row.ids),
                    **{f"At {name}": at for name, at in row.places.items()},
                }
                for row in prompts.rows[:SHOWN]
            ],
            "set-rows-read",
        )


def written(row: PromptRow, rows: Sequence[PromptRow]) -> dict[str, str]:
    """What stands in a row, without columns that are empty in all of them."""
    names = {"Answer": "answer", "Foil": "foil", "Corrupt prompt": "corrupt"}
    filled = {
        column: getattr(row, name) or ""
        for column, name in names.items()
        if any(getattr(each, name) for each in rows)
    }
    return {"Prompt": row.prompt, **filled}


def _places(prompts: FittedSet) -> list[str]:
    """The places that some row has."""
    return list(dict.fromkeys(name for row in prompts.rows for name in row.places))
