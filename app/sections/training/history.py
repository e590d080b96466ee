"""How heads formed: figures of a training run, and links that open a checkpoint elsewhere."""

from __future__ import annotations

import streamlit as st

from analysis.definitions import (
    HALF_LOSS,
    LOSS,
    SCORES,
    STEP_SCORES,
    TARGETED,
    TRAINING_LOSSES,
    TRAINING_SCORES,
    TRANSITION,
)
from analysis.head import Head
from analysis.models.catalog import checkpoint, finished_model, published_steps
from analysis.models.history import HeadHistory, TrainingHistory
from analysis.models.info import ModelInfo
from app.figures import base as figures
from app.figures import training as training_figures
from app.frame.clicks import draw_choice, draw_head_map
from app.frame.frame import draw, figure_frame
from app.links.pages import page_info
from app.links.parsers import Value
from app.links.selection import Selection
from app.links.session import link_from_here, widget_key
from app.links.subject import Subject
from app.pickers.heads import completed
from app.pickers.score import choose_score, not_measured
from app.shell.navigation import streamlit_page
from app.shell.theme import palette


def draw_history(selection: Selection, history: HeadHistory, steps: tuple[int, ...]) -> None:
    """The figures of a training run; `steps` are those whose weights are here, if any are."""
    theme = palette()
    score = selection["score"]
    name = SCORES[score].name
    with st.container(horizontal=True, vertical_alignment="bottom"):
        choose_score(selection)
        _choose_scale(selection)
    if not steps:
        st.caption(
            "The weights of earlier steps are not here: an installed package leaves them out. The "
            "numbers of all steps are."
        )
    step = choose_checkpoint(selection, history, steps or (int(history.steps[-1]),))
    row, log = history.record(step), selection["scale"] == "log"
    values = history.scores[score][row]
    focus = completed(selection, "layer", "head", history.scores[score][-1])

    if isinstance(history, TrainingHistory):
        with figure_frame(
            Subject(selection, on_input=False),
            "Losses while training",
            said_of_transition(history),
            TRAINING_LOSSES,
            TRANSITION,
            also=(LOSS, HALF_LOSS),
        ):
            draw(training_figures.loss_lines(history, step, log, theme), key="losses")

    known = history.measured(score)
    if known.sum() > 1:
        with figure_frame(
            Subject(selection, on_input=False),
            f"{name} of every head while training",
            f"One line per head, coloured by layer; {focus.label} is the thick one."
            f"{said_of_formation(history)}",
            TRAINING_SCORES,
            also=(SCORES[score], TRANSITION),
            acts="Click a line to look at its head.",
        ):
            draw_choice(
                training_figures.score_lines(history, score, name, step, focus, log, theme),
                "scores",
                ("layer", "head"),
            )

    with figure_frame(
        Subject(selection, step=step, on_input=False),
        f"{name} of every head at step {step:,}",
        said_of_step(history, row) if known[row] else "",
        STEP_SCORES,
        also=(SCORES[score],),
        acts="Click a cell to look at its head.",
    ):
        if known[row]:
            top = 1 if score in TARGETED else None
            draw_head_map(
                figures.head_map(values, theme, unit=name, top=top, focus=focus), key="map"
            )
        else:
            st.info(not_measured(score))
        st.markdown(f"**The model as it was at step {step:,}**, {focus.label} in focus:")
        info = selection.info
        draw_links(selection, model_at(info, step) if steps else finished_model(info), focus)


def _choose_scale(selection: Selection) -> None:
    st.segmented_control(
        "Steps",
        ["log", "linear"],
        required=True,
        key=widget_key(selection, "scale"),
        help="On a logarithmic axis the beginning takes as much room as the end; step 0 has no "
        "place.",
    )


def choose_checkpoint(selection: Selection, history: HeadHistory, steps: tuple[int, ...]) -> int:
    """A slider over the steps whose weights are here; the step that it shows.

    The link's step, else that of the checkpoint in the picker, else the first one after the
    transition.
    """
    wanted = selection["step"]
    # A checkpoint whose weights cannot be read has no record.
    picked = selection.info.step
    step = picked if picked in steps else _first_formed(history, steps)
    if wanted in steps:
        step = wanted
    elif wanted is not None:
        st.text(f"⚠ There is no checkpoint at step {wanted:,}; this is step {step:,}.")
    if len(steps) == 1:
        return step  # nothing to slide over
    return int(
        st.select_slider(
            "Checkpoint, by training step",
            steps,
            format_func=lambda step: f"{step:,}",
            key=widget_key(selection, "step", shown=step),
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
        seen = f"After {history.tokens[row] / 1e6:.1f} M tokens."
    return seen


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
            query_params=link_from_here(page, {**values, **more}),
        )


def model_at(info: ModelInfo, step: int) -> ModelInfo:
    """A model as it was at a step: one of its checkpoints, or the finished model itself."""
    last = published_steps(info)[-1:]
    return finished_model(info) if (step,) == last else checkpoint(info, step)
