"""How a model came to be: what was measured while it was trained. Free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from analysis.definitions import SCORE_NAMES, ScoreName
from analysis.errors import AnalysisError
from analysis.models.catalog import list_models
from analysis.models.files import read_json
from analysis.models.info import ModelInfo

_FILE = "history.json"


@dataclass(frozen=True, eq=False)
class HeadHistory:
    """Every head's scores at some steps of a training run, first to last.

    The scores are those of `HeadScores`, of every record on the same random tokens repeated; NaN
    where a score has not been measured, as where the history is older than the score.
    """

    steps: Int[np.ndarray, " record"]
    scores: Mapping[ScoreName, Float[np.ndarray, "record layer head"]]

    @property
    def transition(self) -> int | None:
        """The record at which induction heads have formed; see `definitions.TRANSITION`."""
        best = self.scores["induction"].max((1, 2))
        passed = best >= best[-1] / 2  # NaN never is
        # At its first record a model is untrained: what is there already has not formed.
        return int(passed.argmax()) if passed.any() and not passed[0] else None

    def measured(self, score: ScoreName) -> Bool[np.ndarray, " record"]:
        """At which records a score has been measured."""
        known: np.ndarray = ~np.isnan(self.scores[score]).any((1, 2))
        return known

    def record(self, step: int) -> int:
        """The last record that is not after `step`."""
        return max(int(np.searchsorted(self.steps, step, side="right")) - 1, 0)


@dataclass(frozen=True, eq=False)
class TrainingHistory(HeadHistory):
    """What was measured at each record of a training run of ours.

    Losses in nats per token, on held-out text and on both halves of 10 sequences of 50 random
    tokens repeated; scores are of the same sequences.
    """

    tokens: Int[np.ndarray, " record"]  # seen since the beginning
    text_loss: Float[np.ndarray, " record"]
    first_half_loss: Float[np.ndarray, " record"]
    second_half_loss: Float[np.ndarray, " record"]


def has_history(info: ModelInfo) -> bool:
    """Whether a model comes with the history of its training."""
    return (info.folder / _FILE).is_file()


def training_history(info: ModelInfo) -> TrainingHistory:
    """The history of the training that led to a model or a checkpoint.

    Raises:
        AnalysisError: It comes without one, or the file is damaged.
    """
    if not has_history(info):
        names = ", ".join(other.name for other in list_models() if has_history(other))
        raise AnalysisError(
            f"{info.name} comes without a history of its training. Models with one: {names}; to "
            "Pythia models checkpoints can be added."
        )
    return _read(info.folder / _FILE, info.n_layers, info.n_heads)


@cache
def _read(file: Path, n_layers: int, n_heads: int) -> TrainingHistory:
    try:
        records = read_json(file)

        def column(key: str, kind: Any = np.float32) -> np.ndarray:
            values = np.array([record[key] for record in records], kind)
            values.setflags(write=False)
            return values

        unknown = [[np.nan] * n_heads] * n_layers
        held: list[dict[str, Any]] = [{**record["scores"]} for record in records]
        scores = {
            name: np.array([each.get(name, unknown) for each in held], np.float32)
            for name in SCORE_NAMES
        }
        history = TrainingHistory(
            steps=column("step", np.int64),
            tokens=column("tokens", np.int64),
            text_loss=column("text_loss"),
            first_half_loss=column("first_half_loss"),
            second_half_loss=column("second_half_loss"),
            scores=MappingProxyType(scores),
        )
        shape = len(records), n_layers, n_heads
        if not records or any(values.shape != shape for values in scores.values()):
            raise ValueError("no records, or scores of other heads")
        if (np.diff(history.steps) <= 0).any() or history.steps[0] < 0:
            raise ValueError("records out of order")
    # Numbers too large for an array, and lists too deep for the parser, have kinds of their own.
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise AnalysisError(f"{file.parent.name}/{_FILE} is damaged.") from error
    for values in scores.values():
        values.setflags(write=False)
    return history
