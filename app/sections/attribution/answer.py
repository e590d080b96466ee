"""Who made the model say this: heads by what they add to one answer, tested, on the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analysis.definitions import ANSWER_ABLATION, ANSWER_SOURCES, ATTRIBUTION, PATCHING
from analysis.errors import AnalysisError
from app.compute import calls
from app.figures.arcs import Arc, text_arcs
from app.figures.patching import restored
from app.frame.clicks import draw_head_graph, draw_linked_heads
from app.frame.frame import figure_frame, part
from app.links.link import whole_link
from app.links.session import widget_key
from app.sections.shared.speakers import legend_html, part_colours
from app.shell.navigation import streamlit_page
from app.text import display_token, markdown_text

if TYPE_CHECKING:
    from analysis.head import Head
    from analysis.logits.attribution import Attribution
    from app.links.selection import Selection
    from app.sections.attribution.components import AttributionView

# Heads that are tested one by one: a run of the layers above it each.
_TESTED = 8
# Arcs of a head: its strongest sources, as far as they have this share of all that it reads.
_SOURCES, _LEAST = 2, 0.25


def draw_answer(view: AttributionView) -> None:
    """The heads that add most to the answer, without each, patched, and where they read it."""
    heads = _strongest(view.result, view.position)
    answer = int(view.result.targets[0][view.position])
    with (
        figure_frame(
            replace(view.here, heads=heads, answer=answer),
            "Who made it say this?",
            f"The {len(heads)} heads that add most to the logit of {view.goal}. Arcs lead from "
            "what a head reads to where it writes; blue raises, red lowers.",
            ATTRIBUTION,
            ANSWER_SOURCES,
            ANSWER_ABLATION,
            also=(PATCHING,),
            acts="Click a square to ask about its token, a dot to open the head.",
        ),
        part(),
    ):
        if len(view.towards) > 1:
            key = widget_key(view.selection, "position", shown=view.position)
            st.slider("After position", 0, len(view.towards) - 1, key=key)
        view.require_difference()
        sources = {head: _sources(view, head) for head in heads}
        whose, inks = calls.tokens_of(view.selection).parts, part_colours(view.theme)
        colours = [inks[each] for each in whose]
        if whose:
            st.html(legend_html(whose, view.theme))
        arcs = [arc for head in heads for arc in _arcs(view, head, sources[head])]
        draw_head_graph(
            text_arcs(arcs, _said(view), view.position, view.theme, colours),
            "arcs",
            view.selection,
            ("position",),
            [
                {
                    "Head": arc.head.label,
                    "Source": arc.src,
                    "Token": view.labels[arc.src],
                    "Destination": arc.dest,
                    "Logits": arc.value,
                }
                for arc in arcs
            ],
        )
        _draw_tested(view, heads, answer, sources)


def _said(view: AttributionView) -> tuple[str, ...]:
    """The text, and what comes after it where that is explained too."""
    after = view.towards[len(view.labels) - 1 :]
    return (*view.labels, *after)


def _strongest(result: Attribution, position: int) -> tuple[Head, ...]:
    places, values = result.heads, result.values[0, position]
    return tuple(sorted(places, key=lambda head: -abs(values[places[head]]))[:_TESTED])


def _sources(view: AttributionView, head: Head) -> np.ndarray:
    """What the head adds at the position, by the token that it reads, [src]."""
    subject = view.subject
    split = calls.source_attribution(view.selection, view.row, head, subject.answer, subject.foil)
    return split.values[0, view.position, : view.position + 1]


def _arcs(view: AttributionView, head: Head, sources: np.ndarray) -> list[Arc]:
    ranked = np.abs(sources).argsort()[::-1][:_SOURCES]
    least = _LEAST * float(np.abs(sources).sum())
    return [
        Arc(head, int(src), view.position, float(sources[src]))
        for src in ranked
        if abs(sources[src]) >= least
    ]


def _draw_tested(
    view: AttributionView,
    heads: Sequence[Head],
    answer: int,
    sources: Mapping[Head, np.ndarray],
) -> None:
    foil = view.subject.foil
    tested = calls.answer_ablation(
        view.selection, view.row, tuple(heads), view.position, answer, foil
    )
    places, values = view.result.heads, view.result.values[0, view.position]
    rows = []
    for head, change in zip(heads, tested.changes, strict=True):
        read = int(np.abs(sources[head]).argmax())
        rows.append(
            {
                "Head": head.label,
                "Adds": float(values[places[head]]),
                "Without it": float(change),
                "Reads most from": f"{read} “{display_token(view.labels[read])}”",
            }
        )
    config = {
        name: st.column_config.NumberColumn(format="%+.3f") for name in ("Adds", "Without it")
    }
    patched = _draw_corrupt_prompt(view, tuple(heads), answer)
    if patched:
        name, column = patched
        rows = [{**row, name: value} for row, value in zip(rows, column, strict=True)]
        config[name] = st.column_config.NumberColumn(format="%+.3f")
    draw_linked_heads(rows, heads, "answer", view.selection, config)
    st.caption(
        f"In logits; as it is the {'difference' if foil is not None else 'logit'} is "
        f"{tested.clean:+.2f}. Where what it loses without a head is not what that head adds, the "
        "head acts through later ones, or others take over for it."
    )


def _draw_corrupt_prompt(
    view: AttributionView, heads: tuple[Head, ...], answer: int
) -> tuple[str, list[float]] | None:
    """The field of a corrupt prompt, and what each head brings back in it."""
    selection = view.selection
    if selection["input"] != "prompt":
        return None
    st.text_area(
        "A corrupt prompt, to patch these heads into",
        height=80,
        key=widget_key(selection, "against"),
        placeholder="as many tokens, without what the answer follows from",
        help="The model runs on it; then each head's output is put back to what it is on the "
        "prompt, and the answer may come back.",
    )
    if not selection["against"]:
        return None
    with part():
        return _patched(view, heads, answer)
    return None


def _patched(
    view: AttributionView, heads: tuple[Head, ...], answer: int
) -> tuple[str, list[float]]:
    if view.position != len(view.labels) - 1:
        raise AnalysisError(
            "Patching is about the token after the end of both prompts: choose the last position."
        )
    pairs = view.selection.with_values(
        clean=view.selection["prompt"], corrupt=view.selection["against"]
    )
    clean, corrupt = calls.patched_prompts(pairs)
    foil = view.subject.foil
    if foil is None:
        other = pairs.with_values(prompt=view.selection["against"])
        foil = int(calls.next_tokens(other, 0).top_ids[0, -1, 0])
    if foil == answer:
        raise AnalysisError(
            "The model says the same after the corrupt prompt, so there is nothing to bring back. "
            "Type a foil, or corrupt what the answer follows from."
        )
    pair = calls.prompt_pair(pairs, clean, corrupt, answer, foil)
    cells = tuple((head.layer, head.head) for head in heads)
    found = calls.activation_patching(pairs, pair, "z", cells)
    shown = restored(found)
    texts = calls.token_labels(view.selection, np.array([[answer], [foil]]))
    named = [f"“{display_token(row[0])}”" for row in texts]
    st.caption(
        markdown_text(
            f"{named[0]} rather than {named[1]}: {found.clean:+.2f} on the prompt, "
            f"{found.corrupt:+.2f} on the corrupt one. "
        )
        + (found.no_share or "Brings back: 1 is all of the difference between them.")
    )
    _link_to_patching(pairs, texts)
    return "Brings back", [float(shown[cell]) for cell in cells]


def _link_to_patching(pairs: Selection, texts: Sequence[Sequence[str]]) -> None:
    answer, foil = (row[0] for row in texts)
    values = {**pairs.values, "answer": answer, "foil": foil, "layer": None}
    st.page_link(
        streamlit_page("patching"),
        label="Patch every head, and every path",
        icon=":material/arrow_forward:",
        query_params=whole_link("patching", values),
    )
