"""Attribution: what the direct path and every head add to the logit of the next token."""

from dataclasses import replace

import numpy as np
import streamlit as st

from analysis.definitions import ATTRIBUTION, LENS
from analysis.models.capabilities import scale_note
from app.compute import calls
from app.figures import base as figures
from app.figures.lens import lens_map
from app.frame.frame import draw, figure_frame
from app.links.session import widget_key
from app.links.subject import Subject
from app.pickers.answer import answer_and_foil, pick_answer_and_foil
from app.pickers.sequence import choose_sequence, position_of
from app.shell.page import open_page
from app.shell.theme import palette
from app.text import display_token

selection = open_page("attribution")
theme = palette()
tokens = calls.tokens_of(selection)
row = choose_sequence(selection, tokens)
labels = tokens.labels[row]

pick_answer_and_foil(selection)
answer, foil = answer_and_foil(selection).checked()
result = calls.attribution(selection, row, answer, foil)
values = result.values[0]
n_rows = len(values)
targets = [texts[0] for texts in calls.token_labels(selection, result.targets[0][:, None])]
if foil is not None:
    targets = [f"{target}” rather than “{selection['foil']}" for target in targets]

st.caption(
    f"Check: the components of each row sum to the model's own "
    f"{'logit difference' if foil is not None else 'logit'} within {result.error:.1e} logits"
    + (", after taking off the unembedding bias b_U." if result.unembed_bias.any() else ".")
    + f" {scale_note(selection.info)}"
)
chosen = position_of(selection, "position", n_rows, n_rows - 1)
subject = Subject(selection, sequence=row, answer=answer, foil=foil)
with figure_frame(
    replace(subject, dest=chosen),
    f"One position: after “{display_token(labels[chosen])}”",
    f"What each component adds to the logit of “{display_token(targets[chosen])}”; "
    f"the bars sum to {result.logits[0, chosen]:.2f}.",
    ATTRIBUTION,
):
    if n_rows > 1:
        st.slider("Position", 0, n_rows - 1, key=widget_key(selection, "position", shown=chosen))
    draw(figures.attribution_bars(values[chosen], result.labels, theme), key="bars")

strongest = np.abs(values).mean(0).argsort()[::-1][:3]
with figure_frame(
    subject,
    "Every position and component",
    "Rows are named by the token the prediction is made at. Largest on average: "
    + ", ".join(result.labels[i] for i in strongest)
    + ".",
    ATTRIBUTION,
    acts="The hover names the token it is about.",
):
    draw(figures.attribution_map(values, result.labels, labels[:n_rows], targets, theme), key="map")

lens = calls.logit_lens(selection, row)
with figure_frame(
    Subject(selection, sequence=row),
    "Logit lens: the top guess after each layer",
    "Each row is a position; the further right, the more layers have written. A cell is the most "
    "likely next token there, darker the more likely; ✓ where it is the one that came.",
    LENS,
    acts="Hover for the five best.",
):
    guesses = [calls.token_labels(selection, ids) for ids in lens.top_ids[0]]
    draw(
        lens_map(lens.top_probs[0], guesses, lens.labels, labels, theme),
        key="lens",
    )
    st.caption(
        f"Check: the last column equals the model's own prediction within {lens.error:.1e} logits."
    )
