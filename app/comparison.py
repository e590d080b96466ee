"""What a comparison compares: its two sides, from the link or picked where the link is silent."""

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


def focus_head(selection: Selection) -> Head:
    """The head of the first side: the link's, or the strongest induction head."""
    return _completed(selection, selection["layer"], selection["head"], "induction", ())


def second_head(selection: Selection, first: Head) -> Head:
    """The head to compare `first` with: the link's, or the strongest other previous-token head."""
    return _completed(selection, selection["layer2"], selection["head2"], "previous", (first,))


def ablated_head(selection: Selection, first: Head) -> Head:
    """The head that the second side lacks: the link's, or one that `first` may rest on."""
    if selection["ablate"]:
        return Head.parse(selection["ablate"])
    scores = backend.reference_scores(selection).previous
    # Only earlier layers reach the head; in layer 0 there are none and any head will do.
    reaching = scores[: max(first.layer, 1)]
    return _best(reaching, first if first.layer == 0 else None)


def _completed(
    selection: Selection, layer: int, head: int, score: str, taken: tuple[Head, ...]
) -> Head:
    """The head of that layer and number; what is -1 is chosen by the score."""
    if layer >= 0 and head >= 0:
        return Head(layer, head)
    values = np.array(getattr(backend.reference_scores(selection), score))
    if layer >= 0:
        values[np.arange(len(values)) != layer] = np.nan
    if head >= 0:
        values[:, np.arange(values.shape[1]) != head] = np.nan
    for other in taken:
        values[other.layer, other.head] = np.nan
    return _best(values, None)


def _best(values: np.ndarray, avoid: Head | None) -> Head:
    ranked = np.where(np.isnan(values), -np.inf, values)
    if avoid is not None and ranked.size > 1:
        ranked[avoid.layer, avoid.head] = -np.inf
    layer, head = np.unravel_index(int(ranked.argmax()), ranked.shape)
    return Head(int(layer), int(head))
