"""Questions about heads over a set of prompts: roles, verdicts, direct effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import analysis
from analysis.errors import AnalysisError
from analysis.head import Head
from app.compute.ask import Progress, ask
from app.compute.calls.ablation import known_method
from app.compute.question import Question
from app.links.link import own_set
from app.links.parameters import OWN_SET
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.roles.results import RoleScores
    from analysis.roles.verdict import Verdict
    from analysis.sets.fitted import FittedSet
    from analysis.sets.rows import PromptSet

PROMPT_SET = Question("prompt_set", lambda: analysis.prompt_set)
FIT_SET = Question("fit_set", lambda: analysis.fit_set)
ROLE_SCORES = Question("role_scores", lambda: analysis.role_scores)
MEAN_DIRECT_EFFECTS = Question("mean_direct_effects", lambda: analysis.mean_direct_effects)
VERDICT = Question("verdict", lambda: analysis.verdict)


def prompt_set(selection: Selection) -> PromptSet:
    """The set of prompts that a view is about: one that comes with the app, or rows of its own.

    Raises:
        AnalysisError: Rows that cannot be read, or that the link had no room for.
    """
    if selection["set"] == OWN_SET:
        return _own_set(selection)
    return ask(
        PROMPT_SET,
        selection.info,
        str(selection["set"]),
        count=selection["rows"],
        seed=selection["seed"],
        prepend_bos=selection.bos,
    )


def _own_set(selection: Selection) -> PromptSet:
    if not str(selection["lines"]).strip():
        if selection["hash"]:
            raise AnalysisError(
                f"This link is about rows that it has no room for (their hash is "
                f"{selection['hash']}). Open the view's file that its sender saved, under Share."
            )
        raise AnalysisError("There are no rows yet. Type, paste or upload them in the sidebar.")
    return own_set(str(selection["lines"]))


def fitted_set(selection: Selection) -> FittedSet:
    """The same as the model reads it."""
    return ask(FIT_SET, selection.info, prompt_set(selection), selection.bos)


def role_scores(selection: Selection, progress: Progress) -> RoleScores:
    """How much every head looks like each role; `progress` may raise to cancel."""
    prompts = prompt_set(selection)
    return ask(
        ROLE_SCORES,
        selection.info,
        prompts,
        selection["seed"],
        progress=progress,
        prepend_bos=selection.bos,
    )


def mean_direct_effects(selection: Selection) -> np.ndarray:
    """What each head adds directly to the answers, [layer, head], mean over the set."""
    return ask(
        MEAN_DIRECT_EFFECTS, selection.info, prompt_set(selection), prepend_bos=selection.bos
    )


def verdict(
    selection: Selection, heads: tuple[Head, ...], opposes: bool, progress: Progress
) -> Verdict:
    """Whether heads matter for the set; `progress` may raise to cancel."""
    return ask(
        VERDICT,
        selection.info,
        prompt_set(selection),
        heads,
        known_method(selection["method"]),
        seed=selection["seed"],
        opposes=opposes,
        progress=progress,
        prepend_bos=selection.bos,
    )
