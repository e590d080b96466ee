"""Results that pages can show before torch is imported: from a cache, or as they were shipped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from analysis.arrays import freeze
from analysis.definitions import SCORE_NAMES, TARGETED, ScoreName
from analysis.head import Head


@dataclass(frozen=True, eq=False)
class Patterns:
    """Attention patterns of `layers`; each row over src sums to 1.

    To less where part of the attention goes to a place outside the text (`sums_to_1`).
    """

    values: Float[np.ndarray, "batch layer head dest src"]
    layers: tuple[int, ...]
    sums_to_1: bool = True

    def __post_init__(self) -> None:
        if self.values.shape[1] != len(self.layers):
            raise ValueError(f"{self.values.shape[1]} layers of values for {len(self.layers)}")
        beyond = self.values.sum(-1) - 1
        worst = float((np.abs(beyond) if self.sums_to_1 else beyond).max(initial=0))
        if not worst < 1e-4:
            raise ValueError(f"pattern rows sum to 1 within {worst:.2g}, not within 1e-4")
        freeze(self, "values")


@dataclass(frozen=True, eq=False)
class HeadScores:
    """Every score of every head on the same tokens: `scores.induction`, or `scores["induction"]`.

    `values` holds those that were measured. A score that is registered and not among them, as it
    may be where a result is older than the score, reads NaN everywhere. NaN also where the tokens
    cannot show it: `duplicate` and `induction` need a token that occurs twice. `spread` is the
    sample standard deviation over sequences (NaN for a single one) and `chance` the score of
    uniform causal attention. `course_stripe` is the course's own average of the induction
    diagonal, for comparison with published figures (None unless tokens are repeated). `layers`
    says which layer each row of the arrays is.
    """

    values: Mapping[ScoreName, Float[np.ndarray, "layer head"]]
    spread: Mapping[ScoreName, Float[np.ndarray, "layer head"]]
    chance: Mapping[ScoreName, float]
    course_stripe: Float[np.ndarray, "layer head"] | None
    layers: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("no scores at all")
        for name, values in self.values.items():
            if name in TARGETED and not np.all(
                np.isnan(values) | ((values > -1e-4) & (values < 1 + 1e-4))
            ):
                raise ValueError(f"a {name} score lies outside 0..1")
            if len(values) != len(self.layers):
                raise ValueError(f"{len(values)} rows of scores for {len(self.layers)} layers")
        unknown = np.full_like(next(iter(self.values.values())), np.nan)
        spread = {name: self.spread.get(name, unknown) for name in SCORE_NAMES}
        chance = {name: self.chance.get(name, float("nan")) for name in SCORE_NAMES}
        for field, filled in (("values", dict(self.values)), ("spread", spread)):
            for array in filled.values():
                array.setflags(write=False)
            object.__setattr__(self, field, MappingProxyType(filled))
        object.__setattr__(self, "chance", MappingProxyType(chance))
        if self.course_stripe is not None:
            freeze(self, "course_stripe")

    def __getitem__(self, name: ScoreName) -> Float[np.ndarray, "layer head"]:
        """The score called `name`; NaN where it is registered and was not measured."""
        if name in self.values:
            return self.values[name]
        if name not in SCORE_NAMES:
            raise KeyError(name)
        unknown = np.full_like(next(iter(self.values.values())), np.nan)
        unknown.setflags(write=False)
        return unknown

    def __getattr__(self, name: str) -> Float[np.ndarray, "layer head"]:
        """The score called `name`, of those that are registered."""
        if name not in SCORE_NAMES:
            raise AttributeError(f"no score is called {name}; there are {', '.join(SCORE_NAMES)}")
        return self[name]

    @property
    def not_measured(self) -> tuple[ScoreName, ...]:
        """The scores that this result is older than."""
        return tuple(name for name in SCORE_NAMES if name not in self.values)

    def above(self, name: ScoreName, threshold: float) -> list[tuple[Head, float]]:
        """Heads that score more than `threshold`, highest first."""
        return heads_above(self[name], threshold, self.layers)


def heads_above(
    values: Float[np.ndarray, "layer head"], threshold: float, layers: Sequence[int] | None = None
) -> list[tuple[Head, float]]:
    """Heads with more than `threshold`, highest first; `layers` are those of the rows."""
    found = [
        (Head(int(row) if layers is None else layers[row], int(head)), float(values[row, head]))
        for row, head in np.argwhere(values > threshold)
    ]
    return sorted(found, key=lambda pair: -pair[1])
