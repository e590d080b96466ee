"""Questions about heads over a set of prompts: roles, verdicts, direct effects."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

import analysis
from analysis.definitions import ROLES
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.limits import role_size
from app.compute.ask import Progress, ask, ask_at_once, ask_by, known
from app.compute.calls.ablation import known_method
from app.compute.calls.weights import in_blocks
from app.compute.question import Question
from app.compute.server import current_server
from app.compute.workers.pieces import Job
from app.links.link import own_set
from app.links.parameters import OWN_SET
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.definitions.role import Role
    from analysis.effects.groups import Group, GroupMetrics
    from analysis.models.info import ModelInfo
    from analysis.passport import JudgedRole
    from analysis.roles.results import RoleScores
    from analysis.roles.verdict import Verdict
    from analysis.sets.fitted import FittedSet
    from analysis.sets.rows import PromptSet
    from app.compute.workers.crew import Engine


def _random_rows(info: ModelInfo) -> tuple[int, int]:
    """What roles are screened on beside the set."""
    half, sequences = role_size(info.n_layers, info.n_heads, info.n_ctx)
    return sequences, 2 * half + 1


PROMPT_SET = Question("prompt_set", lambda: analysis.prompt_set, logits="none")
FIT_SET = Question("fit_set", lambda: analysis.fit_set, logits="none")
ROLE_SCORES = Question(
    "role_scores", lambda: analysis.role_scores, _random_rows, logits="none", beside=in_blocks
)
MEAN_DIRECT_EFFECTS = Question("mean_direct_effects", lambda: analysis.mean_direct_effects)
DIRECT_EFFECTS = Question("direct_effects", lambda: analysis.direct_effects)
VERDICT = Question("verdict", lambda: analysis.verdict)
# Heads of a role that a verdict begins with.
GROUP = 2


@dataclass(frozen=True)
class KnownRoles:
    """The roles that a head looks like: those with a verdict, and those that have none yet."""

    judged: tuple[JudgedRole, ...]
    open: tuple[Role, ...]


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


def known_set(selection: Selection) -> PromptSet | None:
    """The same if it can be had without a model."""
    if selection["set"] == OWN_SET:
        try:
            return _own_set(selection)
        except AnalysisError:
            return None
    asked = str(selection["set"])
    options = {"count": selection["rows"], "seed": selection["seed"], "prepend_bos": selection.bos}
    return known(PROMPT_SET, selection.info, asked, **options)


def known_roles(selection: Selection, head: Head) -> KnownRoles | None:
    """The roles that a head looks like on the view's set; None where that is not known yet.

    Nothing is computed. The verdict is of zero ablation: of the head alone, or of the heads that
    look most like the role with it among them.
    """
    info, prompts, bos = selection.info, known_set(selection), selection.bos
    if prompts is None:
        return None
    seed = selection["seed"]
    found = known(ROLE_SCORES, info, prompts, seed, prepend_bos=bos)
    if found is None:
        return None
    judged: list[JudgedRole] = []
    open_roles: list[Role] = []
    for key, screen in found.screens.items():
        role, value = ROLES[key], float(screen.values[head.layer, head.head])
        if not value >= role.least:  # NaN: the set cannot show it
            continue
        groups = [(head,), tuple(sorted(found.screened(key, GROUP)))]
        verdicts = [
            known(
                VERDICT, info, prompts, group, "zero", seed=seed, opposes=role.opposes,
                prepend_bos=bos,
            )
            for group in groups
            if head in group
        ]  # fmt: skip
        of_it = next((each for each in verdicts if each is not None), None)
        if of_it is None:
            open_roles.append(role)
        else:
            judged.append(analysis.JudgedRole(role, value, screen.chance, prompts.name, of_it))
    return KnownRoles(tuple(judged), tuple(open_roles))


def fitted_set(
    selection: Selection, prompts: PromptSet | None = None, *, corrupt: bool = False
) -> FittedSet:
    """A set as the model reads it, by default the view's own; or its corrupt prompts."""
    prompts = prompts or prompt_set(selection)
    return ask(
        FIT_SET,
        selection.info,
        analysis.corrupt_side(prompts) if corrupt else prompts,
        selection.bos,
    )


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
    prompts, method = prompt_set(selection), known_method(selection["method"])
    info, seed, bos = selection.info, selection["seed"], selection.bos
    engine = current_server().engine

    def by_workers(*asked: object, progress: Progress, **options: object) -> Verdict:
        from analysis.roles.verdict import Runs, judged  # with torch

        assert engine is not None
        fitted = ask_at_once(FIT_SET, info, prompts, bos)
        job = Job("groups", info, (prompts, bos, method, seed))
        runs = Runs(
            partial(_metrics, engine, job),
            lambda without: ask_at_once(DIRECT_EFFECTS, info, fitted, tuple(without)),
        )
        return judged(
            runs, info, fitted, sorted(heads), method, seed=seed, opposes=opposes, progress=progress
        )

    return ask_by(
        None if engine is None else by_workers,
        VERDICT,
        info,
        prompts,
        tuple(sorted(heads)),
        method,
        seed=seed,
        opposes=opposes,
        progress=progress,
        prepend_bos=bos,
    )


def _metrics(engine: Engine, job: Job, groups: Sequence[Group], progress: Progress) -> GroupMetrics:
    """What `group_metrics` finds, by workers who take as many groups each."""
    # Each runs the set once as it is, so in as few pieces as there are workers.
    size = max(1, -(-len(groups) // engine.width))
    pieces = [tuple(groups[at : at + size]) for at in range(0, max(1, len(groups)), size)]
    done = 0
    found: list[GroupMetrics] = []
    progress(done, len(groups))
    with closing(engine.map(job, pieces, lambda: progress(done, len(groups)))) as results:
        for piece, result in zip(pieces, results, strict=True):
            found.append(result)
            done += len(piece)
            progress(done, len(groups))
    return replace(found[0], without=np.concatenate([each.without for each in found]))
