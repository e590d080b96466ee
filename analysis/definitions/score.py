"""What is registered of a score that every head has."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

import numpy as np

from analysis.definitions.quantity import Quantity
from analysis.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Score(Quantity):
    """A score of a head's patterns, averaged over sequences; see `analysis.heads.scores`.

    Most scores are a share of attention, and say on which sources attention counts. A share's
    chance level and spread follow from that; so do its range and its marks in pictures.

    Attributes:
        key: One lower-case word: its name in code, in links and over columns.
        targets: For a share of attention: [batch, dest, src], whether attention of dest to src
            counts. A destination where none does is left out of the mean.
        measure: For any other score: of patterns [batch, layer, head, dest, src] the score
            [batch, layer, head].
    """

    _: KW_ONLY
    key: str
    targets: Callable[[Tokens], np.ndarray] | None = None
    measure: Callable[[np.ndarray], np.ndarray] | None = None
    function: str = "head_scores"
    results: tuple[str, ...] = ("HeadScores",)
    needs: tuple[str, ...] = ("run", "pattern", "score")
    axes: tuple[str, ...] = ("layer", "head")

    def __post_init__(self) -> None:
        Quantity.__post_init__(self)
        if not (self.key.isidentifier() and self.key.islower()):
            raise ValueError(f"the key of a score is one lower-case word, not {self.key!r}")
        if (self.targets is None) == (self.measure is None):
            raise ValueError(f"{self.key}: one of targets and measure is needed")
