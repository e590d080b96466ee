"""The head grid on a page: fed from the backend, and its view kept in the link."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import streamlit as st

from analysis.definitions import PATTERN
from analysis.head import Head, all_heads
from app.components.head_grid.component import head_grid
from app.components.head_grid.view import HeadGridState
from app.compute import calls
from app.figures.large import HEIGHT
from app.frame.clicks import draw_listed_heads
from app.frame.export import Exhibit, pattern_table
from app.frame.frame import figure_frame, offer
from app.frame.paper import inline_svg, paper_grid, paper_pattern
from app.frame.standing import grid_body
from app.links.selection import Selection
from app.links.session import widget_key
from app.links.subject import Subject
from app.pickers.cell import cell_of, sources
from app.pickers.heads import ranked
from app.pickers.weighting import Weighted, weighted
from app.shell.page import move_view
from app.shell.room import own_room
from app.shell.theme import palette
from app.text import display_token


def _offer_grid(shown: Weighted, labels: Sequence[str], one: Subject) -> None:
    """Let the frame export all heads, and the one in focus."""
    info, focus, theme = one.selection.info, one.head, palette()
    assert focus
    every, cells, most = shown.values, shown.weighting, shown.top
    heads = every.reshape(-1, *every.shape[2:])
    of_all = all_heads(info)
    names = [head.label for head in of_all]
    chosen = every[focus.layer, focus.head]

    def grid(origin: str) -> bytes:
        return paper_grid(heads, names, labels, origin, cells, most, info.bidirectional)

    def pattern(origin: str) -> bytes:
        title = f"Pattern of {focus.label}"
        return paper_pattern(
            chosen, labels, title, origin, weighting=cells, bidirectional=info.bidirectional
        )

    offer(
        Exhibit(
            "pattern",
            lambda: pattern_table(heads, names, labels, cells.unit),
            page=lambda name: grid_body(
                heads, of_all, labels, theme, name, focus, cells, most, info.bidirectional
            ),
            picture=grid,
        )
    )
    offer(
        Exhibit(
            f"{focus.label} pattern",
            lambda: pattern_table(chosen[None], [focus.label], labels, cells.unit),
            page=lambda name: inline_svg(pattern("")),
            paper=pattern,
            picture=pattern,
            title=f"Pattern of {focus.label}",
            subject=one,
        )
    )


def draw_grid(
    selection: Selection,
    sequence: int,
    labels: Sequence[str],
    scores: Mapping[str, np.ndarray],
    marked: Collection[str],
) -> Selection:
    """All heads of one sequence; returns the selection with the view the visitor has made.

    Heads are sorted by `scores`, and those above the threshold in one that is `marked` carry its
    name.
    """
    info = selection.info
    shown = weighted(selection, sequence, tuple(range(info.n_layers)))
    locked = [Head.parse(label) for label in selection["locked"].split(",") if label]
    at = [int(position) for position in selection["at"].split(",") if position]
    absent = [h.label for h in locked if h.layer >= info.n_layers or h.head >= info.n_heads]
    if absent:
        st.text(f"⚠ {info.name} has no {', '.join(absent)}; the other heads are locked.")
    if beyond := [str(position) for position in at if position >= len(labels)]:
        st.text(
            f"⚠ There is no position {', '.join(beyond)} in this text of {len(labels)} tokens "
            f"(they run from 0 to {len(labels) - 1})."
        )
    with figure_frame(
        shown.about(Subject(selection, sequence=sequence)),
        "Every head",
        "One small picture for each head: rows are destinations, columns sources. "
        f"{shown.reading}".strip(),
        shown.quantity,
        acts="Point at a small picture to look, click to lock it; point at a token of the text to "
        "see what it attends to, click to lock it. Arrow keys move between heads.",
    ):
        view = head_grid(
            shown.values,
            [display_token(label) for label in labels],
            key="head-grid",
            height=HEIGHT if own_room().stage else 560,
            scores=scores,
            marks={name: selection["threshold"] for name in marked if name in scores},
            view=HeadGridState(
                focus=Head(selection["layer"], selection["head"]),
                locked=tuple(locked),
                tokens=tuple(at),
                direction=selection["direction"],
            ),
            weighting=shown.weighting,
            top=shown.top,
            bidirectional=info.bidirectional,
        )
        assert view.focus
        one = Subject(selection, head=view.focus, sequence=sequence)
        _offer_grid(shown, labels, shown.about(one))
    return move_view(
        selection,
        layer=view.focus.layer,
        head=view.focus.head,
        locked=",".join(head.label for head in view.locked),
        at=",".join(map(str, view.tokens)),
        direction=view.direction,
    )


def draw_who_attends(selection: Selection, sequence: int, labels: Sequence[str]) -> None:
    """Every head by what it gives from one token to another."""
    info = selection.info
    layers = tuple(range(info.n_layers))
    every = calls.patterns(selection, sequence, layers).values[0]
    shown = weighted(selection, sequence, layers)
    focus = every[selection["layer"], selection["head"]]
    dest, src = cell_of(selection, focus, _locked(selection, len(labels)))
    names = [f"{i} {display_token(label)}" for i, label in enumerate(labels)]
    with figure_frame(
        shown.about(Subject(selection, sequence=sequence, dest=dest, src=src)),
        "Which heads attend from this token to that one?",
        f"Attention from {names[dest]} to {names[src]}, of every head; spread evenly it would be "
        f"{1 / sources(selection, dest, len(labels)):.3f}."
        + " The largest weights come first."
        * (not shown.weighting.plain),
        PATTERN,
        *([] if shown.weighting.plain else [shown.quantity]),
    ):
        bar = st.container(horizontal=True)
        for title, key, at, count in (
            ("From (destination)", "dest", dest, len(labels)),
            ("To (source)", "src", src, sources(selection, dest, len(labels))),
        ):
            bar.selectbox(
                title,
                range(count),
                format_func=names.__getitem__,
                key=widget_key(selection, key, shown=at),
                width=220,
            )
        values, weights = every[:, :, dest, src], shown.values[:, :, dest, src]
        heads = ranked(np.abs(weights))
        columns = {"Attention": values}
        if not shown.weighting.plain:
            columns[shown.quantity.name] = weights
        rows = [
            {
                "Head": head.label,
                **{name: float(each[head.layer, head.head]) for name, each in columns.items()},
            }
            for head in heads
        ]
        draw_listed_heads(rows, heads, "who attends", selection, bars="Attention")


def _locked(selection: Selection, count: int) -> int | None:
    """The token that is locked first, as a destination; None where none is."""
    if selection["direction"] == "src" or not selection["at"]:
        return None
    first = int(selection["at"].split(",")[0])
    return first if first < count else None
