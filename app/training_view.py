"""Parts of the training page: the choice of a checkpoint, and links that open it elsewhere."""

from __future__ import annotations

import streamlit as st

from analysis.catalog import ModelInfo, finished_model
from analysis.heads import Head
from analysis.history import TrainingHistory
from app.navigation import page_info, streamlit_page
from app.selection import Selection, Value, link_parameters


def choose_checkpoint(
    selection: Selection, history: TrainingHistory, steps: tuple[int, ...]
) -> int:
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
    return int(
        st.select_slider(
            "Checkpoint, by training step",
            steps,
            format_func=lambda step: f"{step:,}",
            key=selection.key("step", shown=step),
        )
    )


def _first_formed(history: TrainingHistory, steps: tuple[int, ...]) -> int:
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


def draw_links(selection: Selection, shown: ModelInfo, focus: Head) -> None:
    """Links to other pages on a checkpoint."""
    bar = st.container(horizontal=True)
    values: dict[str, Value] = {
        **selection.values,
        "model": shown.name,
        "layer": focus.layer,
        "head": focus.head,
    }
    for page, more in (
        ("attention", {}),
        ("induction", {"input": "repeated"}),
        ("head", {"input": "repeated"}),
        # The checkpoint beside what became of it.
        ("compare", {"input": "repeated", "by": "model", "model2": finished_model(shown).name}),
    ):
        bar.page_link(
            streamlit_page(page),
            label=f"Open in {page_info(page).title}",
            icon=page_info(page).icon,
            query_params=link_parameters(page, {**values, **more}),
        )
