"""Scores of whole models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import analysis
from analysis.limits import mosaic_size
from app.compute.ask import ask, known
from app.compute.question import Question
from app.compute.server import current_server

if TYPE_CHECKING:
    from analysis.models.info import ModelInfo
    from analysis.runs.results import HeadScores


def _runs(info: ModelInfo) -> tuple[int, int]:
    half, batch = mosaic_size(info.n_layers, info.n_heads, info.n_ctx)
    return batch, 2 * half + 1


MOSAIC_SCORES = Question(
    "mosaic_scores", lambda: analysis.mosaic_scores, _runs, logits="none", by_worker=True
)


def model_scores(info: ModelInfo) -> HeadScores:
    """The scores of a whole model; waits for them."""
    return ask(MOSAIC_SCORES, info)


def mosaic(infos: Sequence[ModelInfo]) -> dict[str, HeadScores | str | None]:
    """The scores of whole models, as far as they are known; see `OneByOne.watch`."""
    server = current_server()

    def compute(info: ModelInfo) -> None:
        with server.used():
            model_scores(info)

    return server.mosaic.watch(infos, lambda info: known(MOSAIC_SCORES, info), compute)
