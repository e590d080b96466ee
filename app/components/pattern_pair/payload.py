"""What the browser gets of a pair of patterns; knows nothing of Streamlit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from analysis.definitions import ATTENTION, Weighting
from app.components.head_grid.packing import assemble, exact_cells, extent
from app.text import display_token
from app.theme import Palette


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


def pair_payload(
    first: Pane, second: Pane, palette: Palette, *, on_dark: Palette | None = None
) -> bytes:
    """What the browser gets, as in `app.components.head_grid.packing`: cells of A, then of B.

    The colours are those of `palette`; `on_dark` has those for a dark ground, where Python does not
    know which ground it is.
    """
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
        "colours": _colours(palette),
        "on_dark": on_dark and _colours(on_dark),
    }
    return assemble(header, cells)


def _colours(palette: Palette) -> dict[str, str | tuple[str, ...]]:
    return {
        "sequential": palette.sequential,
        "diverging": palette.diverging,
        "accent": palette.accent,
    }
