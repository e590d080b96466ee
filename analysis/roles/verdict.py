"""Whether heads that look like a role matter: ablated, beside matched-random groups."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from analysis.arrays import freeze
from analysis.effects.groups import DRAWS, Group, GroupMetrics, group_metrics, random_groups
from analysis.effects.replacements import Method
from analysis.head import Head, require_heads
from analysis.logits.direct import direct_effects
from analysis.models.info import ModelInfo
from analysis.models.loading import HeadModel
from analysis.sets.fitted import FittedSet, fit_set
from analysis.sets.metrics import BETTER, Metric, require_metric
from analysis.sets.rows import PromptSet
from analysis.sets.spread import spread

Progress = Callable[[int, int], None]
Word = Literal["cause", "correlate", "interferer", "null"]
# Backups: at most so many, and each gains at least this share of the clean metric.
MOST_BACKUPS, LEAST_GAIN = 4, 0.02


@dataclass(frozen=True, eq=False)
class Runs:
    """What a verdict has a model run for, wherever that is done.

    `metrics` is `group_metrics` of some groups, told of groups done; `direct` is `direct_effects`
    without some heads.
    """

    metrics: Callable[[Sequence[Group], Progress], GroupMetrics]
    direct: Callable[[Sequence[Head]], Float[np.ndarray, "row layer head"]]


@dataclass(frozen=True, eq=False)
class GroupTest:
    """A group's effect on a metric beside that of matched-random groups.

    `effect` is the mean over rows of the metric without the group minus the metric with it, and
    `interval` its bootstrap interval. `random` has the same of each random group.
    """

    heads: tuple[Head, ...]
    effect: float
    interval: tuple[float, float]
    by_row: Float[np.ndarray, " row"]
    random: Float[np.ndarray, " draw"]
    groups: tuple[Group, ...]
    word: Word

    def __post_init__(self) -> None:
        if len(self.random) != len(self.groups):
            raise ValueError(f"{len(self.random)} effects of {len(self.groups)} random groups")
        freeze(self, "by_row", "random")

    @property
    def false_positive(self) -> float:
        """How often a group like the random ones would fall outside their range on one side."""
        return 1 / (len(self.random) + 1)


@dataclass(frozen=True, eq=False)
class Verdict(GroupTest):
    """Whether a group of heads matters for a set of prompts.

    cause: outside the range of the random groups in the direction that the role says, and the
    interval excludes 0. interferer: likewise, the other way. correlate: neither. null: no head.
    `redundancy` is the same test of the same heads where `backups` are gone on both sides.
    """

    clean: float
    clean_by_row: Float[np.ndarray, " row"]
    metric: Metric
    method: Method
    opposes: bool
    backups: tuple[Head, ...]
    redundancy: GroupTest | None

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze(self, "clean_by_row")


def verdict(
    model: HeadModel,
    prompts: PromptSet | FittedSet,
    heads: Sequence[Head],
    method: Method = "zero",
    draws: int = DRAWS,
    seed: int = 0,
    *,
    metric: Metric | None = None,
    opposes: bool = False,
    redundancy: bool = True,
    progress: Progress | None = None,
    prepend_bos: bool = True,
) -> Verdict:
    """Ablate a group of heads, and groups of as many others from the same layers.

    effect = mean over rows of metric(without the group) - metric. The random groups have as many
    heads of each layer, none of the group's, and no two are alike; where the layers have too few
    others there are fewer than `draws`. Of groups that matter alike, one falls outside the range of
    n others on a given side once in n + 1 times: `false_positive`. A screen by looks and a verdict
    by ablation differ in most cases (arXiv 2606.05378).

    Redundancy: backups are the heads, of no layer before the group's first, whose direct effect on
    the answer grows most when the group is gone, at most 4 with an interval above 0. The group is
    then tested again where they are gone with it, with the random groups and without any: what it
    does that nothing else makes up for.

    Args:
        model: The model. Its lock is taken for a few groups at a time.
        prompts: The set, or as a model reads it.
        heads: The group; none gives the word "null".
        method: As in `group_metrics`.
        draws: How many random groups.
        seed: Of the random groups and of "resample".
        metric: By default the set's own.
        opposes: Whether the role works against the answer: its cause raises the metric when gone.
        redundancy: Whether to look for backups, which needs answers.
        progress: Called as `progress(done, all)` without the lock. It may raise to cancel.
        prepend_bos: As in `fit_set`, for a set that is not fitted yet.

    Raises:
        AnalysisError: As `group_metrics`, or a group that leaves its layers no other heads.
    """
    fitted = prompts if isinstance(prompts, FittedSet) else fit_set(model, prompts, prepend_bos)

    def metrics(some: Sequence[Group], told: Progress) -> GroupMetrics:
        return group_metrics(model, fitted, some, method, metric, seed=seed, progress=told)

    runs = Runs(metrics, lambda without: direct_effects(model, fitted, without))
    return judged(
        runs,
        model.info,
        fitted,
        heads,
        method,
        draws,
        seed,
        metric=metric,
        opposes=opposes,
        redundancy=redundancy,
        progress=progress,
    )


def judged(
    runs: Runs,
    info: ModelInfo,
    fitted: FittedSet,
    heads: Sequence[Head],
    method: Method = "zero",
    draws: int = DRAWS,
    seed: int = 0,
    *,
    metric: Metric | None = None,
    opposes: bool = False,
    redundancy: bool = True,
    progress: Progress | None = None,
) -> Verdict:
    """`verdict`, where `runs` does what needs the model itself; the rest is as there."""
    if not heads:
        return _null(runs, fitted, method, opposes)
    chosen = require_heads(info, heads)
    toward = -BETTER[require_metric(fitted, metric)] * (-1 if opposes else 1)
    groups = random_groups(info, chosen, draws, seed)
    second = redundancy and fitted.has_answers
    half = _Part(progress, 2 if second else 1)
    found = runs.metrics([chosen, *groups], half.first)
    test = _test(chosen, groups, found.without - found.clean, toward)
    backups: tuple[Head, ...] = ()
    again: GroupTest | None = None
    if second:
        backups = backup_heads(runs, chosen, float(np.abs(found.clean.mean())))
        if backups:
            others = random_groups(info, chosen, draws, seed, apart=backups)
            gone = [(*group, *backups) for group in (chosen, *others)]
            both = runs.metrics([backups, *gone], half.last)
            again = _test(chosen, others, both.without[1:] - both.without[0], toward)
    return Verdict(
        **{name: getattr(test, name) for name in GroupTest.__dataclass_fields__},
        clean=float(found.clean.mean()),
        clean_by_row=found.clean.copy(),
        metric=found.metric,
        method=method,
        opposes=opposes,
        backups=backups,
        redundancy=again,
    )


def backup_heads(runs: Runs, heads: Sequence[Head], clean: float) -> tuple[Head, ...]:
    """Heads whose direct effect on the answers grows when a group is gone, those that gain most.

    Not before the group's first layer, not of the group, with a bootstrap interval above 0, and a
    gain of at least a fiftieth of the clean metric. Source: backup name movers, Wang et al. 2022.
    """
    gain = runs.direct(heads) - runs.direct(())
    found = spread(gain)
    first = min(head.layer for head in heads)
    order = np.argsort(-found.mean, axis=None, kind="stable")
    backups: list[Head] = []
    for index in order.tolist():
        head = Head(*divmod(index, gain.shape[-1]))
        at = (head.layer, head.head)
        if len(backups) == MOST_BACKUPS or found.mean[at] < LEAST_GAIN * clean:
            break
        if head not in heads and head.layer >= first and found.low[at] > 0:
            backups.append(head)
    return tuple(backups)


def _test(
    heads: Group, groups: Sequence[Group], effects: Float[np.ndarray, "group row"], toward: int
) -> GroupTest:
    """The first group's effect against that of the others; `toward` is the sign of a cause."""
    own, others = effects[0], effects[1:].mean(1)
    of_rows = spread(own)
    effect, low, high = float(own.mean()), float(of_rows.low), float(of_rows.high)
    outside = effect > others.max() or effect < others.min()
    told = len(own) < 2 or low > 0 or high < 0  # a single row has no interval
    word: Word = "correlate"
    if outside and told:
        beyond = 1 if effect > others.max() else -1
        word = "cause" if beyond == toward and effect * toward > 0 else "interferer"
        if effect * beyond < 0:  # beyond the others, and yet on their side of 0
            word = "correlate"
    return GroupTest(
        tuple(heads), effect, (low, high), own.copy(), others.copy(), tuple(groups), word
    )


def _null(runs: Runs, fitted: FittedSet, method: Method, opposes: bool) -> Verdict:
    found = runs.metrics([], lambda done, total: None)
    nothing = np.zeros(len(fitted.rows), np.float32)
    return Verdict(
        heads=(),
        effect=0.0,
        interval=(0.0, 0.0),
        by_row=nothing,
        random=np.empty(0, np.float32),
        groups=(),
        word="null",
        clean=float(found.clean.mean()),
        clean_by_row=found.clean.copy(),
        metric=found.metric,
        method=method,
        opposes=opposes,
        backups=(),
        redundancy=None,
    )


class _Part:
    """Progress over one or two sweeps of groups, as one count of a hundred."""

    def __init__(self, progress: Progress | None, parts: int) -> None:
        self._progress, self._parts = progress, parts

    def first(self, done: int, total: int) -> None:
        self._report(0, done / total)

    def last(self, done: int, total: int) -> None:
        self._report(1, done / total)

    def _report(self, part: int, share: float) -> None:
        if self._progress:
            self._progress(int(100 * (part + share) / self._parts), 100)
