"""Workers that share pieces of work: each does one at a time, and a lost one's is done again."""

from __future__ import annotations

import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from analysis.errors import AnalysisError
from analysis.models.catalog import learn
from analysis.models.files import fingerprint
from app.compute.imports import import_all
from app.compute.refusals import TryAgain
from app.compute.workers.line import Line, Piece
from app.compute.workers.messages import NotAMessage, packed, unpacked
from app.compute.workers.pieces import Asked, Job, kinds

if TYPE_CHECKING:
    from analysis.models.info import ModelInfo

_log = logging.getLogger("headscope")
# Seconds between two looks whether the work is still wanted, and how far it is.
LOOK = 0.05
# Workers that may end over one piece before it is given up.
TRIES = 3
# Pieces given out for each worker: one is there when another is done.
AHEAD = 2
_LOST = (
    f"{TRIES} workers in turn ended while they worked on one piece of this. Try again in a minute; "
    "fewer sequences or a smaller model take less memory."
)
# Told what is done, what there is to do, and what has been found by then if it tells that.
Watch = Callable[[int, int, Any], None]


class WorkerLost(Exception):
    """A worker that has ended, or that says what makes no sense."""


class Worker(Protocol):
    """One worker, wherever it is."""

    def ask(self, data: bytes) -> bytes:
        """What it says to a message (`app.compute.workers.workshop`); waits for it.

        Raises:
            WorkerLost: It has ended.
        """

    def look(self, data: bytes) -> bytes | None:
        """What it says to a look while another thread asks; None where it cannot say.

        Raises:
            WorkerLost: It has ended.
        """

    def close(self) -> None:
        """End it."""


class Engine(Protocol):
    """What does pieces of work elsewhere. Without one they are done in this process."""

    width: int  # pieces that are worked on at once

    @property
    def met(self) -> Mapping[str, float | None]:
        """By fingerprint: how far models of workers are from transformers (`HeadModel.checked`)."""

    def map(
        self, job: Job, pieces: Iterable[tuple[Any, ...]], pause: Callable[[], None]
    ) -> Generator[Any, None, None]:
        """The result of each piece, in the order of the pieces, as they are done.

        Args:
            job: What they are pieces of.
            pieces: What is each one's own; asked for a few ahead of what has come back.
            pause: Called every now and then; lets through what it raises, and then no more is done.

        Raises:
            AnalysisError: What a piece raises, or workers end over it.
        """

    def ask(self, asked: Asked, pause: Callable[[], None], watch: Watch | None = None) -> Any:
        """The answer to a question.

        Args:
            asked: The question, its model and what it is asked about.
            pause: As in `map`.
            watch: Told as it goes on, if the question tells that; what it raises ends the work.

        Raises:
            AnalysisError: As in `map`.
        """

    def meet(self, info: ModelInfo, pause: Callable[[], None]) -> None:
        """Have a worker load a model, and learn from it what it was found to be.

        Raises:
            AnalysisError: As in `map`.
        """

    def close(self) -> None:
        """End all workers."""


class Crew:
    """An engine of several workers, each of which is hired when it is first needed.

    Args:
        hire: Makes one.
        width: How many.
        leave: Ends what they were hired from, when they have ended.
    """

    def __init__(
        self, hire: Callable[[], Worker], width: int, leave: Callable[[], None] = lambda: None
    ):
        self.width, self._hire, self._leave = width, hire, leave
        self.met: dict[str, float | None] = {}
        self._line = Line(width)
        self._threads: list[threading.Thread] = []

    def map(
        self, job: Job, pieces: Iterable[tuple[Any, ...]], pause: Callable[[], None]
    ) -> Generator[Any, None, None]:
        """See `Engine.map`."""
        import_all()
        name, kind = secrets.token_hex(8), kinds()[job.kind]
        mark = fingerprint(job.info)
        begin = packed("begin", name, job.kind, job.info.name, mark, job.shared)
        left = iter(pieces)
        under_way: deque[Piece] = deque()

        def made(own: tuple[Any, ...]) -> Piece:
            return Piece(job.info, packed("piece", name, own), begin, kind.result)

        try:
            while True:
                self._give_out(left, under_way, made)
                if not under_way:
                    return
                yield self._finish(under_way[0], pause)
                under_way.popleft()
        finally:
            self._line.drop(under_way)

    def ask(self, asked: Asked, pause: Callable[[], None], watch: Watch | None = None) -> Any:
        """See `Engine.ask`."""
        import_all()
        info, number = asked.info, secrets.token_hex(8) if watch else ""
        told = asked.watched if watch else ()
        what = (info.name, fingerprint(info), asked.question, asked.arguments, asked.options, told)
        return self._alone(info, packed("ask", number, *what), pause, watch, number)

    def meet(self, info: ModelInfo, pause: Callable[[], None]) -> None:
        """See `Engine.meet`."""
        import_all()
        self._alone(info, packed("meet", info.name, fingerprint(info)), pause)

    def close(self) -> None:
        """End all workers; what they work on is lost."""
        self._line.close()
        for thread in self._threads:
            thread.join(10)
        self._leave()

    def _alone(
        self,
        info: ModelInfo,
        data: bytes,
        pause: Callable[[], None],
        watch: Watch | None = None,
        number: str = "",
    ) -> Any:
        """What a piece of its own comes out as, which goes before the pieces of jobs."""
        piece = Piece(info, data, first=True, number=number)
        self._put(piece)
        try:
            (value,) = self._finish(piece, pause, watch)
        finally:
            self._line.drop([piece])
            if (worker := piece.worker) is not None:
                _look(worker, piece, stop=True)
        return value

    def _give_out(
        self,
        left: Iterator[tuple[Any, ...]],
        under_way: deque[Piece],
        made: Callable[[tuple[Any, ...]], Piece],
    ) -> None:
        while len(under_way) < AHEAD * self.width:
            own = next(left, None)
            if own is None:
                return
            piece = made(own)
            under_way.append(piece)
            self._put(piece)

    def _put(self, piece: Piece) -> None:
        self._line.put(piece)
        with self._line.changed:
            while len(self._threads) < self.width:
                # A daemon: it must not keep a server from ending.
                thread = threading.Thread(target=self._work, daemon=True, name="worker")
                self._threads.append(thread)
                thread.start()

    def _finish(self, piece: Piece, pause: Callable[[], None], watch: Watch | None = None) -> Any:
        """Wait for a piece; what it comes out as."""
        told: tuple[int, int] | None = None
        # Also where it is done at once: who has left must not be given piece after piece.
        pause()
        while not self._line.is_done(piece, LOOK):
            pause()
            if watch is None or (worker := piece.worker) is None:
                continue
            if (now := _look(worker, piece)) is not None and now[:2] != told:
                told = now[:2]
                watch(*now)
        if piece.failure is not None:
            raise piece.failure
        return piece.value

    def _work(self) -> None:
        """One worker's days: it takes the next piece; if it is lost another takes its place."""
        worker: Worker | None = None
        has = ""
        while (piece := self._line.next(has)) is not None:
            try:
                worker = worker or self._hire()
                piece.worker = worker
                _do(worker, piece)
                has = piece.info.name
                self._meet(worker, piece.info)
            except (WorkerLost, NotAMessage) as error:
                _log.warning("a worker was lost (%s); its piece of work is done again", error)
                if worker is not None:
                    worker.close()
                worker, has, piece.value = None, "", None
                piece.lost += 1
                if piece.lost == TRIES:
                    piece.failure = TryAgain(_LOST)
            # Also what is a mistake of ours: who waits would wait for ever.
            except Exception as error:
                _log.exception("a piece of work could not be asked for")
                piece.failure = error
            self._line.finished(piece)
            if not piece.done and not piece.dropped:
                self._line.put_back(piece)
        if worker is not None:
            worker.close()

    def _meet(self, worker: Worker, info: ModelInfo) -> None:
        """Learn once what a worker's model was found to be when it was loaded."""
        mark = fingerprint(info)
        if mark in self.met:
            return
        match unpacked(worker.ask(packed("met", info.name))):
            case ("met", Mapping() as found, float() | None as checked):
                learn(replace(info, **found))
                self.met[mark] = checked
            case ("unknown",):  # it was refused
                return
            case _:
                raise WorkerLost("it said what answers nothing")


def _do(worker: Worker, piece: Piece) -> None:
    """Have a piece worked out, by a worker that is told first what it belongs to if need be."""
    said = unpacked(worker.ask(piece.data))
    if said == ("unknown",) and piece.begin is not None:
        said = unpacked(worker.ask(piece.begin))
        if said == ("begun",):
            said = unpacked(worker.ask(piece.data))
    match said:
        case ("done", value) if piece.result is not None and isinstance(value, piece.result):
            piece.value = value
        case ("answer", value) if piece.result is None:
            piece.value = (value,)
        case ("refused", str() as sentence, bool() as again):
            piece.failure = TryAgain(sentence) if again else AnalysisError(sentence)
        case ("failed", str() as what):
            piece.failure = RuntimeError(f"a worker failed with {what}")
        case _:
            raise WorkerLost("it said what answers nothing")


def _look(worker: Worker, piece: Piece, stop: bool = False) -> tuple[int, int, Any] | None:
    """How far a worker is with a piece that is watched, which it may be told to stop."""
    if not piece.number:
        return None
    try:
        said = worker.look(packed("look", piece.number, stop))
        match unpacked(said) if said is not None else ():
            case ("at", int() as done, int() as total, found):
                return done, total, found
    except (WorkerLost, NotAMessage):
        pass  # whoever asks it finds out, and has another do the piece
    return None
