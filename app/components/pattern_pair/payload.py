"""What the browser gets of a pair of patterns; knows nothing of Streamlit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from app.components.head_grid.packing import assemble, exact_cells, extent
from app.text import display_token
from app.theme import Palette


@dataclass(frozen=True, eq=False)
class Pane:
    """One side: a causal pattern, the tokens of its rows, and what is said above it.

    Texts may hold anything: they are only ever drawn as text.
    """

    title: str
    note: str
    pattern: Float[np.ndarray, "dest src"]
    labels: Sequence[str]

    def __post_init__(self) -> None:
        n = len(self.labels)
        if self.pattern.shape != (n, n) or n == 0:
            raise ValueError(f"a pattern of shape {self.pattern.shape} for {n} labels")


def pair_payload(first: Pane, second: Pane, palette: Palette) -> bytes:
    """What the browser gets, as in `app.components.head_grid.packing`: cells of A, then of B."""
    cells = b""
    panes = []
    for pane in (first, second):
        # The same for both sides, so that shapes that agree still agree after a cut.
        shown = extent(1, len(pane.labels))
        cells += exact_cells(pane.pattern[: shown.tokens, : shown.tokens])
        panes.append(
            {
                "title": pane.title,
                "note": " ".join(filter(None, (pane.note, shown.note))),
                "labels": [display_token(label) for label in pane.labels[: shown.tokens]],
            }
        )
    header = {
        "panes": panes,
        "sequential": palette.sequential,
        "diverging": palette.diverging,
        "accent": palette.accent,
    }
    return assemble(header, cells)
