"""The head grid as a Streamlit component: sends patterns, gets back what is looked at."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import streamlit as st
from jaxtyping import Float
from streamlit.components.v2.types import ComponentRenderer

from analysis.definitions import ATTENTION, Weighting
from analysis.head import Head
from app.components.exchange import exchange, reported_view
from app.components.head_grid.packing import extent
from app.components.head_grid.payload import grid_payload
from app.components.head_grid.view import HeadGridState, Player
from app.components.scripts import joined

_FOLDER = Path(__file__).parent


@cache
def _component() -> ComponentRenderer:
    return st.components.v2.component(
        "head_grid",
        js=joined(_FOLDER / "js" / "page" / "head_grid.js"),
        css=(_FOLDER / "head_grid.css").read_text(encoding="utf-8"),
    )


def head_grid(
    patterns: Float[np.ndarray, "layer head dest src"],
    labels: Sequence[str],
    *,
    key: str,
    layers: Sequence[int] | None = None,
    heads: Sequence[Head] | None = None,
    scores: Mapping[str, Float[np.ndarray, "layer head"]] | None = None,
    marks: Mapping[str, float] | None = None,
    view: HeadGridState | None = None,
    height: int = 560,
    report: bool = True,
    player: Player = "none",
    weighting: Weighting = ATTENTION,
    top: float = 1,
    bidirectional: bool = False,
) -> HeadGridState:
    """All heads of one sequence as small pictures, one of them large, and the text below.

    Looking around costs no round trip: pointing, focusing, locking, sorting, colours and
    direction all happen in the browser. A quarter of a second after the focus, the locks or
    the direction change, the script runs again and this returns the new view; put the call
    into an `st.fragment` when the rest of the page does not depend on it.

    Args:
        patterns: Attention of one sequence, rows over src; causal, but for an encoder. Or weighted
            attention.
        labels: One text per token as it should be read, with visible whitespace. May hold
            anything: it is only ever drawn as text.
        key: Unique on the page; keeps the view when the patterns change.
        layers: Which layer each row of `patterns` is; 0, 1, ... by default.
        heads: Heads to show, in this order; all of `patterns` by default.
        scores: Values per head to sort by and to read on hover; NaN where unknown.
        marks: Score name to threshold: heads above it carry a badge.
        view: What to open with. A later run moves the browser when it asks for something
            that is neither what it asked before nor what this function returned.
        height: Room for the grid and the large picture, in pixels.
        report: Whether the browser reports the view at all.
        player: "ready": the text can be played token by token; "playing": that begins by itself,
            unless the browser asks for less motion. With a player there are no settings.

        weighting: What the cells are, if they are not attention.
        top: The size that full colour stands for.
        bidirectional: Whether tokens attend to later ones too, as in an encoder.

    Returns:
        The view, checked and complete: `focus` is one of the heads.

    Raises:
        ValueError: Nothing to show, shapes that do not fit each other, or values that are not
            a causal attention pattern, or no such pattern weighted.
    """
    layers = tuple(range(len(patterns))) if layers is None else tuple(layers)
    _check_shapes(patterns, labels, layers, scores or {}, marks or {})
    everything = [Head(layer, head) for layer in layers for head in range(patterns.shape[1])]
    wanted = everything if heads is None else list(dict.fromkeys(heads))
    if missing := set(wanted) - set(everything):
        raise ValueError(f"no pattern of {min(missing).label} was given")
    if not wanted or not labels:
        raise ValueError(f"nothing to show: {len(wanted)} heads, {len(labels)} tokens")

    shown = extent(len(wanted), len(labels), bidirectional)
    wanted = wanted[: shown.heads]
    row = {layer: index for index, layer in enumerate(layers)}
    rows = [row[head.layer] for head in wanted]
    columns = [head.head for head in wanted]
    asked = (view or HeadGridState()).within(wanted, shown.tokens)
    reported = reported_view(key, HeadGridState.from_browser)
    now = exchange(key, asked, reported and reported.within(wanted, shown.tokens))
    payload = grid_payload(
        patterns[rows, columns, : shown.tokens, : shown.tokens],
        labels[: shown.tokens],
        wanted,
        key=key,
        scores={name: values[rows, columns] for name, values in (scores or {}).items()},
        marks=marks or {},
        note=shown.note,
        height=height,
        report=report,
        player=player,
        weighting=weighting,
        top=top,
        bidirectional=bidirectional,
        command={"number": now.number, **now.command.to_json()},
    )
    _component()(key=key, data=payload, on_view_change=_ignore)
    return now.returned


def _check_shapes(
    patterns: np.ndarray,
    labels: Sequence[str],
    layers: tuple[int, ...],
    scores: Mapping[str, np.ndarray],
    marks: Mapping[str, float],
) -> None:
    if patterns.ndim != 4 or patterns.shape[2:] != (len(labels), len(labels)):
        raise ValueError(
            f"patterns of shape {patterns.shape} for {len(labels)} labels; "
            "expected [layer, head, dest, src] of one sequence"
        )
    if len(layers) != len(patterns):
        raise ValueError(f"{len(layers)} layer numbers for {len(patterns)} layers of patterns")
    for name, values in scores.items():
        if values.shape != patterns.shape[:2]:
            raise ValueError(f"{name}: {values.shape} scores for {patterns.shape[:2]} heads")
    if unknown := set(marks) - set(scores):
        raise ValueError(f"marks without scores: {', '.join(sorted(unknown))}")


def _ignore() -> None:
    """Streamlit lists a component's values by their callbacks; the result is read instead."""
