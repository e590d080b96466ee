"""Ablation: how much the loss rises without each head."""

import time

import numpy as np
import streamlit as st

from analysis.definitions import ABLATION
from analysis.heads import Head
from app import backend, figures
from app.frame import draw, draw_head_map, figure_frame, open_head
from app.selection import open_page
from app.theme import palette

MOST_IMPORTANT = 8

selection = open_page("ablation")
theme = palette()
st.segmented_control(
    "What a head's output is replaced by",
    ["zero", "mean"],
    format_func={"zero": "Zero", "mean": "Its mean over sequences"}.__getitem__,
    required=True,
    key=selection.key("method"),
)
place, started = st.empty(), time.monotonic()


def progress(done: int, total: int) -> None:
    """Show how far the sweep is. Streamlit ends the script here when the visitor has left."""
    elapsed = time.monotonic() - started
    remaining = f", about {elapsed / done * (total - done):.0f} s left" if done else ""
    place.progress(done / total, f"{done} of {total} heads{remaining}")


result = backend.ablation(selection, progress)
place.empty()
tokens = backend.tokens_of(selection)
repeated = tokens.half_length is not None
where = "the predictable tokens of the second half" if repeated else "all tokens of the prompt"
focus = Head(selection["layer"], selection["head"])
order = np.argsort(result.values, axis=None)[::-1][:MOST_IMPORTANT]
ranking = [Head(*divmod(int(i), selection.info.n_heads)) for i in order]
with figure_frame(
    "Loss increase without each head",
    f"Nats per token over {where}; the loss with all heads is {result.clean_loss:.3f}. Blue: the "
    "model needs the head. Click a cell to put a head in focus.",
    ABLATION,
):
    draw_head_map(
        figures.head_map(result.values, theme, unit="nats", diverging=True, focus=focus), key="map"
    )

left, right = st.columns([1, 2])
with left, figure_frame("Most important heads", "Largest loss increase first.", ABLATION):
    st.dataframe(
        [{"Head": h.label, "Nats": float(result.values[h.layer, h.head])} for h in ranking],
        hide_index=True,
        column_config={"Nats": st.column_config.NumberColumn(format="%+.3f")},
    )
with (
    right,
    figure_frame(
        f"Which tokens need {focus.label}",
        "Loss increase at each prediction; hover for the position.",
        ABLATION,
    ),
):
    labels = tokens.labels[0] if tokens.batch == 1 else None
    effect = result.per_token[focus.layer, focus.head]
    draw(figures.effect_line(effect, labels, tokens.half_length, theme), key="per-token")
    open_head(selection, focus)
