"""What a worker does: it keeps a model and what its pieces share, and works out one at a time."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from analysis.errors import AnalysisError
from analysis.models.catalog import find_model, refresh
from analysis.models.files import fingerprint
from app.compute.imports import import_all
from app.compute.refusals import TryAgain, memory_errors_said
from app.compute.workers.messages import packed, unpacked
from app.compute.workers.pieces import kinds

if TYPE_CHECKING:
    from analysis.models.loading import HeadModel

_log = logging.getLogger("headscope")
# Jobs that a worker has begun: the other of two that take turns need not be begun again.
JOBS = 2


class Workshop:
    """One worker's models and jobs.

    Args:
        load: Loads a model by its name.
        models: How many it keeps, the least recently used goes first.
    """

    def __init__(self, load: Callable[[str], HeadModel], models: int = 1):
        self._load, self._most = load, models
        self._models: OrderedDict[str, HeadModel] = OrderedDict()
        # By number: the model's name, its fingerprint, and what works out a piece.
        self._jobs: OrderedDict[str, tuple[str, str, Callable[..., Any]]] = OrderedDict()
        import_all()

    def answer(self, data: bytes) -> bytes:
        """What is said to a message, whatever that is.

        ("begin", job, kind, model, fingerprint, shared) is answered by ("begun",), and
        ("piece", job, own) by ("done", result), or ("unknown",) where the job has to be begun
        first; either by ("refused", sentence, whether to try again) or ("failed", what).
        """
        try:
            what, job, *rest = unpacked(data)
            with memory_errors_said():
                if what == "begin":
                    self._begin(job, *rest)
                    return packed("begun")
                if job not in self._jobs:
                    return packed("unknown")
                return packed("done", self._piece(job, *rest))
        except AnalysisError as error:
            return packed("refused", str(error), isinstance(error, TryAgain))
        except Exception as error:
            _log.exception("a piece of work failed")
            return packed("failed", type(error).__name__)

    def _begin(self, job: str, kind: str, name: str, mark: str, shared: tuple[Any, ...]) -> None:
        model = self._model(name, mark)
        while len(self._jobs) >= JOBS:
            self._jobs.popitem(last=False)
        self._jobs[job] = name, mark, kinds()[kind].begin(model, *shared)

    def _piece(self, job: str, own: tuple[Any, ...]) -> Any:
        self._jobs.move_to_end(job)
        name, mark, work = self._jobs[job]
        result = work(*own)
        # Afterwards: a file that is mapped may have changed meanwhile.
        _require(name, mark)
        return result

    def _model(self, name: str, mark: str) -> HeadModel:
        _require(name, mark)
        model = self._models.get(name)
        if model is None or model.fingerprint != mark:
            self._models.pop(name, None)
            while len(self._models) >= self._most:
                gone, _ = self._models.popitem(last=False)
                # They hold the model.
                for job in [key for key, (of, *_) in self._jobs.items() if of == gone]:
                    del self._jobs[job]
            model = self._load(name)
            self._models[name] = model
        self._models.move_to_end(name)
        return model


def _require(name: str, mark: str) -> None:
    refresh()
    if fingerprint(find_model(name)) != mark:
        raise TryAgain(f"The files of {name} are others here than where they were asked about.")
