"""What every section of the page of roles is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.definitions import ROLES
from analysis.definitions.role import Role
from analysis.head import Head
from analysis.limits import role_size
from app.compute import calls
from app.compute.calls.roles import GROUP
from app.links.parsers import heads_in
from app.links.selection import Selection
from app.links.subject import Subject
from app.pickers.heads import completed
from app.sections.shared.cancel import stoppable
from app.shell.theme import palette
from app.theme import Palette

if TYPE_CHECKING:
    from analysis.roles.results import RoleScores, RoleScreen
    from analysis.sets.fitted import FittedSet


@dataclass(frozen=True)
class RolesView:
    """What every section is about."""

    selection: Selection
    prompts: FittedSet
    scores: RoleScores
    theme: Palette

    @classmethod
    def of(cls, selection: Selection) -> RolesView:
        """The view of a selection; its heads are screened."""
        prompts = calls.fitted_set(selection)
        with stoppable("Screening every head") as progress:
            scores = calls.role_scores(selection, progress)
        return cls(selection, prompts, scores, palette())

    @property
    def subject(self) -> Subject:
        """The set, and the role."""
        about = self.selection.with_values(role=self.role.key)
        return Subject(about, prompts=self.prompts)

    @property
    def of_role(self) -> Subject:
        """The set, or the random tokens that the role is screened on."""
        if self.role.tokens == "set":
            return self.subject
        info = self.selection.info
        length, batch = role_size(info.n_layers, info.n_heads, info.n_ctx)
        return Subject(self.selection.with_values(input="repeated", length=length, batch=batch))

    @property
    def role(self) -> Role:
        """The link's role, or the first about the answer that a head looks like."""
        if self.selection["role"]:
            return ROLES[self.selection["role"]]
        played = [role for key, role in ROLES.items() if self.scores.screened(key, 1)]
        of_answer = [role for role in played if role.family == "Answer"]
        return next(iter((*of_answer, *played, *ROLES.values())))

    @property
    def screen(self) -> RoleScreen:
        """What is known of that role."""
        return self.scores.screens[self.role.key]

    @property
    def focus(self) -> Head:
        """The link's head, or the one that looks most like the role."""
        return completed(self.selection, "layer", "head", self.screen.values)

    @property
    def group(self) -> tuple[Head, ...]:
        """The heads to judge: the link's, or those that look most like the role."""
        if self.selection["group"]:
            return heads_in(self.selection["group"])
        return self.scores.screened(self.role.key, GROUP)

    def ranked(self, count: int) -> tuple[Head, ...]:
        """The heads that look most like the role, best first."""
        values = self.screen.values
        order = np.argsort(-np.nan_to_num(values, nan=-1), axis=None, kind="stable")[:count]
        return tuple(Head(*divmod(int(index), values.shape[1])) for index in order)
