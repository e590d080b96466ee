"""Results that pages can show before torch is imported: from a cache, or as they were shipped."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from analysis.arrays import freeze
from analysis.definitions import SCORE_NAMES, TARGETED, ScoreName
from analysis.head import Head

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Tokens:
    r"""Token ids of one model, with the text of each.

    `labels[b][p]` is what id `ids[b, p]` decodes to; a token that is only part of a character
    reads as its bytes, such as `\\xe2\\x80`. `half_length` is S for `[BOS, r_1..r_S, r_1..r_S]`
    and None for a prompt. `has_bos` says whether position 0 is the BOS token. `pairs_from` is S
    where S random tokens are followed by pairs of neighbours among them, else None.
    """

    ids: Int[np.ndarray, "batch pos"]
    labels: tuple[tuple[str, ...], ...]
    half_length: int | None
    has_bos: bool
    pairs_from: int | None = None

    def __post_init__(self) -> None:
        n_rows, n_pos = self.ids.shape
        if [len(row) for row in self.labels] != [n_pos] * n_rows:
            raise ValueError(f"{n_rows} x {n_pos} ids, but the rows of labels differ from that")
        if self.half_length is not None:
            first = self.ids[:, 1 : self.half_length + 1]
            second = self.ids[:, self.half_length + 1 :]
            if n_pos != 2 * self.half_length + 1 or not np.array_equal(first, second):
                raise ValueError(f"tokens are not BOS and the same {self.half_length} ids twice")
        if self.pairs_from is not None and n_pos != 2 * self.pairs_from + 1:
            raise ValueError(f"{n_pos} tokens are not BOS, {self.pairs_from} ids and their pairs")
        freeze(self, "ids")

    @property
    def batch(self) -> int:
        """Number of sequences."""
        return self.ids.shape[0]

    @property
    def length(self) -> int:
        """Number of positions, BOS included."""
        return self.ids.shape[1]

    @property
    def tensor(self) -> "torch.Tensor":
        """The ids as a torch tensor of its own memory."""
        import torch  # not before it is needed

        return torch.from_numpy(self.ids.copy())

    @property
    def scored(self) -> slice:
        """The next-token predictions that losses are averaged over.

        Entry i is the prediction made at position i. For repeated tokens only entries
        `S+1 .. 2S-1` can be known from the first half (the first repeated token cannot), so a
        perfect induction circuit scores 0 there. Of pairs it is the second token of each, since
        no pair continues the one before it. For a prompt it is every entry.
        """
        if self.pairs_from is not None:
            return slice(self.pairs_from + 1, 2 * self.pairs_from, 2)
        if self.half_length is None:
            return slice(0, self.length - 1)
        return slice(self.half_length + 1, 2 * self.half_length)


@dataclass(frozen=True, eq=False)
class Patterns:
    """Attention patterns of `layers`; each row over src is a probability distribution."""

    values: Float[np.ndarray, "batch layer head dest src"]
    layers: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.values.shape[1] != len(self.layers):
            raise ValueError(f"{self.values.shape[1]} layers of values for {len(self.layers)}")
        worst = float(np.abs(self.values.sum(-1) - 1).max(initial=0))
        if not worst < 1e-4:
            raise ValueError(f"pattern rows sum to 1 within {worst:.2g}, not within 1e-4")
        freeze(self, "values")


@dataclass(frozen=True, eq=False)
class HeadScores:
    """Every score of every head on the same tokens.

    NaN where the tokens cannot show it: `duplicate` and `induction` need a token that occurs
    twice. `spread` is the sample standard deviation over sequences (NaN for a single one) and
    `chance` the score of uniform causal attention. `course_stripe` is the course's own average of
    the induction diagonal, for comparison with published figures (None unless tokens are
    repeated). `layers` says which layer each row of the arrays is.
    """

    current: Float[np.ndarray, "layer head"]
    previous: Float[np.ndarray, "layer head"]
    first: Float[np.ndarray, "layer head"]
    duplicate: Float[np.ndarray, "layer head"]
    induction: Float[np.ndarray, "layer head"]
    entropy: Float[np.ndarray, "layer head"]
    spread: Mapping[ScoreName, Float[np.ndarray, "layer head"]]
    chance: Mapping[ScoreName, float]
    course_stripe: Float[np.ndarray, "layer head"] | None
    layers: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in TARGETED:
            values = getattr(self, name)
            if not np.all(np.isnan(values) | ((values > -1e-4) & (values < 1 + 1e-4))):
                raise ValueError(f"a {name} score lies outside 0..1")
        if self.current.shape[0] != len(self.layers):
            raise ValueError(
                f"{self.current.shape[0]} rows of scores for {len(self.layers)} layers"
            )
        freeze(self, *SCORE_NAMES)
        for array in (*self.spread.values(), self.course_stripe):
            if array is not None:
                array.setflags(write=False)

    def __getitem__(self, name: ScoreName) -> Float[np.ndarray, "layer head"]:
        """The score called `name`."""
        values: np.ndarray = getattr(self, name)
        return values

    def above(self, name: ScoreName, threshold: float) -> list[tuple[Head, float]]:
        """Heads that score more than `threshold`, highest first."""
        values = self[name]
        found = [
            (Head(self.layers[row], int(head)), float(values[row, head]))
            for row, head in np.argwhere(values > threshold)
        ]
        return sorted(found, key=lambda pair: -pair[1])
