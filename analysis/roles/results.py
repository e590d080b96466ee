"""What is known of roles on a set of prompts. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from analysis.arrays import freeze
from analysis.definitions.roles import ROLES
from analysis.head import Head


@dataclass(frozen=True, eq=False)
class RoleScreen:
    """One role's screen of every head; NaN everywhere where the set cannot show it (`lacks`).

    `values` are `attention` times `weights`, of those that the role has. `low` and `high` are the
    bootstrap interval of the mean over rows, NaN for screens of weights alone.
    """

    values: Float[np.ndarray, "layer head"]
    chance: float
    low: Float[np.ndarray, "layer head"]
    high: Float[np.ndarray, "layer head"]
    attention: Float[np.ndarray, "layer head"] | None
    weights: Float[np.ndarray, "layer head"] | None
    rows: int  # of the set, or of random tokens, that the mean is over; 0: weights alone
    lacks: str = ""

    def __post_init__(self) -> None:
        freeze(self, "values", "low", "high")
        for each in (self.attention, self.weights):
            if each is not None:
                each.setflags(write=False)


@dataclass(frozen=True, eq=False)
class RoleScores:
    """Screens by role: `scores.values["name-mover"]` is [layer, head]."""

    screens: Mapping[str, RoleScreen]
    n_rows: int

    @property
    def values(self) -> dict[str, Float[np.ndarray, "layer head"]]:
        """The screen of every head, by role."""
        return {key: screen.values for key, screen in self.screens.items()}

    @property
    def chance(self) -> dict[str, float]:
        """The level of chance, by role."""
        return {key: screen.chance for key, screen in self.screens.items()}

    @property
    def spread(self) -> dict[str, Float[np.ndarray, "side layer head"]]:
        """Both ends of the bootstrap interval, by role."""
        return {key: np.stack([s.low, s.high]) for key, s in self.screens.items()}

    def screened(self, role: str, n: int = 2) -> tuple[Head, ...]:
        """The heads that look most like a role, at most n, best first; none below its threshold."""
        values = self.screens[role].values
        order = np.argsort(-np.nan_to_num(values, nan=-np.inf), axis=None, kind="stable")[:n]
        found = [Head(*divmod(int(index), values.shape[1])) for index in order]
        least = ROLES[role].least
        return tuple(head for head in found if values[head.layer, head.head] >= least)
