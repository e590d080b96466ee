"""Scores of whole models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.definitions import SCORES
from app.compute.engine import engine, loaded
from app.compute.mosaic_scores import ModelScores, Mosaic

if TYPE_CHECKING:
    from analysis.models.info import ModelInfo


def mosaic(infos: Sequence[ModelInfo]) -> dict[str, ModelScores | str | None]:
    """The scores of whole models, as far as they are known; see `Mosaic.watch`."""
    return _mosaic.watch(infos)


def _model_scores(info: ModelInfo) -> ModelScores:
    found = engine().mosaic_scores(loaded(info))
    return ModelScores({name: found[name] for name in SCORES}, found.chance)


_mosaic = Mosaic(_model_scores)
