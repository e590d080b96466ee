"""What a worker does: it keeps a model and what its pieces share, and works out one at a time."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

from analysis.errors import AnalysisError
from analysis.models.catalog import find_model, refresh
from analysis.models.files import fingerprint
from app.compute.imports import import_all
from app.compute.refusals import TryAgain, memory_errors_said
from app.compute.workers.messages import packed, unpacked
from app.compute.workers.pieces import kinds

if TYPE_CHECKING:
    from analysis.models.info import ModelInfo
    from analysis.models.loading import HeadModel
    from app.compute.question import Question

_log = logging.getLogger("headscope")
# Jobs that a worker has begun: the other of two that take turns need not be begun again.
JOBS = 2


def facts_of(info: ModelInfo) -> dict[str, Any]:
    """What a model was found to be, less where its files are, which is each machine's own."""
    told = (field.name for field in fields(info) if field.name != "folder")
    return {name: getattr(info, name) for name in told}


class _Stopped(Exception):
    """Nobody wants the answer any more."""


class _Watched:
    """How far a question is: told by the thread that works it out, read by another."""

    def __init__(self, number: str):
        self.number, self.stopped = number, False
        # What is done, of how much, and what has been found by then; None before it tells that.
        self.now: tuple[int, int, Any] | None = None
        self._found: Any = None

    def progress(self, done: int, total: int) -> None:
        """Called between the pieces of a question."""
        if self.stopped:
            raise _Stopped
        self.now = (done, total, self._found)

    def told(self, found: Any) -> None:
        """Called before that with what has been found, by a question that tells it."""
        self._found = found


class Workshop:
    """One worker's models and jobs.

    Args:
        load: Loads a model by its name.
        questions: What it can be asked, by name.
        models: How many models it keeps, the least recently used goes first.
    """

    def __init__(
        self,
        load: Callable[[str], HeadModel],
        questions: Mapping[str, Question[..., Any]],
        models: int = 1,
    ):
        self._load, self._questions, self._most = load, questions, models
        self._models: OrderedDict[str, HeadModel] = OrderedDict()
        # By number: the model's name, its fingerprint, and what works out a piece.
        self._jobs: OrderedDict[str, tuple[str, str, Callable[..., Any]]] = OrderedDict()
        # By name, the fingerprint of a model that was refused, and why: it would be loaded again
        # for each who asks, and others let go of for it.
        self._refused: dict[str, tuple[str, str]] = {}
        self._watched = _Watched("")
        import_all()

    def answer(self, data: bytes) -> bytes:
        """What is said to a message, whatever that is.

        ("begin", job, kind, model, fingerprint, shared) is answered by ("begun",), and
        ("piece", job, own) by ("done", result), or ("unknown",) where the job has to be begun
        first. ("ask", number, model, fingerprint, question, arguments, options, watched) is
        answered by ("answer", what it is), and ("meet", model, fingerprint), when the model is
        loaded, by ("met", what it was found to be, how far it is from transformers). Each may be
        answered by ("refused", sentence, whether to try again) or ("failed", what).
        """
        try:
            what, *rest = unpacked(data)
            with memory_errors_said():
                return packed(*self._said[what](self, *rest))
        except AnalysisError as error:
            return packed("refused", str(error), isinstance(error, TryAgain))
        except _Stopped:
            return packed("refused", "This was stopped.", True)
        except Exception as error:
            _log.exception("a piece of work failed")
            return packed("failed", type(error).__name__)

    def look(self, data: bytes) -> bytes:
        """What is said to a look at a question while another thread works it out.

        ("look", number, whether to stop it) is answered by ("at", done, all, what was found by
        then), or ("elsewhere",) where another is worked on or it has told nothing yet.
        """
        what, number, stop = unpacked(data)
        watched = self._watched
        if what != "look" or number != watched.number:
            return packed("elsewhere")
        watched.stopped |= stop
        return packed("elsewhere") if watched.now is None else packed("at", *watched.now)

    def _begin(
        self, job: str, kind: str, name: str, mark: str, shared: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        model = self._model(name, mark)
        while len(self._jobs) >= JOBS:
            self._jobs.popitem(last=False)
        self._jobs[job] = name, mark, kinds()[kind].begin(model, *shared)
        return ("begun",)

    def _piece(self, job: str, own: tuple[Any, ...]) -> tuple[Any, ...]:
        if job not in self._jobs:
            return ("unknown",)
        self._jobs.move_to_end(job)
        name, mark, work = self._jobs[job]
        result = work(*own)
        self._require(name, mark)
        return "done", result

    def _ask(
        self,
        number: str,
        name: str,
        mark: str,
        question: str,
        arguments: tuple[Any, ...],
        options: Mapping[str, Any],
        watched: tuple[str, ...],
    ) -> tuple[Any, ...]:
        self._watched = telling = _Watched(number)
        model = self._model(name, mark)
        tells = {option: getattr(telling, option) for option in watched}
        answer = self._questions[question](model, *arguments, **options, **tells)
        self._require(name, mark)
        return "answer", answer

    def _meet(self, name: str, mark: str) -> tuple[Any, ...]:
        model = self._model(name, mark)
        return "met", facts_of(model.info), model.checked

    _said: ClassVar[Mapping[str, Callable[..., tuple[Any, ...]]]] = {
        "begin": _begin,
        "piece": _piece,
        "ask": _ask,
        "meet": _meet,
    }

    def _is_there(self, name: str, mark: str) -> bool:
        model = self._models.get(name)
        return model is not None and model.fingerprint == mark and model.is_current

    def _require(self, name: str, mark: str) -> None:
        # After the work too: a file that is mapped may have changed meanwhile.
        if not self._is_there(name, mark):
            refresh()
            if fingerprint(find_model(name)) != mark:
                raise TryAgain(
                    f"The files of {name} are others here than where they were asked about."
                )

    def _model(self, name: str, mark: str) -> HeadModel:
        self._require(name, mark)
        if not self._is_there(name, mark):
            refused, why = self._refused.get(name, ("", ""))
            if refused == mark:
                raise AnalysisError(why)
            self._models.pop(name, None)
            while len(self._models) >= self._most:
                gone, _ = self._models.popitem(last=False)
                # They hold the model.
                for job in [key for key, (of, *_) in self._jobs.items() if of == gone]:
                    del self._jobs[job]
            try:
                self._models[name] = self._load(name)
            except TryAgain:
                raise
            except AnalysisError as error:
                self._refused[name] = mark, str(error)
                raise
        self._models.move_to_end(name)
        return self._models[name]
