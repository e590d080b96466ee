"""What every head does on each row of a set of prompts: the numbers behind a mean over prompts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int

from analysis.arrays import freeze, to_numpy
from analysis.definitions import ScoreName
from analysis.effects.groups import group_metrics
from analysis.effects.replacements import Method
from analysis.errors import AnalysisError
from analysis.head import Head, all_heads
from analysis.heads.scores import chance_by_sequence, scores_by_sequence
from analysis.limits import MAX_BYTES
from analysis.logits.direct import direct_effects
from analysis.models.loading import HeadModel
from analysis.runs.forward import run_without_logits
from analysis.runs.patterns import attention_patterns
from analysis.runs.pieces import TOKENS_AT_ONCE, pieces
from analysis.runs.suffix import Case, Edit, record, rerun, z_points
from analysis.sets.fitted import Batch, FittedRow, FittedSet, batches_of, fit_set
from analysis.sets.metrics import Metric, RowReader, parts
from analysis.sets.rows import PromptSet
from analysis.sets.spread import Spread, spread

Side = Literal["prompt", "corrupt", "difference"]
SIDES: tuple[Side, ...] = get_args(Side)
Progress = Callable[[int, int], None]
# By place in the set, a row's number of every head.
_Found = dict[int, Float[np.ndarray, "layer head"]]


@dataclass(frozen=True, eq=False)
class ByRow:
    """One number of every head for each row that has it.

    `rows` are places in the set, counted from 0; rows that a model cannot take, that lack a place,
    or in which the quantity is undefined are not among them. `chance` is its mean level of chance,
    NaN where there is none.
    """

    values: Float[np.ndarray, "row layer head"]
    rows: Int[np.ndarray, " row"]
    chance: float

    def __post_init__(self) -> None:
        if len(self.values) != len(self.rows) or not np.isfinite(self.values).all():
            raise ValueError("every row needs a finite number of every head")
        freeze(self, "values", "rows")

    def less(self, other: "ByRow") -> "ByRow":
        """The differences on the rows that both have, whose level of chance is 0.

        Raises:
            AnalysisError: No row has both numbers.
        """
        rows, mine, theirs = np.intersect1d(self.rows, other.rows, return_indices=True)
        if not len(rows):
            raise AnalysisError("No row has this number on both sides. Choose another.")
        return ByRow(self.values[mine] - other.values[theirs], rows, chance=0.0)

    def spread(self, seed: int = 0) -> Spread:
        """Mean, standard deviation and bootstrap 95 % interval over rows, [layer, head] each."""
        return spread(self.values, seed)

    def of(self, head: Head) -> Float[np.ndarray, " row"]:
        """One head's numbers."""
        return self.values[:, head.layer, head.head]


def score_by_row(
    model: HeadModel,
    prompts: PromptSet,
    score: ScoreName,
    side: Side = "prompt",
    prepend_bos: bool = True,
    without: Sequence[Head] = (),
    progress: Progress | None = None,
) -> ByRow:
    """A score of `analysis.definitions.scores` on each row of a set.

    value[row, layer, head] = the score on that row's prompt, on its corrupt prompt, or the first
    minus the second, with the heads `without` replaced by zero meanwhile. Chance is that of
    attention spread evenly over all sources. `progress` is called as in `ablation_by_row`.

    Raises:
        AnalysisError: No row fits the model or has the score; a side that rows lack.
    """

    def measure(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        patterns = attention_patterns(model, batch.tokens, without=without).values
        values = scores_by_sequence(score, patterns, batch.tokens)
        return values, chance_by_sequence(score, batch.tokens)

    return _of_patterns(
        model, prompts, side, prepend_bos, measure, f"no row has the {score} score: it needs a "
        "token that comes twice, or more tokens", progress,
    )  # fmt: skip


def attention_by_row(
    model: HeadModel,
    prompts: PromptSet,
    dest: str = "end",
    src: str = "answer",
    side: Side = "prompt",
    prepend_bos: bool = True,
    without: Sequence[Head] = (),
    progress: Progress | None = None,
) -> ByRow:
    """Attention of each head from one named place to another, on each row that has both.

    value[row, layer, head] = pattern[dest place, src place] of that row; chance is 1 / (position of
    the destination + 1). `analysis.sets.rows.FOUND` says which places are found by themselves, and
    the heads `without` are replaced by zero meanwhile. `progress`: as in `ablation_by_row`.

    Raises:
        AnalysisError: No row fits the model or has both places with the source at or before the
            destination; a side that rows lack.
    """

    def measure(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        missing = np.full(len(batch.rows), -1)
        to, of = (batch.places.get(name, missing) for name in (dest, src))
        patterns = attention_patterns(model, batch.tokens, without=without).values
        rows = np.arange(len(batch.rows))
        known = (to >= 0) & (of >= 0) & (of <= to)
        values = np.where(known[:, None, None], patterns[rows, :, :, to, of], np.nan)
        return values.astype(np.float32), np.where(known, 1 / np.maximum(to + 1, 1), np.nan)

    return _of_patterns(
        model, prompts, side, prepend_bos, measure,
        f"no row has “{dest}” with “{src}” at or before it", progress,
    )  # fmt: skip


def direct_by_row(
    model: HeadModel, prompts: PromptSet, prepend_bos: bool = True, without: Sequence[Head] = ()
) -> ByRow:
    """What each head adds directly to the answer after each prompt: `direct_effects`.

    Raises:
        AnalysisError: As `direct_effects`, or no row fits the model.
    """
    fitted = fit_set(model, prompts, prepend_bos)
    values = direct_effects(model, fitted, without)
    return ByRow(values, np.array([row.index for row in fitted.rows]), np.nan)


def ablation_by_row(
    model: HeadModel,
    prompts: PromptSet,
    method: Method = "zero",
    metric: Metric | None = None,
    seed: int = 0,
    prepend_bos: bool = True,
    progress: Progress | None = None,
) -> ByRow:
    """How a metric of each row changes without each head: metric without it - metric as it is.

    Args:
        model: The model.
        prompts: The set, over which "mean" and "resample" are taken (`group_metrics`).
        method: What takes the place of the head's z.
        metric: `analysis.sets.metrics`; by default the set's own: the logit difference where every
            row has an answer and a foil.
        seed: Of "resample".
        prepend_bos: Whether prompts begin with BOS.
        progress: Called without the lock as `progress(done, all)`. It may raise to cancel.

    Raises:
        AnalysisError: As `group_metrics`, or no row fits the model.
    """
    fitted = fit_set(model, prompts, prepend_bos)
    groups = [(head,) for head in all_heads(model.info)]
    found = group_metrics(model, fitted, groups, method, metric, seed=seed, progress=progress)
    change = (found.without - found.clean).T.reshape(-1, model.n_layers, model.n_heads)
    return ByRow(change, np.array([row.index for row in fitted.rows]), np.nan)


def patching_by_row(
    model: HeadModel,
    prompts: PromptSet,
    prepend_bos: bool = True,
    progress: Progress | None = None,
) -> ByRow:
    """How much of the logit difference comes back with each head's z of the clean prompt.

    value[row, layer, head] = difference of the corrupt prompt where z of that head, at every
    position, is that of the clean prompt - difference of the corrupt prompt as it is, in logits.
    Only rows whose two prompts have as many tokens. Source: Meng et al. 2022; Wang et al. 2022.

    Raises:
        AnalysisError: Rows without a corrupt prompt, an answer and a foil, or none whose two
            prompts have one length.
    """
    fitted = fit_set(model, prompts, prepend_bos)
    if not fitted.has_foils:
        raise AnalysisError("Patching needs an answer and a foil in every row.")
    rows = [row for row in fitted.rows if row.corrupt and len(row.corrupt) == len(row.ids)]
    if not rows:
        raise AnalysisError(
            "Patching needs a corrupt prompt of as many tokens as the prompt, and no row has one. "
            "Add a column `corrupt`."
        )
    corrupt = [replace(row, ids=row.corrupt or ()) for row in rows]
    values = np.empty((len(rows), model.n_layers, model.n_heads), np.float32)
    heads, points, done = all_heads(model.info), z_points(model), 0
    for clean, changed in zip(
        *(_parts(model, fitted, side, prepend_bos) for side in (rows, corrupt)), strict=True
    ):
        z = run_without_logits(model, clean.tokens.tensor, points)
        recording = record(model, changed.tokens.tensor, points)
        reader = RowReader("logit_diff", changed)
        at = reader.positions
        before = reader.reduce(reader.read(recording.logits[:, at], at))
        for part in pieces(model.info, changed.tokens.ids.size, [head.layer for head in heads]):
            some = heads[part]
            cases = [_put(head, z[points[head.layer]]) for head in some]
            after = reader.reduce(rerun(model, recording, cases, at, reader.read))
            for head, change in zip(some, to_numpy(after - before), strict=True):
                values[changed.rows, head.layer, head.head] = change
            done += len(some) * len(changed.rows)
            if progress:
                progress(done, len(heads) * len(rows))
    return ByRow(values, np.array([row.index for row in rows]), np.nan)


def _put(head: Head, z: torch.Tensor) -> Case:
    """One head's z in the place of what it is."""
    where = (slice(None), head.head)
    return (Edit(head.layer, "attn.hook_z", where, z[:, :, head.head]),)


def _parts(
    model: HeadModel, fitted: FittedSet, rows: Sequence[FittedRow], prepend_bos: bool
) -> Iterator[Batch]:
    some = FittedSet(fitted.of, tuple(rows), tuple(batches_of(model, rows, prepend_bos)), ())
    return parts(some)


def _of_patterns(
    model: HeadModel,
    prompts: PromptSet,
    side: Side,
    prepend_bos: bool,
    measure: Callable[[Batch], tuple[np.ndarray, np.ndarray]],
    nowhere: str,
    progress: Progress | None,
) -> ByRow:
    """What is measured of patterns, on the side asked for, by row."""
    if side not in SIDES:
        raise AnalysisError(f"Side {side!r} is unknown. Choose one of: {', '.join(SIDES)}.")
    found, chance = {}, {}
    for one in ("prompt", "corrupt") if side == "difference" else (side,):
        of_side = prompts if one == "prompt" else corrupt_side(prompts)
        found[one], chance[one] = _measured(
            model, fit_set(model, of_side, prepend_bos), measure, progress
        )
    sides = []
    for one, by_row in found.items():
        if not by_row:
            raise AnalysisError(f"There is nothing to measure: {nowhere}. Choose another.")
        rows = sorted(by_row)
        level = float(np.mean([chance[one][row] for row in rows]))
        sides.append(ByRow(np.stack([by_row[row] for row in rows]), np.array(rows), level))
    return sides[0].less(sides[1]) if side == "difference" else sides[0]


def _measured(
    model: HeadModel,
    fitted: FittedSet,
    measure: Callable[[Batch], tuple[np.ndarray, np.ndarray]],
    progress: Progress | None,
) -> tuple[_Found, Mapping[int, float]]:
    found: _Found = {}
    chance: dict[int, float] = {}
    done = 0
    for batch in parts(fitted):
        one = 4 * model.n_layers * model.n_heads * batch.tokens.length**2
        size = max(1, min(MAX_BYTES // (4 * one), TOKENS_AT_ONCE // batch.tokens.length))
        for start in range(0, len(batch.rows), size):
            some = batch.part(slice(start, start + size))
            if progress:
                progress(done, len(fitted.rows))
            values, levels = measure(some)
            done += len(some.rows)
            for place, value, level in zip(some.rows, values, levels, strict=True):
                if np.isfinite(value).all():
                    index = fitted.rows[place].index
                    found[index], chance[index] = value, float(level)
    return found, chance


def corrupt_side(prompts: PromptSet) -> PromptSet:
    """The corrupt prompts of a set as a set, with the answers and places of their rows.

    Raises:
        AnalysisError: A row has no corrupt prompt.
    """
    for number, row in enumerate(prompts.rows, 1):
        if row.corrupt is None:
            raise AnalysisError(
                f"Row {number} has no corrupt prompt to compare with. Add a column `corrupt`."
            )
    rows = tuple(replace(row, prompt=row.corrupt or "", corrupt=None) for row in prompts.rows)
    return PromptSet(f"{prompts.name}, corrupt", rows)
