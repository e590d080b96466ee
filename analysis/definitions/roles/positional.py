"""Heads whose attention goes by distance, whatever the tokens are."""

import numpy as np
from jaxtyping import Float

from analysis.definitions.role import Example, Role, Rows


def _explained(
    rows: Rows, values: Float[np.ndarray, "batch layer head dest src"]
) -> Float[np.ndarray, "batch layer head"]:
    """Share of the variance over cells that the mean at each distance explains."""
    length = values.shape[-1]
    dest, src = np.tril_indices(length)
    kept = src > 0  # rest on the first token is another role
    dest, src = dest[kept], src[kept]
    cells = values[..., dest, src].astype(np.float64)
    distance = dest - src
    each = np.eye(length)[distance]  # [cell, distance]
    means = cells @ each / np.maximum(each.sum(0), 1)
    about = cells - cells.mean(-1, keepdims=True)
    left = cells - means[..., distance]
    total = (about**2).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 1e-12, 1 - (left**2).sum(-1) / total, 0).astype(np.float32)


ROLE = Role(
    "Positional",
    "Its attention is told by distance alone.",
    "1 - sum of (pattern[dest, src] - m[dest - src])^2 / sum of (pattern[dest, src] - m)^2, over "
    "cells with src >= 1 of each row; m[d] the mean at distance d, m that of all",
    "0 to 1; the level of chance is that of the same patterns with sources shuffled",
    "Headscope; a share of variance explained",
    key="positional",
    family="Position",
    measure=_explained,
    least=0.6,
    # Cells with src >= 1: .5, .7 and .1 at distances 0, 1 and 0; their mean is 13/30.
    example=Example(
        ("a", "b", "c"),
        ((1.0,), (0.5, 0.5), (0.2, 0.7, 0.1)),
        1 - 2 * 0.2**2 / ((0.5 - 13 / 30) ** 2 + (0.7 - 13 / 30) ** 2 + (0.1 - 13 / 30) ** 2),
        places={},
    ),
)
