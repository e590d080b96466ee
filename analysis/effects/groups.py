"""Groups of heads ablated on a set of prompts: what its metric is without each of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import comb, prod

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.effects.replacements import Method, check_method, replacement
from analysis.errors import AnalysisError
from analysis.head import HasHeads, Head, require_heads
from analysis.models.loading import HeadModel
from analysis.runs.forward import run_without_logits
from analysis.runs.pieces import pieces
from analysis.runs.suffix import Case, Edit, record, rerun, z_points
from analysis.sets.fitted import Batch, FittedSet
from analysis.sets.metrics import Metric, RowReader, parts, require_metric

Progress = Callable[[int, int], None]
# A group of heads, ablated together.
Group = tuple[Head, ...]
DRAWS = 10
# By layer, what takes the place of each head's z in some rows.
Replaced = Sequence[Float[Tensor, "#batch pos head d_head"]]


@dataclass(frozen=True, eq=False)
class GroupMetrics:
    """A metric of every row: as the model is, and without each group of heads."""

    clean: Float[np.ndarray, " row"]
    without: Float[np.ndarray, "group row"]
    metric: Metric
    method: Method

    def __post_init__(self) -> None:
        if not (np.isfinite(self.clean).all() and np.isfinite(self.without).all()):
            raise ValueError("a row's metric is not finite")
        freeze(self, "clean", "without")


def group_metrics(
    model: HeadModel,
    fitted: FittedSet,
    groups: Sequence[Group],
    method: Method = "zero",
    metric: Metric | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> GroupMetrics:
    """A set's metric without each of several groups of heads.

    Rows run once as they are; every group starts again at its own first layer, several groups as
    rows of one batch, and only the positions that the metric reads are unembedded.

    Args:
        model: The model. Its lock is taken for a few groups at a time.
        fitted: The set.
        groups: Heads that are ablated together, group by group.
        method: What takes the place of z. "zero"; "mean" over the set: position by position where
            all rows have one length, else at each named place over the rows that have it, and
            elsewhere over all other places behind the first; "resample": z in another row of the
            same length.
        metric: `analysis.sets.metrics`; by default the set's own.
        seed: Which row takes the place of which, for "resample".
        progress: Called without the lock as `progress(groups done, groups in all)`, counted over
            parts of the set. It may raise to cancel.

    Raises:
        AnalysisError: An unknown method, heads that do not exist, a metric that the set does not
            have, or "resample" with rows that are alone in their length.
    """
    check_method(method)
    chosen = require_metric(fitted, metric)
    groups = [require_heads(model.info, group) for group in groups]
    clean = np.empty(len(fitted.rows), np.float32)
    without = np.empty((len(groups), len(fitted.rows)), np.float32)
    batches = list(_pieces(fitted, method))
    replaced = replacer(model, fitted, method, seed)
    total, done = len(batches) * len(groups), 0
    if progress:
        progress(0, total)
    for batch in batches:
        recording = record(model, batch.tokens.tensor, z_points(model))
        reader = RowReader(chosen, batch)
        at = reader.positions
        read = reader.read(recording.logits[:, at], at)
        clean[batch.rows] = to_numpy(reader.reduce(read))
        put = replaced(batch, [recording.z(layer) for layer in range(model.n_layers)])
        # Neighbours begin at nearby layers, so that few rows wait for others.
        order = sorted(range(len(groups)), key=lambda index: min(groups[index]).layer)
        begins = [min(groups[index]).layer for index in order]
        for part in pieces(model.info, batch.tokens.ids.size, begins):
            some = order[part]
            cases = [_case(groups[index], put) for index in some]
            found = rerun(model, recording, cases, at, reader.read)
            without[np.array(some)[:, None], batch.rows] = to_numpy(reader.reduce(found))
            done += len(some)
            if progress:
                progress(done, total)
    return GroupMetrics(clean, without, chosen, method)


def random_groups(
    model: HasHeads,
    heads: Sequence[Head],
    draws: int = DRAWS,
    seed: int = 0,
    apart: Sequence[Head] = (),
) -> tuple[Group, ...]:
    """Groups with as many heads of each layer as a group has, none of them its own, no two alike.

    Args:
        model: The model, or what it is.
        heads: The group.
        draws: How many at most; fewer where there are not as many.
        seed: Of the draws. More draws begin with the same ones.
        apart: Heads that no group may have either.

    Raises:
        AnalysisError: A layer with too few other heads.
    """
    wanted = {head.layer: sum(other.layer == head.layer for other in heads) for head in heads}
    taken = {*heads, *apart}
    pools = {
        layer: [h for h in range(model.n_heads) if Head(layer, h) not in taken] for layer in wanted
    }
    for layer, count in wanted.items():
        if len(pools[layer]) < count:
            raise AnalysisError(
                f"{count} of the heads of layer {layer} are chosen, and {len(pools[layer])} others "
                "are left to compare them with. Choose fewer of one layer."
            )
    possible = prod(comb(len(pools[layer]), count) for layer, count in wanted.items())
    random = np.random.default_rng([seed, len(heads)])
    found: dict[Group, None] = {}
    while len(found) < min(draws, possible):
        group = [
            Head(layer, int(head))
            for layer, count in wanted.items()
            for head in random.choice(pools[layer], count, replace=False)
        ]
        found[tuple(sorted(group))] = None
    return tuple(found)


def _case(group: Group, put: Replaced) -> Case:
    return tuple(
        Edit(head.layer, "attn.hook_z", (slice(None), head.head), put[head.layer][:, :, head.head])
        for head in group
    )


def _pieces(fitted: FittedSet, method: Method) -> Iterator[Batch]:
    """Parts of the set; for "resample" none of them is a single row."""
    for batch in parts(fitted):
        if method == "resample" and len(batch.rows) < 2:
            raise AnalysisError(
                f"Row {int(batch.rows[0]) + 1} has {batch.tokens.length} tokens, and no other row "
                "has as many, so that nothing can take its place. Choose zero or mean."
            )
        yield batch


def replacer(
    model: HeadModel, fitted: FittedSet, method: Method, seed: int
) -> Callable[[Batch, Sequence[Tensor]], Replaced]:
    """What takes the place of z, by layer, given rows and their own z."""
    if method != "mean":
        return lambda batch, own: [replacement(z, method, seed) for z in own]
    if len(fitted.batches) == 1:
        by_position = _means(model, fitted, lambda batch: {
            str(at): np.full(len(batch.rows), at) for at in range(batch.tokens.length)
        })  # fmt: skip
        length = fitted.batches[0].tokens.length
        whole = torch.stack([by_position[str(at)] for at in range(length)], 1)[:, None]
        return lambda batch, own: list(whole)
    means = _means(model, fitted, lambda batch: batch.places)

    def by_place(batch: Batch, own: Sequence[Tensor]) -> Replaced:
        put = means[_OTHER][:, None, None].expand(-1, *own[0].shape[:2], -1, -1).clone()
        for name, at in {_FIRST: np.zeros(len(batch.rows), int), **batch.places}.items():
            rows = np.flatnonzero(at >= 0)
            put[:, rows, at[rows]] = means[name][:, None]
        return list(put)

    return by_place


_FIRST, _OTHER = "\0first", "\0other"  # no place that a set marks is called so


def _means(
    model: HeadModel,
    fitted: FittedSet,
    places_of: Callable[[Batch], dict[str, np.ndarray]],
) -> dict[str, Float[Tensor, "layer head d_head"]]:
    """Mean z over the set at each place, at the first position, and at all others."""
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for batch in parts(fitted):
        kept = run_without_logits(model, batch.tokens.tensor, z_points(model))
        z = torch.stack([kept[point] for point in z_points(model)])  # [layer, row, pos, ...]
        other = np.ones(batch.tokens.ids.shape, dtype=bool)
        named = {_FIRST: np.zeros(len(batch.rows), int), **places_of(batch)}
        for name, at in named.items():
            rows = np.flatnonzero(at >= 0)
            other[rows, at[rows]] = False
            sums[name] = sums.get(name, torch.zeros(())) + z[:, rows, at[rows]].sum(1)
            counts[name] = counts.get(name, 0) + len(rows)
        sums[_OTHER] = sums.get(_OTHER, torch.zeros(())) + z[:, torch.from_numpy(other)].sum(1)
        counts[_OTHER] = counts.get(_OTHER, 0) + int(other.sum())
    return {name: total / max(1, counts[name]) for name, total in sums.items()}
