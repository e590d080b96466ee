"""Scores of an encoder's heads, whose tokens look both ways."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float

from analysis.definitions import SCORES

# What is said of every head, in this order.
ENCODER_SCORES = ("previous", "next", "current", "copies", "separator", "entropy")


@dataclass(frozen=True, eq=False)
class EncoderScores:
    """Scores of every head by name, and what attention spread evenly over all tokens has."""

    values: Mapping[str, Float[np.ndarray, "layer head"]]
    chance: Mapping[str, float]

    def __post_init__(self) -> None:
        for values in self.values.values():
            values.setflags(write=False)
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))
        object.__setattr__(self, "chance", MappingProxyType(dict(self.chance)))


def encoder_scores(
    patterns: Float[np.ndarray, "layer head token token"],
    ids: Sequence[int],
    separators: Sequence[int] = (),
) -> EncoderScores:
    """What the heads of an encoder attend to in one sequence.

    `previous`, `current` and `entropy` are defined as for decoders
    (`analysis.definitions.scores`); `next`, `copies` and `separator` in
    `analysis.definitions.encoders`. NaN where the sequence has no such token. Chance is that of
    attention spread evenly over all tokens, before and after.

    Args:
        patterns: Attention, rows over src.
        ids: The tokens.
        separators: Ids of the tokens that frame a text.

    Raises:
        ValueError: Another number of ids than of tokens.
    """
    n = patterns.shape[-1]
    if len(ids) != n:
        raise ValueError(f"{len(ids)} ids for patterns of {n} tokens")
    targets = _targets(np.asarray(ids), np.isin(ids, list(separators)))
    uniform = np.full((1, 1, n, n), 1 / n, np.float32)
    return EncoderScores(
        {name: _score(name, patterns, targets) for name in ENCODER_SCORES},
        {name: float(_score(name, uniform, targets)[0, 0]) for name in ENCODER_SCORES},
    )


def _targets(
    ids: np.ndarray, frames: Bool[np.ndarray, " token"]
) -> dict[str, Bool[np.ndarray, "token token"]]:
    n = len(ids)
    same = (ids[:, None] == ids) & ~np.eye(n, dtype=bool) & ~frames[:, None]
    return {
        "previous": np.eye(n, k=-1, dtype=bool),
        "next": np.eye(n, k=1, dtype=bool),
        "current": np.eye(n, dtype=bool),
        "copies": same,
        "separator": ~frames[:, None] & frames,
    }


def _score(
    name: str,
    patterns: Float[np.ndarray, "layer head token token"],
    targets: Mapping[str, Bool[np.ndarray, "token token"]],
) -> Float[np.ndarray, "layer head"]:
    if (measure := SCORES[name].measure if name in SCORES else None) is not None:
        return measure(patterns[None])[0]
    counted = int(targets[name].any(-1).sum())
    total = (patterns * targets[name]).sum((-1, -2))
    return np.asarray(total / counted if counted else total * np.nan, dtype=np.float32)
