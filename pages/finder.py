"""Finder: every head, every score; sort, filter, and open what stands out."""

import numpy as np
import streamlit as st

from analysis.definitions import CHANCE, PROFILE, SIMILARITY
from analysis.heads import Head
from app import backend, head_figures
from app.frame import draw_heads_to_open, draw_rows_to_open, figure_frame, part
from app.selection import open_page
from app.theme import palette

SIMILAR = 8

selection = open_page("finder")
info, theme = selection.info, palette()
profiles = backend.profiles(selection)
every = [Head(a, b) for a in range(info.n_layers) for b in range(info.n_heads)]


def name_of(score: str) -> str:
    """A score's name for pickers and columns."""
    return score.capitalize()


def known(parameter: str) -> str:
    """The score a parameter names, or the first one if this input cannot show it."""
    score = str(selection[parameter])
    if score in profiles:
        return score
    instead = next(iter(profiles))
    st.caption(
        f"{name_of(score)} is unknown here (no token comes twice, or the model has no such "
        f"circuit), so this is {name_of(instead)}."
    )
    return instead


with figure_frame(
    "Every head, every score",
    "Sort by a column's head; tick a row to open that head.",
    *(PROFILE[name] for name in profiles),
):
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    bar.selectbox("Rank by", PROFILE, format_func=name_of, key=selection.key("rank"), width=260)
    bar.number_input("At least", -1.0, 99.0, step=0.05, key=selection.key("minimum"), width=140)
    rank = known("rank")
    shown = profiles[rank] >= selection["minimum"]
    ranked = sorted(
        (head for head in every if shown[head.layer, head.head]),
        key=lambda head: -profiles[rank][head.layer, head.head],
    )
    if ranked:
        rows: list[dict[str, str | float]] = [
            {
                "Head": head.label,
                **{
                    name_of(name): float(values[head.layer, head.head])
                    for name, values in profiles.items()
                },
            }
            for head in ranked
        ]
        draw_rows_to_open(rows, ranked, "heads", selection)
    else:
        st.info(f"No head has {name_of(rank)} of {selection['minimum']:g} or more. Lower it.")
    st.caption(f"{len(ranked)} of {len(every)} heads. {CHANCE}")

focus = Head(selection["layer"], selection["head"])
with figure_frame(
    "Two scores against each other",
    "Each dot is a head; point at it for its numbers, click it to open it. Colours are layers.",
    *(PROFILE[name] for name in profiles),
):
    left, right = st.columns(2)
    left.selectbox("Across", PROFILE, format_func=name_of, key=selection.key("x"))
    right.selectbox("Up", PROFILE, format_func=name_of, key=selection.key("y"))
    x, y = known("x"), known("y")
    draw_heads_to_open(
        head_figures.score_scatter(
            profiles[x],
            profiles[y],
            (PROFILE[x].name, PROFILE[y].name),
            theme,
            shown=np.asarray(shown),
            focus=focus,
        ),
        "scatter",
        selection,
    )

with figure_frame(
    f"Heads like {focus.label}",
    "Nearest first, by all the scores above; tick a row to open that head.",
    SIMILARITY,
):
    bar = st.container(horizontal=True)
    bar.selectbox("Layer", range(info.n_layers), key=selection.key("layer"), width=110)
    bar.selectbox("Head", range(info.n_heads), key=selection.key("head"), width=110)
    with part():
        nearest = backend.similar_heads(selection, focus)[:SIMILAR]
        close: list[dict[str, str | float]] = [
            {
                "Head": head.label,
                "Distance (sd)": distance,
                **{
                    name_of(name): float(values[head.layer, head.head])
                    for name, values in profiles.items()
                },
            }
            for head, distance in nearest
        ]
        draw_rows_to_open(close, [head for head, _ in nearest], "similar", selection)
