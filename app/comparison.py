"""What a comparison compares: its two sides, and the models there are for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.catalog import ModelInfo, list_models
from analysis.heads import Head
from app import backend
from app.selection import Selection

if TYPE_CHECKING:
    from analysis.patterns import Patterns
    from analysis.scores import HeadScores


@dataclass(frozen=True, slots=True)
class Side:
    """One side: what is run, which head is looked at, and which heads are ablated meanwhile."""

    name: str
    selection: Selection
    head: Head
    without: tuple[Head, ...] = ()

    def pattern(self, sequence: int) -> np.ndarray:
        """The head's pattern of one sequence, [dest, src]."""
        found: Patterns = backend.patterns(
            self.selection, sequence, (self.head.layer,), self.without
        )
        values: np.ndarray = found.values[0, 0, self.head.head]
        return values

    def scores(self) -> HeadScores:
        """The scores of every head of this side."""
        return backend.scores(self.selection, self.without)

    def loss(self) -> float:
        """The loss of this side, nats per token."""
        return backend.loss(self.selection, self.without)


def other_models(selection: Selection) -> list[ModelInfo]:
    """The models that the one of the view can be compared with."""
    return [info for info in list_models() if info.available and info.name != selection.info.name]
