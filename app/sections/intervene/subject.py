"""What the page is about: one sequence, a recipe, and the head that is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.effects.recipe import Listed, parse_recipe, recipe_text
from analysis.effects.steps import Dial
from analysis.head import Head
from analysis.kept import kept_property
from app.compute import calls
from app.links.parsers import NO_STEP
from app.links.selection import Selection
from app.links.session import choose
from app.links.subject import Subject
from app.pickers.answer import answer_and_foil
from app.pickers.heads import completed, telling_head

if TYPE_CHECKING:
    from analysis.tokens import Tokens


@dataclass(frozen=True)
class Bench:
    """What every section needs."""

    selection: Selection
    tokens: Tokens  # one sequence
    row: int
    steps: tuple[Listed, ...]
    head: Head

    @classmethod
    def of(cls, selection: Selection, tokens: Tokens, row: int) -> Bench:
        """The recipe of the link; without one, the head that later ones rest on is switched off."""
        selection = telling_head(selection)
        if selection["recipe"] is None:
            # Its layer and head in the link are of the head that is looked at.
            before = calls.reference_scores(selection).previous
            strongest = completed(
                selection.with_values(layer=None, head=None), "layer", "head", before
            )
            steps: tuple[Listed, ...] = (Listed(Dial(strongest, 0.0)),)
        elif selection["recipe"] == NO_STEP:
            steps = ()
        else:
            steps = parse_recipe(selection["recipe"])
        head = Head(selection["layer"], selection["head"])
        return cls(selection, calls.one_sequence(tokens, row), row, steps, head)

    @property
    def labels(self) -> tuple[str, ...]:
        """The tokens."""
        return tuple(self.tokens.labels[0])

    @kept_property
    def subject(self) -> Subject:
        """What its figures are about.

        Raises:
            AnalysisError: What is typed as answer or foil is no single token.
        """
        answer, foil = answer_and_foil(self.selection).checked()
        if answer is None or foil is None:
            first, second = self._likeliest()
            answer = first if answer is None else answer
            foil = (second if answer == first else first) if foil is None else foil
        return Subject(
            self.selection,
            head=self.head,
            sequence=self.row,
            answer=answer,
            foil=foil,
            steps=tuple(listed.step for listed in self.steps if listed.on),
        )

    def _likeliest(self) -> tuple[int, int]:
        """The two most likely next tokens as it is."""
        top = calls.next_tokens(self.selection, self.row).top_ids[0, -1]
        return int(top[0]), int(top[min(1, len(top) - 1)])


def set_steps(steps: tuple[Listed, ...]) -> None:
    """Make these the recipe."""
    choose(recipe=recipe_text(steps) or NO_STEP)
