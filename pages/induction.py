"""Induction: the loss on repeated tokens and the heads that make the second half easy."""

import numpy as np
import streamlit as st

from analysis.definitions import (
    CHANCE,
    COURSE_STRIPE,
    HALF_LOSS,
    LOSS,
    MEAN_LOG_PROBS,
    SCORES,
)
from app.compute import calls
from app.figures import base as figures
from app.frame.clicks import draw_head_map, open_head, open_more_text
from app.frame.frame import draw, draw_table, figure_frame, part
from app.frame.layout import beside, controls
from app.links.session import widget_key
from app.links.subject import Subject
from app.pickers.heads import focus_head
from app.pickers.sequence import choose_sequence
from app.pickers.weighting import pick_weighting, weighted
from app.sections.induction import draw_distances, draw_resting, explain_two_layers
from app.sections.sets.page import draw_over_set
from app.shell.page import open_page
from app.shell.theme import palette

selection = open_page("induction")
if selection.over_set:
    draw_over_set(selection, measure="score", score="induction")
    st.stop()
theme = palette()
tokens = calls.tokens_of(selection)
with controls():
    row = choose_sequence(selection, tokens)
stats = calls.next_token_stats(selection)
scores = calls.scores(selection)
focus = focus_head(selection)

if tokens.half_length is None:
    title, definition = "Log-probability of each token of the prompt", LOSS
    reading = "Where the text repeats something, the line rises: the model has seen it before."
else:
    first, second = stats.half_losses(tokens)
    title, definition = "Second half: seen before, so predicted", HALF_LOSS
    reading = (
        f"Mean over {tokens.batch} sequences. Loss {first:.2f} nats on the random half, "
        f"{second:.2f} on the repeated one; a uniform guess has "
        f"{np.log(selection.info.d_vocab):.2f}."
    )
with figure_frame(Subject(selection), title, reading, MEAN_LOG_PROBS, also=(definition,)):
    draw(
        figures.log_prob_line(stats.log_probs, tokens.labels[row], tokens.half_length, theme),
        key="log-probs",
    )

if np.isnan(scores.induction).all():
    with figure_frame(Subject(selection), "Induction score of every head", "", SCORES["induction"]):
        st.info("No token of this prompt comes twice, so nothing can be copied. Repeat a word.")
    st.stop()
chance = scores.chance["induction"]
with figure_frame(
    Subject(selection),
    "Induction score of every head",
    f"How much of its attention a head puts on the token after an earlier copy. Chance is "
    f"{chance:.3f}.",
    SCORES["induction"],
    also=(COURSE_STRIPE,),
    acts="Click a cell to see that head's pattern below.",
):
    draw_head_map(
        figures.head_map(
            scores.induction,
            theme,
            unit="induction score",
            top=1,
            focus=focus,
            details={
                "chance": np.full_like(scores.induction, chance),
                "sd over sequences": scores.spread["induction"],
                "as the course averages it": scores.course_stripe,
            },
        ),
        key="induction-map",
    )
    st.caption(CHANCE)
    explain_two_layers()

heads, picture = beside("induction", 250, 470)
with (
    heads,
    figure_frame(
        Subject(selection), "Induction heads", "Heads above the threshold.", SCORES["induction"]
    ),
):
    st.slider("Threshold", 0.0, 1.0, step=0.05, key=widget_key(selection, "threshold"))
    found = scores.above("induction", selection["threshold"])
    if found:
        draw_table(
            [{"Head": head.label, "Score": value, "Chance": chance} for head, value in found],
            "induction heads",
            {name: st.column_config.NumberColumn(format="%.3f") for name in ("Score", "Chance")},
        )
    else:
        st.caption("No head. Lower the threshold, or take more sequences.")
with picture, part():
    pick_weighting(selection)
    shown = weighted(selection, row, (focus.layer,))
    with figure_frame(
        shown.about(Subject(selection, head=focus, sequence=row)),
        f"Pattern of {focus.label}",
        f"Sequence {row}. An induction head shows a stripe: S-1 positions back from each token of "
        f"the second half. {shown.reading}".strip(),
        shown.quantity,
    ):
        unit, signed = shown.weighting.unit, shown.weighting.signed
        pattern = shown.values[0, focus.head]
        draw(figures.pattern_map(pattern, tokens.labels[row], theme, unit, signed), key="pattern")
        open_head(selection, focus)

open_more_text(selection, focus)
draw_distances(selection, tokens, focus, theme)
if tokens.half_length is not None:
    draw_resting(selection, scores, theme)
