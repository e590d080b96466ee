"""Heads that look at the answer where the model gives it."""

import numpy as np
from jaxtyping import Float

from analysis.definitions.role import Example, Role, Rows


def _found(
    rows: Rows, values: Float[np.ndarray, "batch layer head dest src"]
) -> Float[np.ndarray, "batch layer head"]:
    """1 in a row whose largest attention from the end is on the answer; NaN where it is no use."""
    found = np.full(values.shape[:3], np.nan, np.float32)
    for row, (end, place) in enumerate(zip(rows.at("end"), rows.at("answer"), strict=True)):
        if place >= 0 and (rows.right is None or rows.right[row]):
            found[row] = values[row, ..., end, : end + 1].argmax(-1) == place
    return found


ROLE = Role(
    "Retrieval",
    "Looks more at the answer than at anything else where the model says it.",
    "share, of the rows in which the model's first guess is the answer, of those where the argmax "
    "over src of pattern[end, src] is the place of the answer",
    "0 to 1; the level of chance is that of the same patterns with sources shuffled",
    "Wu et al. 2024, for one token",
    key="retrieval",
    family="Answer",
    measure=_found,
    asks="an answer that stands in the prompt and that the model gives",
    example=Example(
        ("a", "b", "c", "d"),
        ((1.0,), (0.3, 0.7), (0.2, 0.6, 0.2), (0.4, 0.3, 0.2, 0.1)),
        1.0,
        places={"end": 3, "answer": 0},
    ),
)
