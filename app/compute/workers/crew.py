"""Workers that share pieces of work: each does one at a time, and a lost one's is done again."""

from __future__ import annotations

import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from analysis.errors import AnalysisError
from analysis.models.files import fingerprint
from app.compute.imports import import_all
from app.compute.refusals import TryAgain
from app.compute.workers.messages import NotAMessage, packed, unpacked
from app.compute.workers.pieces import Job, kinds

_log = logging.getLogger("headscope")
# Seconds between two looks whether the work is still wanted.
LOOK = 0.05
# Workers that may end over one piece before it is given up.
TRIES = 3
# Pieces given out for each worker: one is there when another is done.
AHEAD = 2


class WorkerLost(Exception):
    """A worker that has ended, or that says what makes no sense."""


class Worker(Protocol):
    """One worker, wherever it is."""

    def ask(self, data: bytes) -> bytes:
        """What it says to a message (`app.compute.workers.workshop`); waits for it.

        Raises:
            WorkerLost: It has ended.
        """

    def close(self) -> None:
        """End it."""


class Engine(Protocol):
    """What does pieces of work elsewhere. Without one they are done in this process."""

    width: int  # pieces that are worked on at once

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

    def close(self) -> None:
        """End all workers."""


@dataclass(eq=False)
class _Piece:
    """One piece; what is not given is guarded by the lock of its `Crew`."""

    job: str
    begin: bytes
    data: bytes
    result: type
    lost: int = 0
    done: bool = False
    value: Any = None
    failure: Exception | None = None
    dropped: bool = field(default=False)  # nobody wants it any more


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
        self._changed = threading.Condition()
        self._queue: deque[_Piece] = deque()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def map(
        self, job: Job, pieces: Iterable[tuple[Any, ...]], pause: Callable[[], None]
    ) -> Generator[Any, None, None]:
        """See `Engine.map`."""
        import_all()
        name, kind = secrets.token_hex(8), kinds()[job.kind]
        mark = fingerprint(job.info)
        begin = packed("begin", name, job.kind, job.info.name, mark, job.shared)
        left = iter(pieces)
        under_way: deque[_Piece] = deque()
        try:
            while True:
                self._give_out(left, under_way, name, begin, kind.result)
                if not under_way:
                    return
                first = under_way[0]
                # Also where it is done at once: who has left must not be given piece after piece.
                pause()
                while not self._is_done(first):
                    pause()
                under_way.popleft()
                if first.failure is not None:
                    raise first.failure
                yield first.value
        finally:
            self._drop(under_way)

    def close(self) -> None:
        """End all workers; what they work on is lost."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(10)
        self._leave()

    def _give_out(
        self,
        left: Iterator[tuple[Any, ...]],
        under_way: deque[_Piece],
        job: str,
        begin: bytes,
        result: type,
    ) -> None:
        while len(under_way) < AHEAD * self.width:
            own = next(left, None)
            if own is None:
                return
            piece = _Piece(job, begin, packed("piece", job, own), result)
            under_way.append(piece)
            with self._changed:
                self._queue.append(piece)
                if len(self._threads) < self.width:
                    # A daemon: it must not keep a server from ending.
                    thread = threading.Thread(target=self._work, daemon=True, name="worker")
                    self._threads.append(thread)
                    thread.start()
                self._changed.notify_all()

    def _is_done(self, piece: _Piece) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: piece.done, LOOK)

    def _drop(self, pieces: Iterable[_Piece]) -> None:
        """Take back what nobody has begun; what is being worked on is not waited for."""
        with self._changed:
            for piece in pieces:
                piece.dropped = True
            self._queue = deque(each for each in self._queue if not each.dropped)

    def _work(self) -> None:
        """One worker's days: it takes the next piece; if it is lost another takes its place."""
        worker: Worker | None = None
        while (piece := self._next()) is not None:
            try:
                worker = worker or self._hire()
                _do(worker, piece)
            except (WorkerLost, NotAMessage) as error:
                _log.warning("a worker was lost (%s); its piece of work is done again", error)
                if worker is not None:
                    worker.close()
                worker = None
                self._put_back(piece)
            # Also what is a mistake of ours: who waits would wait for ever.
            except Exception as error:
                _log.exception("a piece of work could not be asked for")
                piece.failure = error
            with self._changed:
                piece.done = piece.failure is not None or piece.value is not None
                self._changed.notify_all()
        if worker is not None:
            worker.close()

    def _next(self) -> _Piece | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            return None if self._closed else self._queue.popleft()

    def _put_back(self, piece: _Piece) -> None:
        with self._changed:
            piece.lost += 1
            if piece.lost < TRIES:
                if not piece.dropped:
                    self._queue.appendleft(piece)
                return
            piece.failure = TryAgain(
                f"{TRIES} workers in turn ended while they worked on one piece of this. Try again "
                "in a minute; fewer sequences or a smaller model take less memory."
            )


def _do(worker: Worker, piece: _Piece) -> None:
    """Have a piece worked out, by a worker that is told first what it belongs to if need be."""
    said = unpacked(worker.ask(piece.data))
    if said == ("unknown",):
        said = unpacked(worker.ask(piece.begin))
        if said == ("begun",):
            said = unpacked(worker.ask(piece.data))
    match said:
        case ("done", value) if isinstance(value, piece.result):
            piece.value = value
        case ("refused", str() as sentence, bool() as again):
            piece.failure = TryAgain(sentence) if again else AnalysisError(sentence)
        case ("failed", str() as what):
            piece.failure = RuntimeError(f"a worker failed with {what}")
        case _:
            raise WorkerLost("it said what answers nothing")
