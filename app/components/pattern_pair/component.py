"""The pair of patterns as a Streamlit component: the browser does the rest by itself.

Plotly is not used here because its figures cannot mark a cell in another figure without a round
trip to the server.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import streamlit as st
from jaxtyping import Float
from streamlit.components.v2.types import ComponentRenderer

from analysis.definitions import ATTENTION, Weighting
from app.components.head_grid.packing import assemble, exact_cells, extent
from app.components.scripts import joined
from app.text import display_token
from app.theme import Palette

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, eq=False)
class Pane:
    """One side: a causal pattern, the tokens of its rows, and what is said above it.

    `weighting` says what its cells are, which is the same on both sides. Texts may hold anything:
    they are only ever drawn as text.
    """

    title: str
    note: str
    pattern: Float[np.ndarray, "dest src"]
    labels: Sequence[str]
    weighting: Weighting = ATTENTION

    def __post_init__(self) -> None:
        n = len(self.labels)
        if self.pattern.shape != (n, n) or n == 0:
            raise ValueError(f"a pattern of shape {self.pattern.shape} for {n} labels")


@cache
def _component() -> ComponentRenderer:
    return st.components.v2.component(
        "pattern_pair",
        js=joined(_FOLDER / "js" / "page" / "pattern_pair.js"),
        css=(_FOLDER / "pattern_pair.css").read_text(encoding="utf-8"),
    )


def pattern_pair(first: Pane, second: Pane, palette: Palette, *, key: str) -> None:
    """Both patterns, and B - A where they have as many tokens; one pointer marks all of them.

    A cell that is pointed at, or reached with the arrow keys, is marked in every pane at once,
    with both tokens, both positions, both values and their difference below; no message goes to
    the server.

    Args:
        first: Pane A.
        second: Pane B.
        palette: Colours of the theme.
        key: Unique on the page.
    """
    _component()(key=key, data=pair_payload(first, second, palette))


def pair_payload(first: Pane, second: Pane, palette: Palette) -> bytes:
    """What the browser gets, as in `app.components.head_grid.packing`: cells of A, then of B."""
    cells, top = b"", 1e-6
    panes = []
    weighting = first.weighting
    for pane in (first, second):
        # The same for both sides, so that shapes that agree still agree after a cut.
        shown = extent(1, len(pane.labels))
        drawn = pane.pattern[: shown.tokens, : shown.tokens]
        cells += exact_cells(drawn, weighted=not pane.weighting.plain)
        top = max(top, float(np.abs(drawn).max()))
        panes.append(
            {
                "title": pane.title,
                "note": " ".join(filter(None, (pane.note, shown.note))),
                "labels": [display_token(label) for label in pane.labels[: shown.tokens]],
            }
        )
    header = {
        "panes": panes,
        "values": {
            "unit": weighting.unit,
            "top": 1 if weighting.plain else top,
            "signed": weighting.signed,
        },
        "sequential": palette.sequential,
        "diverging": palette.diverging,
        "accent": palette.accent,
    }
    return assemble(header, cells)
