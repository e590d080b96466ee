"""What is registered of a role that a head may play, and what its screen is given to look at."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int

from analysis.definitions.quantity import Quantity
from analysis.definitions.score import Score
from analysis.tokens import Tokens

Family = Literal["Position", "Repetition", "Answer", "Weights"]
FAMILIES: tuple[Family, ...] = ("Position", "Repetition", "Answer", "Weights")


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one length on which patterns are looked at.

    `places` has the position of each named place in each row, -1 where a row lacks it. `right` says
    in which rows the model's first guess after the prompt is the answer.
    """

    tokens: Tokens
    places: Mapping[str, Int[np.ndarray, " batch"]]
    right: Bool[np.ndarray, " batch"] | None = None

    def cell(self, dest: str, src: str) -> Bool[np.ndarray, "batch dest src"]:
        """True where attention of one named place to another stands; nowhere in rows without."""
        mask = np.zeros((self.tokens.batch, self.tokens.length, self.tokens.length), dtype=bool)
        to, of = self.at(dest), self.at(src)
        rows = np.flatnonzero((to >= 0) & (of >= 0))
        mask[rows, to[rows], of[rows]] = True
        return mask

    def at(self, place: str) -> Int[np.ndarray, " batch"]:
        """Position of a place in each row, -1 where a row lacks it."""
        return np.asarray(self.places.get(place, np.full(self.tokens.batch, -1)))

    def earlier(self, sources: Bool[np.ndarray, "batch src"]) -> Bool[np.ndarray, "batch dest src"]:
        """True at these sources for every destination after them."""
        return sources[:, None] & np.tri(self.tokens.length, k=-1, dtype=bool)

    @property
    def punctuation(self) -> Bool[np.ndarray, "batch pos"]:
        """Which tokens are signs of punctuation and nothing else; BOS is not."""
        marks = [[_is_punctuation(label) for label in row] for row in self.tokens.labels]
        found = np.array(marks, dtype=bool).reshape(self.tokens.ids.shape)
        if self.tokens.has_bos:
            found[:, 0] = False
        return found


class OfWeights(Protocol):
    """What screens ask of a model's weights; every array is [layer, head]."""

    d_vocab: int

    def copying(self, lowered: bool, k: int, own: bool) -> Float[np.ndarray, "layer head"]:
        """Share of tokens that are among the k that a head's OV raises, or lowers, most.

        Of the set's own answers and foils, or of tokens drawn from the whole vocabulary.
        """

    def successors(self) -> tuple[Float[np.ndarray, "layer head"], float]:
        """Share of list members whose next one OV raises most of the list, and chance."""


@dataclass(frozen=True, eq=False, slots=True)
class Example:
    """A pattern for which the screen was worked out by hand: one head, one row of words.

    `rows[i]` is attention of word i to words 0 to i.
    """

    words: Sequence[str]
    rows: Sequence[Sequence[float]]
    value: float
    places: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Role(Quantity):
    """A role, and the screen that finds heads which look like it.

    A screen is a share of attention (`targets`), any other number of patterns (`measure`), or what
    the weights say (`weights`); attention and weights together are multiplied. A high screen says
    what a head looks like, and not whether it matters: that is for a verdict.

    Attributes:
        key: Its name in code and in links: lower-case words with hyphens.
        family: What it is listed under.
        tokens: Whether patterns are those on the set's rows or on random tokens repeated.
        targets: [batch, dest, src], where attention counts; a destination where none does is left
            out of the mean.
        measure: Of patterns [batch, layer, head, dest, src] a number [batch, layer, head].
        weights: [layer, head] of the weights, and what chance would give.
        asks: What a set must have for it, as the end of "needs …"; empty if any set will do.
        opposes: Whether the role works against the answer, so that a head without which the
            metric rises would be its cause.
        least: The screen below which a head is not said to look like the role.
        example: A pattern of known answer, for screens of patterns.
    """

    _: KW_ONLY
    key: str
    family: Family
    tokens: Literal["set", "random"] = "set"
    targets: Callable[[Rows], np.ndarray] | None = None
    measure: Callable[[Rows, np.ndarray], np.ndarray] | None = None
    weights: Callable[[OfWeights], tuple[np.ndarray, float]] | None = None
    asks: str = ""
    opposes: bool = False
    least: float = 0.3
    example: Example | None = None
    function: str = "role_scores"
    results: tuple[str, ...] = ("RoleScores",)

    def __post_init__(self) -> None:
        Quantity.__post_init__(self)
        if not self.key.replace("-", "").isalpha() or not self.key.islower():
            raise ValueError(f"the key of a role is lower-case words, not {self.key!r}")
        of_patterns = (self.targets is not None) + (self.measure is not None)
        if of_patterns > 1 or (of_patterns == 0 and self.weights is None):
            raise ValueError(f"{self.key}: one of targets and measure, or weights, is needed")
        if of_patterns and self.example is None:
            raise ValueError(f"{self.key}: a screen of patterns has an example of known answer")


def of_score(score: Score) -> Callable[[Rows], np.ndarray]:
    """The targets of a score, as those of a role."""
    targets = score.targets
    if targets is None:
        raise ValueError(f"{score.key} is no share of attention")
    return lambda rows: targets(rows.tokens)


def _is_punctuation(label: str) -> bool:
    text = label.strip()
    return bool(text) and all(unicodedata.category(sign)[0] in "PS" for sign in text)
