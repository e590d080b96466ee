"""Which cell of a pattern a page asks about: the link's, or the strongest one."""

import numpy as np
from jaxtyping import Float

from app.links.selection import Selection
from app.pickers.sequence import position_of


def cell_of(
    selection: Selection, pattern: Float[np.ndarray, "dest src"], otherwise: int | None = None
) -> tuple[int, int]:
    """Destination and source: the link's, or where a head attends most.

    Attention to the first token does not count for that: most heads rest there. `otherwise` is the
    destination where the link names none.
    """
    last = len(pattern) - 1
    strength = np.array(pattern)
    strength[1:, 0] = 0
    if otherwise is None:
        otherwise = int(strength[1:].max(-1).argmax()) + 1 if last else 0
    dest = position_of(selection, "dest", last + 1, otherwise)
    return dest, position_of(
        selection, "src", sources(selection, dest, last + 1), int(strength[dest].argmax())
    )


def sources(selection: Selection, dest: int, count: int) -> int:
    """How many of `count` tokens a destination can attend to.

    A source stands at its destination at the latest, but in an encoder.
    """
    return count if selection.info.bidirectional else dest + 1
