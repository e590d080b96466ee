"""A forward pass, layer by layer: where heads look, and what the model would say by then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from analysis.definitions import LENS_AT, PATTERN
from analysis.effects.recipe import recipe_text
from analysis.effects.steps import Dial
from analysis.errors import AnalysisError
from analysis.head import Head
from app.components.forward_pass.component import forward_pass
from app.components.forward_pass.payload import MAX_TOKENS, Pass
from app.components.forward_pass.view import PassView
from app.compute import calls
from app.frame.export import as_rows
from app.frame.frame import draw_table, figure_frame, part
from app.links.link import whole_link
from app.links.parsers import heads_in
from app.links.session import choose
from app.links.subject import Subject
from app.pickers.sequence import position_of
from app.sections.shared.speakers import legend_html, part_colours
from app.shell.navigation import streamlit_page
from app.shell.theme import palette
from app.text import display_token, markdown_text

if TYPE_CHECKING:
    from analysis.logits.lens import Lens
    from analysis.tokens import Tokens
    from app.links.selection import Selection

_KEY = "forward-pass"


def draw_pass(selection: Selection, tokens: Tokens, row: int) -> None:
    """The pass over one sequence, with heads that are switched off."""
    labels = tuple(tokens.labels[row])
    position = position_of(selection, "position", len(labels), len(labels) - 1)
    off = heads_in(selection["off"])
    with (
        figure_frame(
            Subject(selection, sequence=row, dest=position, without=off),
            "The pass, layer by layer",
            "Arcs lead from a token back to what a head of the layer reads; bars are what the "
            "model would say next if it stopped there.",
            LENS_AT,
            also=(PATTERN,),
            acts="Play it or move the slider; click a head to switch it off, a token to ask what "
            "comes after it.",
        ),
        part(),
    ):
        if len(labels) > MAX_TOKENS:
            raise AnalysisError(
                f"These are {len(labels)} tokens; a pass is played on at most {MAX_TOKENS}. "
                "Shorten the input."
            )
        layers = tuple(range(selection.info.n_layers))
        lens = calls.lens_at(selection, row, position, off)
        guesses = calls.token_labels(selection, lens.top_ids[0, :, 0])
        theme = palette()
        colours = part_colours(theme)
        if tokens.parts:
            st.html(legend_html(tokens.parts, theme))
        forward_pass(
            Pass(
                labels,
                calls.patterns(selection, row, layers, off).values[0],
                lens.top_ids[0, :, 0],
                lens.top_probs[0, :, 0],
                guesses,
                position,
                off,
                [colours[whose] for whose in tokens.parts],
            ),
            PassView(selection["depth"], selection["arcs"], selection["tofirst"]),
            key=_KEY,
            pressed=lambda label: _switch(selection, off, label),
            asked=lambda at: choose(position=at),
            looked=lambda made: choose(depth=made.depth, arcs=made.least, tofirst=made.to_first),
        )
        _say_what_changed(selection, row, position, off, (guesses, lens))
        _draw_guesses(lens, guesses)


def _draw_guesses(lens: Lens, guesses: list[list[str]]) -> None:
    probs = lens.top_probs[0, :, 0]
    places = [(depth, rank) for depth in range(len(probs)) for rank in range(probs.shape[1])]
    draw_table(
        as_rows(
            {
                "After": [lens.labels[depth] for depth, _ in places],
                "Rank": [1 + rank for _, rank in places],
                "Token": [display_token(guesses[depth][rank]) for depth, rank in places],
                "Probability": [float(probs[place]) for place in places],
            }
        ),
        "guesses",
        {"Probability": st.column_config.NumberColumn(format="percent")},
    )


def _switch(selection: Selection, off: tuple[Head, ...], label: str) -> None:
    """Switch a head off, or on again; a browser can name what is no head of the model."""
    try:
        head = Head.parse(label)
    except ValueError:
        return
    info = selection.info
    if head.layer >= info.n_layers or head.head >= info.n_heads:
        return
    choose(off=",".join(each.label for each in sorted(set(off) ^ {head})))


def _say_what_changed(
    selection: Selection,
    row: int,
    position: int,
    off: tuple[Head, ...],
    now: tuple[list[list[str]], Lens],
) -> None:
    """The top guess of the whole model, as it is and without the heads that are switched off."""
    if not off:
        return
    guesses, lens = now
    whole = calls.lens_at(selection, row, position)
    before = calls.token_labels(selection, whole.top_ids[0, -1:, 0])[0][0]
    named = f"{len(off)} heads" if len(off) > 3 else ", ".join(head.label for head in off)
    st.caption(
        markdown_text(
            f"In the end the model says “{display_token(before)}” "
            f"({whole.top_probs[0, -1, 0, 0]:.1%}); without {named} it says "
            f"“{display_token(guesses[-1][0])}” ({lens.top_probs[0, -1, 0, 0]:.1%})."
        )
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Switch all on", on_click=choose, kwargs={"off": ""})
        recipe = recipe_text(tuple(Dial(head, 0.0) for head in off))
        st.page_link(
            streamlit_page("intervene"),
            label="Go on with these heads by hand",
            icon=":material/arrow_forward:",
            query_params=whole_link("intervene", {**selection.values, "recipe": recipe}),
        )
