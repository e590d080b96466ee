"""What is measured of every row of a set: logit difference, log-probability, or loss."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.errors import AnalysisError
from analysis.models.loading import HeadModel
from analysis.runs.forward import run
from analysis.runs.pieces import TOKENS_AT_ONCE
from analysis.sets.fitted import Batch, FittedSet
from analysis.sets.spread import Spread, spread

Metric = Literal["logit_diff", "log_prob", "loss"]
METRICS: tuple[Metric, ...] = get_args(Metric)
# +1 where more is better for the task, -1 where less is.
BETTER: dict[Metric, int] = {"logit_diff": 1, "log_prob": 1, "loss": -1}
UNITS: dict[Metric, str] = {"logit_diff": "logits", "log_prob": "nats", "loss": "nats per token"}


@dataclass(frozen=True, eq=False)
class RowValues:
    """One number for each row of a fitted set."""

    values: Float[np.ndarray, " row"]
    metric: Metric

    def __post_init__(self) -> None:
        if not np.isfinite(self.values).all():
            raise ValueError("a row's number is not finite")
        freeze(self, "values")

    def spread(self, seed: int = 0) -> Spread:
        """Mean, standard deviation and bootstrap interval over the rows."""
        return spread(self.values, seed)


class RowReader:
    """Reads a metric from logits of a batch: at `positions`, then one number for each row."""

    def __init__(self, metric: Metric, batch: Batch) -> None:
        length = batch.tokens.length
        whole = metric == "loss"
        self.positions = torch.arange(length - 1) if whole else torch.tensor([length - 1])
        self._metric = metric
        self._answers = torch.from_numpy(np.array(batch.answers))[:, None]
        self._foils = torch.from_numpy(np.array(batch.foils))[:, None]
        self._next = batch.tokens.tensor[:, 1:]

    def read(
        self, logits: Float[Tensor, "*case batch entry d_vocab"], at: Int[Tensor, " entry"]
    ) -> Float[Tensor, "*case batch entry"]:
        """What the metric takes of logits at some of the positions."""

        def of(values: Tensor, ids: Tensor) -> Tensor:
            index = ids.to(values.device).expand(values.shape[:-1])
            return values.gather(-1, index[..., None])[..., 0]

        if self._metric == "logit_diff":
            return of(logits, self._answers) - of(logits, self._foils)
        wanted = self._answers if self._metric == "log_prob" else self._next[:, at]
        return of(logits.log_softmax(-1), wanted)

    def reduce(self, read: Float[Tensor, "*case batch entry"]) -> Float[Tensor, "*case batch"]:
        """One number for each row."""
        return -read.mean(-1) if self._metric == "loss" else read[..., 0]


def default_metric(fitted: FittedSet) -> Metric:
    """The metric that a set is made for: by what each of its rows has."""
    if fitted.has_foils:
        return "logit_diff"
    return "log_prob" if fitted.has_answers else "loss"


def require_metric(fitted: FittedSet, metric: Metric | None) -> Metric:
    """The metric asked for, or the set's own.

    Raises:
        AnalysisError: An unknown metric, or rows that lack what it needs.
    """
    if metric is None:
        return default_metric(fitted)
    if metric not in METRICS:
        raise AnalysisError(f"Metric {metric!r} is unknown. Choose one of: {', '.join(METRICS)}.")
    if metric == "logit_diff" and not fitted.has_foils:
        raise AnalysisError("The logit difference needs an answer and a foil in every row.")
    if metric == "log_prob" and not fitted.has_answers:
        raise AnalysisError("The log-probability needs an answer in every row.")
    return metric


def set_metric(model: HeadModel, fitted: FittedSet, metric: Metric | None = None) -> RowValues:
    """A metric of every row, as the model is.

    logit_diff: logit of the answer minus that of the foil after the prompt. log_prob: natural
    logarithm of the answer's probability. loss: mean over the prompt's tokens of -log p.

    Raises:
        AnalysisError: As `require_metric`.
    """
    chosen = require_metric(fitted, metric)
    values = np.empty(len(fitted.rows), np.float32)
    for batch in parts(fitted):
        reader = RowReader(chosen, batch)
        logits, _ = run(model, batch.tokens.tensor, positions=reader.positions)
        read = reader.read(logits, reader.positions)
        values[batch.rows] = to_numpy(reader.reduce(read))
    return RowValues(values, chosen)


def parts(fitted: FittedSet, tokens_at_once: int = 2 * TOKENS_AT_ONCE) -> Iterator[Batch]:
    """The batches of a set, cut so that none has many more tokens than that."""
    for batch in fitted.batches:
        count = len(batch.rows)
        # As even as can be, so that no row is left alone.
        size = ceil(count / ceil(count / max(1, tokens_at_once // batch.tokens.length)))
        for start in range(0, count, size):
            yield batch.part(slice(start, start + size))
