"""Scores of whole models, kept on disk and computed in the background; no Streamlit, no torch.

A file is named by the weights and by the version of the definitions. Those of the bundled models
are part of the repository (`python -m app.compute.mosaic_scores` makes them anew).
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.definitions import SCORE_NAMES, ScoreName
from analysis.errors import AnalysisError
from analysis.models.catalog import BUNDLED, fingerprint, list_models
from analysis.models.info import ModelInfo

VERSION = 2  # raise it when a definition of a score, or the tokens they are on, change
SHIPPED = BUNDLED / "mosaic"
# Seconds without a look after which no further model is begun.
PATIENCE = 10.0
_log = logging.getLogger("headscope")


@dataclass(frozen=True, eq=False)
class ModelScores:
    """Every score of a model's heads, [layer, head] each, and their chance level."""

    scores: Mapping[ScoreName, np.ndarray]
    chance: Mapping[ScoreName, float]


def cache_folder() -> Path:
    """Where results are kept: a cache of this user's."""
    if own := os.environ.get("HEADSCOPE_CACHE"):
        return Path(own) / "mosaic"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "headscope" / "mosaic"


def read(info: ModelInfo) -> ModelScores | None:
    """What is kept of a model; None if nothing is, or nothing that can be trusted."""
    name = f"{fingerprint(info)}-{VERSION}.npz"
    if shipped := _read_file(SHIPPED / name, info):
        return shipped
    kept = _read_file(cache_folder() / name, info)
    # What was kept before there was a score is computed again, with it.
    whole = kept and all(np.isfinite(values).all() for values in kept.scores.values())
    return kept if whole else None


def _read_file(file: Path, info: ModelInfo) -> ModelScores | None:
    """The scores of a file; those that it does not hold are NaN: not measured."""
    try:
        with np.load(file, allow_pickle=False) as kept:
            names = [str(name) for name in kept["names"]]
            scores = {name: kept[name] for name in names}
            levels = dict(zip(names, kept["chance"].tolist(), strict=True))
    except Exception:  # zip, compression and numpy each raise kinds of their own
        return None
    shape = info.n_layers, info.n_heads
    if any(v.shape != shape or not np.isfinite(v).all() for v in scores.values()):
        return None
    unknown = np.full(shape, np.nan, np.float32)
    return ModelScores(
        {name: scores.get(name, unknown) for name in SCORE_NAMES},
        {name: levels.get(name, float("nan")) for name in SCORE_NAMES},
    )


def write(info: ModelInfo, found: ModelScores, folder: Path) -> None:
    """Keep scores: written aside and renamed, so that a file is there in whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as aside:
        try:
            names = list(found.scores)
            levels = np.array([found.chance[name] for name in names])
            np.savez_compressed(aside, **found.scores, names=names, chance=levels)  # type: ignore[arg-type]
            aside.close()
            os.replace(aside.name, folder / f"{fingerprint(info)}-{VERSION}.npz")
        except BaseException:
            os.unlink(aside.name)
            raise


class Mosaic:
    """The scores of models, computed one model at a time for as long as somebody looks."""

    def __init__(self, compute: Callable[[ModelInfo], ModelScores], patience: float = PATIENCE):
        self._compute, self._patience = compute, patience
        self._lock = threading.Lock()
        self._found: dict[str, ModelScores] = {}
        self._failed: dict[str, str] = {}
        self._sought: set[str] = set()
        self._wanted: tuple[ModelInfo, ...] = ()
        self._looked = 0.0
        self._working = False

    def watch(self, infos: Sequence[ModelInfo]) -> dict[str, ModelScores | str | None]:
        """By name: the scores, or a sentence about why there are none, or None for not yet."""
        for info in infos:
            if info.name not in self._sought:
                self._sought.add(info.name)  # once: it takes reading all of the weights
                if kept := read(info):
                    self._found[info.name] = kept
        with self._lock:
            known: dict[str, ModelScores | str | None] = {
                info.name: self._found.get(info.name) or self._failed.get(info.name)
                for info in infos
            }
            self._wanted = tuple(info for info in infos if known[info.name] is None)
            self._looked = time.monotonic()
            if self._wanted and not self._working:
                self._working = True
                threading.Thread(target=self._work, daemon=True, name="mosaic").start()
            return known

    def _work(self) -> None:
        while info := self._next():
            try:
                self._found[info.name] = found = self._compute(info)
                write(info, found, cache_folder())
            except AnalysisError as refusal:
                self._failed[info.name] = str(refusal)
            except OSError:
                _log.warning("scores of %s cannot be kept on disk", info.name)
            except Exception:
                _log.exception("scores of %s failed", info.name)
                self._failed[info.name] = f"The scores of {info.name} could not be computed."

    def _next(self) -> ModelInfo | None:
        with self._lock:
            if time.monotonic() - self._looked < self._patience:
                for info in self._wanted:
                    if info.name not in self._found and info.name not in self._failed:
                        return info
            self._working = False
            return None


def ship(info: ModelInfo) -> None:
    """Write the file that comes with a bundled model."""
    from analysis.heads.mosaic import mosaic_scores
    from analysis.models.loading import load_model

    result = mosaic_scores(load_model(info.name))
    write(info, ModelScores({name: result[name] for name in SCORE_NAMES}, result.chance), SHIPPED)


if __name__ == "__main__":
    for bundled in list_models():
        if bundled.folder.parent == BUNDLED:
            ship(bundled)
