"""Parts of the training page: the choice of a checkpoint, and links that open it elsewhere."""

from __future__ import annotations

import streamlit as st

from analysis.catalog import ModelInfo, finished_model
from analysis.heads import Head
from analysis.history import HeadHistory, TrainingHistory
from app.navigation import page_info, streamlit_page
from app.selection import Selection, Value, link_parameters


def choose_checkpoint(selection: Selection, history: HeadHistory, steps: tuple[int, ...]) -> int:
    """A slider over the steps whose weights are here; the step that it shows.

    The link's step, else that of the checkpoint in the picker, else the first one after the
    transition.
    """
    wanted = selection["step"]
    step = _first_formed(history, steps) if selection.info.step is None else selection.info.step
    if wanted in steps:
        step = wanted
    elif wanted >= 0:
        st.text(f"⚠ There is no checkpoint at step {wanted:,}; this is step {step:,}.")
    if len(steps) == 1:
        return step  # nothing to slide over
    return int(
        st.select_slider(
            "Checkpoint, by training step",
            steps,
            format_func=lambda step: f"{step:,}",
            key=selection.key("step", shown=step),
        )
    )


def _first_formed(history: HeadHistory, steps: tuple[int, ...]) -> int:
    if history.transition is None:
        return steps[-1]
    formed = int(history.steps[history.transition])
    return next((step for step in steps if step >= formed), steps[-1])


def said_of_transition(history: TrainingHistory) -> str:
    """When the induction heads formed, in a sentence."""
    losses = (
        "Text falls slowly; the second half of repeated tokens falls at once, when heads that copy "
        "have formed."
    )
    if history.transition is None:
        return losses
    place = history.transition
    return (
        f"{losses} The transition is at step {history.steps[place]:,} "
        f"({history.tokens[place] / 1e6:.1f} M tokens): there the best induction score first has "
        "half its final value or more."
    )


def said_of_formation(history: HeadHistory) -> str:
    """Between which of a few checkpoints the heads formed; nothing for a whole history."""
    if isinstance(history, TrainingHistory) or (place := history.transition) is None:
        return ""
    before, after = history.steps[place - 1 : place + 1]
    return (
        f" Between the checkpoints of steps {before:,} and {after:,} the best induction score "
        "first comes to half its final value."
    )


def said_of_step(history: HeadHistory, row: int) -> str:
    """How to read the map of one record."""
    seen = ""
    if isinstance(history, TrainingHistory):
        seen = f"After {history.tokens[row] / 1e6:.1f} M tokens. "
    return f"{seen}Click a cell to look at its head."


def draw_links(selection: Selection, shown: ModelInfo, focus: Head) -> None:
    """Links to other pages on a checkpoint."""
    bar = st.container(horizontal=True)
    values: dict[str, Value] = {
        **selection.values,
        "model": shown.name,
        "layer": focus.layer,
        "head": focus.head,
    }
    pages: list[tuple[str, dict[str, Value]]] = [
        ("attention", {}),
        ("induction", {"input": "repeated"}),
        ("head", {"input": "repeated"}),
    ]
    if shown.step is not None:  # beside what became of it
        other = finished_model(shown).name
        pages.append(("compare", {"input": "repeated", "by": "model", "model2": other}))
    for page, more in pages:
        bar.page_link(
            streamlit_page(page),
            label=f"Open in {page_info(page).title}",
            icon=page_info(page).icon,
            query_params=link_parameters(page, {**values, **more}),
        )
