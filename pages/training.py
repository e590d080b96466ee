"""Training: how the model's heads formed, and any page on one of its checkpoints."""

import streamlit as st

from analysis.catalog import checkpoints, published_steps
from analysis.definitions import HALF_LOSS, LOSS, SCORES, TRANSITION
from analysis.history import HeadHistory, TrainingHistory, training_history
from app import figures, training_figures
from app.chosen_heads import completed
from app.frame import draw, draw_choice, draw_head_map, figure_frame
from app.published_view import computed_history, draw_checkpoints, model_at
from app.selection import open_page
from app.theme import palette
from app.training_view import (
    choose_checkpoint,
    draw_links,
    said_of_formation,
    said_of_step,
    said_of_transition,
)

selection = open_page("training")
theme = palette()
history: HeadHistory | None
if published_steps(selection.info):
    draw_checkpoints(selection.info)
    history = computed_history(selection.info)
    if history is None:
        st.stop()
    steps = tuple(history.steps.tolist())
else:
    history = training_history(selection.info)
    steps = checkpoints(selection.info)

score = selection["score"]
name = SCORES[score].name
bar = st.container(horizontal=True, vertical_alignment="bottom")
bar.selectbox(
    "Score",
    SCORES,
    format_func=lambda key: SCORES[key].name,
    key=selection.key("score"),
    width=260,
)
bar.segmented_control(
    "Steps",
    ["log", "linear"],
    required=True,
    key=selection.key("scale"),
    help="On a logarithmic axis the beginning takes as much room as the end; step 0 has no place.",
)
step = choose_checkpoint(selection, history, steps)
row, log = history.record(step), selection["scale"] == "log"
values = history.scores[score][row]
focus = completed(selection, "layer", "head", history.scores[score][-1])

if isinstance(history, TrainingHistory):
    with figure_frame(
        "Losses while training",
        said_of_transition(history),
        LOSS,
        HALF_LOSS,
        TRANSITION,
    ):
        draw(training_figures.loss_lines(history, step, log, theme), key="losses")

with figure_frame(
    f"{name} of every head while training",
    f"One line per head, coloured by layer; {focus.label} is the thick one. Click a line to look "
    f"at its head.{said_of_formation(history)}",
    SCORES[score],
    TRANSITION,
):
    draw_choice(
        training_figures.score_lines(history, score, name, step, focus, log, theme),
        "scores",
        ("layer", "head"),
    )

with figure_frame(
    f"{name} of every head at step {step:,}",
    said_of_step(history, row),
    SCORES[score],
):
    draw_head_map(
        figures.head_map(
            values, theme, unit=name, top=None if score == "entropy" else 1, focus=focus
        ),
        key="map",
    )
    st.markdown(f"**The model as it was at step {step:,}**, {focus.label} in focus:")
    draw_links(selection, model_at(selection.info, step), focus)
