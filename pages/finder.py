"""Finder: every head, every score; sort, filter, and open what stands out."""

import streamlit as st

from analysis.definitions import CHANCE, PROFILE, SIMILARITY, of_every_head
from analysis.head import Head, all_heads
from app.compute import calls
from app.figures import heads as head_figures
from app.frame.clicks import draw_heads_to_open, open_head, open_more_text
from app.frame.frame import figure_frame, part
from app.links.session import widget_key
from app.links.subject import Subject
from app.pickers.heads import pick_layer_and_head, telling_head
from app.pickers.score import not_measured
from app.sections import finder
from app.sections.encoders import draw_every_head
from app.sections.sets.page import draw_over_set
from app.shell.page import open_page
from app.shell.theme import palette

SIMILAR = 8

selection = open_page("finder")
if selection.over_set:
    draw_over_set(selection, measure="score")
    st.stop()
selection = telling_head(selection)
info = selection.info
if info.bidirectional:
    draw_every_head(selection)
    st.stop()
profiles = finder.profiles_of(selection)
definitions = [PROFILE[name] for name in profiles]
subject = Subject(selection, method="zero", heads=finder.measured_heads(selection))

with figure_frame(
    subject,
    "Every head, every score",
    "One row for each head, one column for each score; beside it its standard deviation over "
    "sequences (sd), where there are several, and its chance level.",
    *definitions,
    acts="Sort by a column's title; tick a row to open that head.",
):
    finder.choose_filter(selection)
    rank = finder.known_score(selection, "rank", profiles)
    finder.explain_unknown(selection, "rank", profiles)
    shown = finder.shown_heads(selection, profiles[rank])
    every = all_heads(info)
    ranked = sorted(
        (head for head in every if shown[head.layer, head.head]),
        key=lambda head: -profiles[rank][head.layer, head.head],
    )
    if ranked:
        # What it is ranked by stands first, and the rest behind it.
        finder.draw_heads(selection, ranked, {rank: profiles[rank], **profiles}, "heads")
    else:
        st.info(
            f"No head has {finder.name_of(rank)} of {selection['minimum']:g} or more. Lower it, "
            "or take every layer."
        )
    older = not_measured(*calls.scores(selection).not_measured)
    st.caption(f"{len(ranked)} of {len(every)} heads. {CHANCE} {older}")

open_more_text(selection)
focus = Head(selection["layer"], selection["head"])
x, y = (finder.known_score(selection, axis, profiles) for axis in ("x", "y"))
with figure_frame(
    subject,
    "Two scores against each other",
    "Each dot is a head of the table. Colours are layers.",
    PROFILE[x],
    PROFILE[y],
    acts="Point at a dot for its numbers, click it to open it.",
):
    left, right = st.columns(2)
    left.selectbox(
        "Horizontal axis", PROFILE, format_func=finder.name_of, key=widget_key(selection, "x")
    )
    right.selectbox(
        "Vertical axis", PROFILE, format_func=finder.name_of, key=widget_key(selection, "y")
    )
    for axis in ("x", "y"):
        finder.explain_unknown(selection, axis, profiles)
    if ranked:
        draw_heads_to_open(
            head_figures.score_scatter(
                profiles[x],
                profiles[y],
                (PROFILE[x].name, PROFILE[y].name),
                palette(),
                shown=shown,
                focus=focus,
            ),
            "scatter",
            selection,
        )
    else:
        st.caption("No head is left in the table.")

with figure_frame(
    Subject(selection, head=focus, method="zero"),
    f"Heads like {focus.label}",
    "Nearest first, by all the scores above: heads that are nearer than 85 % of all pairs of this "
    "model's heads are to each other.",
    SIMILARITY,
    *(of_every_head(quantity) for quantity in definitions),
    acts="Tick a row to open that head.",
):
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    pick_layer_and_head(bar, selection)
    # A table and a scatter take no keys: this link opens any head without a mouse.
    with bar:
        open_head(selection, focus)
    with part():
        others, within = calls.similar_heads(profiles, focus), calls.alike_within(profiles)
        nearest = [(head, distance) for head, distance in others[:SIMILAR] if distance <= within]
        if not nearest and others:
            (head, distance), *_ = others
            st.info(
                f"None is alike: {head.label} is nearest, {distance:.2f} standard deviations away, "
                f"and 15 % of the pairs are within {within:.2f}."
            )
        distances = {"Distance (sd)": [distance for _, distance in nearest]}
        if nearest:
            alike = [head for head, _ in nearest]
            finder.draw_heads(selection, alike, profiles, "similar", distances)
