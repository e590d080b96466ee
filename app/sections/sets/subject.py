"""What every section of the page of sets is about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float

from analysis.definitions import (
    ABLATION_OVER_SET,
    ATTENTION_OVER_SET,
    DIRECT_EFFECT,
    PATCHING_OVER_SET,
    SCORE_OVER_SET,
    SCORES,
    Quantity,
)
from analysis.head import Head
from app.compute import calls
from app.links.selection import Selection
from app.links.subject import Subject
from app.pickers.heads import completed
from app.sections.shared.cancel import stoppable
from app.shell.theme import palette
from app.theme import Palette

if TYPE_CHECKING:
    from analysis.by_row import ByRow
    from analysis.sets.fitted import FittedSet
    from analysis.sets.spread import Spread

# What a page can measure over a set: its name on screen.
MEASURES = {
    "attention": "Attention between places",
    "score": "A score",
    "direct": "Direct effect on the answer",
    "ablation": "Ablation effect",
    "patching": "Patching from the corrupt prompt",
}
SIDES = {
    "prompt": "prompts",
    "corrupt": "corrupt prompts",
    "difference": "prompts less corrupt ones",
}
# Taken of patterns, which both sides have.
SIDED = ("attention", "score")
_QUANTITIES = {
    "attention": ATTENTION_OVER_SET,
    "score": SCORE_OVER_SET,
    "direct": DIRECT_EFFECT,
    "ablation": ABLATION_OVER_SET,
    "patching": PATCHING_OVER_SET,
}


# What can be taken of a model that lacks a head: ablation and patching replace heads themselves.
WITHOUT = ("attention", "score", "direct")
# What a figure shows of the numbers by row; see `app.frame.snippets.sets`.
Kind = Literal["mean", "interval", "each", "paired"]


@dataclass(frozen=True)
class SetView:
    """What every section is about.

    With `without` it is the difference that the loss of that head makes.
    """

    selection: Selection
    prompts: FittedSet
    found: ByRow
    spread: Spread
    theme: Palette
    without: Head | None = None
    changed: FittedSet | None = None  # the corrupt prompts, where they are a side

    @classmethod
    def of(cls, selection: Selection, prompts: FittedSet, without: Head | None = None) -> SetView:
        """The view of a selection; every head is measured on every row."""
        with stoppable(
            f"Every head on {len(prompts.rows)} prompts", selection.info.name
        ) as progress:
            found = calls.by_row(selection, progress, prompts.of)
            if without:
                lacking = calls.by_row(selection, progress, prompts.of, (without,))
                found = lacking.less(found)
        changed = None
        if selection["measure"] in SIDED and selection["side"] != "prompt":
            changed = calls.fitted_set(selection, prompts.of, corrupt=True)
        return cls(selection, prompts, found, found.spread(), palette(), without, changed)

    @property
    def measure(self) -> str:
        """What is measured."""
        return str(self.selection["measure"])

    def quantity(self, kind: Kind) -> Quantity:
        """The definition of what is measured, with code for what a figure shows of it."""
        found = _QUANTITIES[self.measure]
        if self.measure == "score":
            score = SCORES[self.selection["score"]]
            found = replace(found, code=score.code, needs=("by_row", *score.needs))
        return replace(found, needs=(*found.needs, kind))

    @property
    def also(self) -> tuple[Quantity, ...]:
        """What else a reader may look up: the score itself."""
        return (SCORES[self.selection["score"]],) if self.measure == "score" else ()

    @property
    def sided(self) -> bool:
        """Whether the measure is taken of patterns, which both sides have."""
        return self.measure in SIDED

    @property
    def signed(self) -> bool:
        """Whether 0 is in the middle."""
        return not self.sided or self.is_difference

    @property
    def is_difference(self) -> bool:
        """Whether each number is one of two sides less the other, so that 0 is no chance level."""
        differs = self.sided and self.selection["side"] == "difference"
        return differs or self.without is not None

    @property
    def most(self) -> str:
        """What puts a head before others, in words."""
        if self.is_difference:
            return "Largest difference"
        return "Strongest" if self.signed else "Highest mean"

    @property
    def size(self) -> Float[np.ndarray, "layer head"]:
        """How much of it each head has: where 0 is in the middle, either way."""
        mean: np.ndarray = self.spread.mean
        return np.abs(mean) if self.signed else mean

    @property
    def what(self) -> str:
        """What is measured, in words."""
        if self.without:
            return f"{self._measured}, without {self.without.label} less with it"
        return self._measured

    @property
    def _measured(self) -> str:
        selection = self.selection
        side = f", {SIDES[selection['side']]}" if self.changed else ""
        if self.measure == "attention":
            return f"Attention from “{selection['to']}” to “{selection['of']}”{side}"
        if self.measure == "score":
            return f"{SCORES[selection['score']].name}{side}"
        return MEASURES[self.measure]

    @property
    def unit(self) -> str:
        """The unit, short."""
        if self.measure == "attention":
            return "attention"
        if self.measure == "score":
            return "score"
        if self.measure == "ablation":
            return "change of the logit difference" if self.prompts.has_foils else "change"
        return "logits"

    @property
    def decimals(self) -> str:
        """How its numbers are written in a table."""
        return "%+.3f" if self.signed else "%.3f"

    @property
    def focus(self) -> Head:
        """The link's head, or the one with the largest mean."""
        return self.strongest("layer", "head")

    def strongest(self, layer_key: str, head_key: str) -> Head:
        """The link's head in two parameters, or the one with the largest mean."""
        return completed(self.selection, layer_key, head_key, self.size)

    def about(self, head: Head | None = None, heads: tuple[Head, ...] = ()) -> Subject:
        """The rows of the set that have the number, and the heads that a figure is about."""

        def side(prompts: FittedSet, without: tuple[Head, ...] = ()) -> Subject:
            return Subject(
                self.selection,
                head=head,
                heads=heads,
                without=without,
                prompts=prompts.only(self.found.rows.tolist()),
                method=self.selection["method"],
            )

        first = side(self.prompts)
        if self.without:
            return replace(side(self.prompts, (self.without,)), second=first)
        if self.changed is None:
            return first
        changed = side(self.changed)
        return replace(first, second=changed) if self.is_difference else changed

    def said(self, head: Head) -> str:
        """A head's mean with its interval, in words."""
        return interval(self.spread, (head.layer, head.head), self.signed)

    def ranked(self, count: int) -> tuple[Head, ...]:
        """The heads that have the most of it."""
        order = np.argsort(-self.size, axis=None, kind="stable")[:count]
        return tuple(Head(*divmod(int(index), self.size.shape[1])) for index in order)


def interval(found: Spread, at: tuple[int, ...], signed: bool) -> str:
    """A mean with its interval, in words."""
    mean = f"{found.mean[at]:{'+' if signed else ''}.3f}"
    if not np.isfinite(found.low[at]):
        return f"{mean} (one prompt, so no interval)"
    return f"{mean} [{found.low[at]:.3f}, {found.high[at]:.3f}]"
