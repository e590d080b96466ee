"""The maps of the mosaic page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import streamlit as st

from analysis.definitions import SCORES, TARGETED, ScoreName
from analysis.head import Head
from analysis.limits import mosaic_size
from analysis.models.info import ModelInfo
from analysis.runs.results import HeadScores
from app.compute import calls
from app.figures.mosaic import model_map
from app.frame.clicks import draw_heads_to_open
from app.frame.layout import beside
from app.links.parameters import SORTS
from app.links.parsers import ALL_FAMILIES
from app.links.selection import Selection
from app.links.session import widget_key
from app.links.subject import Subject
from app.pickers.score import not_measured
from app.shell.theme import palette
from app.text import markdown_text

# Pixels that a map takes at least; what does not fit in line goes below.
_WIDTH = 340
_SORT_NAMES = dict(zip(SORTS, ("As listed", "Name", "Size", "Best score"), strict=True))


def choose_models(selection: Selection, infos: Sequence[ModelInfo]) -> list[ModelInfo]:
    """The models of the chosen family; the pickers of family and order, where there is a choice."""
    chosen = selection["family"]
    families = {info.family for info in infos} | {chosen}
    families.discard(ALL_FAMILIES)
    if len(families) > 1:
        st.selectbox(
            "Family",
            [ALL_FAMILIES, *sorted(families)],
            format_func=lambda family: "All" if family == ALL_FAMILIES else family,
            key=widget_key(selection, "family"),
            width=180,
        )
    if len(infos) > 1:
        st.selectbox(
            "Sort by",
            SORTS,
            format_func=_SORT_NAMES.__getitem__,
            key=widget_key(selection, "sort"),
            width=180,
        )
    return [info for info in infos if chosen in (ALL_FAMILIES, info.family)]


def in_order(
    infos: Sequence[ModelInfo],
    known: Mapping[str, HeadScores | str | None],
    sort: str,
    score: ScoreName,
) -> list[ModelInfo]:
    """Models as listed, by name, from the smallest, or from the highest score of a head.

    Those whose scores are not known come last in the order of scores.
    """

    def best(info: ModelInfo) -> float:
        part = known[info.name]
        highest = float(part[score].max()) if isinstance(part, HeadScores) else np.nan
        return -np.inf if np.isnan(highest) else highest

    if sort == "name":
        return sorted(infos, key=lambda info: info.title.casefold())
    if sort == "size":
        return sorted(infos, key=lambda info: info.n_params)
    return sorted(infos, key=best, reverse=True) if sort == "best" else list(infos)


def draw_models(selection: Selection, infos: Sequence[ModelInfo], waiting: bool) -> None:
    """One small map for each model; how far the work is where some are not known yet.

    `waiting`: this runs again every second until all are known.
    """
    known = calls.mosaic(infos)
    score = selection["score"]
    found = {name: part for name, part in known.items() if isinstance(part, HeadScores)}
    done = sum(part is not None for part in known.values())
    if done < len(known):
        st.progress(done / len(known), f"{done} of {len(known)} models")
    elif waiting:
        st.rerun()
    top = 1.0
    if score not in TARGETED:
        best = [float(part[score].max()) for part in found.values()]
        top = max(filter(np.isfinite, best), default=1.0)
    cells = beside("mosaic", *[_WIDTH] * len(infos))
    ordered = in_order(infos, known, selection["sort"], score)
    for cell, info in zip(cells, ordered, strict=True):
        with cell:
            st.markdown(f"**{markdown_text(info.title)}**")
            part = known[info.name]
            if isinstance(part, HeadScores):
                _draw_model(selection, info, part, top)
            else:
                st.text(f"⚠ {part}" if part else "Not computed yet.")


def of_model(selection: Selection, info: ModelInfo) -> Subject:
    """What the map of one model is about: its own tokens, whatever the sidebar says."""
    half, batch = mosaic_size(info.n_layers, info.n_heads, info.n_ctx)
    return Subject(
        selection.with_values(model=info.name, input="repeated", length=half, batch=batch, seed=0)
    )


def _draw_model(selection: Selection, info: ModelInfo, found: HeadScores, top: float) -> None:
    score = selection["score"]
    values = found[score]
    if np.isnan(values).any():
        st.text(not_measured(score))
        return
    draw_heads_to_open(
        model_map(values, SCORES[score].name, top, palette()),
        f"mosaic-{info.name}",
        selection.with_values(model=info.name, input="repeated"),
        of_model(selection, info),
    )
    best = Head(*map(int, np.unravel_index(values.argmax(), values.shape)))
    half, batch = mosaic_size(info.n_layers, info.n_heads, info.n_ctx)
    st.caption(
        f"Highest: {best.label} {values.max():.2f}. Chance {found.chance[score]:.3f}. S = {half}, "
        f"{batch} sequences."
    )
