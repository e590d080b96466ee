"""Workers that share pieces of work: each does one at a time, and a lost one's is done again."""

from __future__ import annotations

import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from analysis.errors import AnalysisError
from analysis.models.catalog import learn
from analysis.models.files import fingerprint
from app.compute.imports import import_all
from app.compute.refusals import TryAgain
from app.compute.workers.messages import NotAMessage, packed, unpacked
from app.compute.workers.office import Office, Taken, Wanted, Worker, WorkerLost
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
# Called every now and then while somebody waits, with whether a worker loads a model for it.
Pause = Callable[[bool], None]
# Told what is done, what there is to do, and what has been found by then if it tells that.
Watch = Callable[[int, int, Any], None]


@dataclass(eq=False)
class Piece:
    """One piece of work, and what becomes of it.

    Args:
        info: The model that it is of.
        data: The message that asks for it; empty where the model is all that is wanted.
        begin: The message before it, to a worker that does not know the job it belongs to.
        result: What a piece of a job comes out as; a question's answer is a tuple with it alone.
        first: Whether it goes before pieces that are not: a page waits for it alone.
        long: Whether it is watched, and then may take a while.
    """

    info: ModelInfo
    data: bytes
    begin: bytes | None = None
    result: type | None = None
    first: bool = False
    long: bool = False
    number: str = field(default_factory=lambda: secrets.token_hex(8))
    worker: Worker | None = None  # that is at it now
    loading: bool = False  # its model, before it begins
    lost: int = 0
    value: Any = None
    failure: Exception | None = None
    dropped: bool = False  # nobody wants it any more
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def wanted(self) -> Wanted:
        """What it needs a worker for."""
        return Wanted(self.number, self.info.name, self.first, self.long, self.lost > 0)


class Engine(Protocol):
    """What does pieces of work elsewhere. Without one they are done in this process."""

    @property
    def width(self) -> int:
        """How many pieces are worked on at once."""

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

    def ask(self, asked: Asked, pause: Pause, watch: Watch | None = None) -> Any:
        """The answer to a question.

        Args:
            asked: The question, its model and what it is asked about.
            pause: As in `map`, and told whether a worker loads the model first.
            watch: Told as it goes on, if the question tells that; what it raises ends the work.

        Raises:
            AnalysisError: As in `map`.
        """

    def meet(self, info: ModelInfo, pause: Pause) -> None:
        """Have a worker load a model, and learn from it what it was found to be.

        Args:
            info: Which.
            pause: As in `ask`.

        Raises:
            AnalysisError: As in `map`.
        """

    def close(self) -> None:
        """End all workers."""


class Crew:
    """An engine of several workers, each of which is hired when it is first needed.

    Args:
        office: Gives them out.
        leave: Ends what they were hired from, when they have ended.
    """

    def __init__(self, office: Office, leave: Callable[[], None] = lambda: None):
        self.office, self._leave = office, leave
        self.met: dict[str, float | None] = {}

    @property
    def width(self) -> int:
        """See `Engine`."""
        return self.office.width

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
                yield self._finish(under_way[0], lambda loading: pause())
                under_way.popleft()
        finally:
            for piece in under_way:
                self._drop(piece)

    def ask(self, asked: Asked, pause: Pause, watch: Watch | None = None) -> Any:
        """See `Engine.ask`."""
        import_all()
        info = asked.info
        told = asked.watched if watch else ()
        what = (info.name, fingerprint(info), asked.question, asked.arguments, asked.options, told)
        piece = Piece(info, b"", first=True, long=watch is not None)
        piece.data = packed("ask", piece.number, *what)
        (answer,) = self._alone(piece, pause, watch)
        return answer

    def meet(self, info: ModelInfo, pause: Pause) -> None:
        """See `Engine.meet`."""
        import_all()
        self._alone(Piece(info, b"", first=True), pause)

    def close(self) -> None:
        """End all workers; what they work on is lost."""
        self.office.close()
        self._leave()

    def _alone(self, piece: Piece, pause: Pause, watch: Watch | None = None) -> Any:
        """What a piece of its own comes out as, which goes before the pieces of jobs."""
        self._begin(piece)
        try:
            return self._finish(piece, pause, watch)
        finally:
            self._drop(piece)
            if piece.long and (worker := piece.worker) is not None:
                _look(worker, piece, stop=True)

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
            self._begin(piece)

    def _begin(self, piece: Piece) -> None:
        # A daemon: it must not keep a server from ending.
        threading.Thread(target=self._see_to, args=(piece,), daemon=True, name="worker").start()

    def _drop(self, piece: Piece) -> None:
        """Take back what nobody has begun; what is being worked on is not waited for."""
        piece.dropped = True
        self.office.drop(piece.number)

    def _finish(self, piece: Piece, pause: Pause, watch: Watch | None = None) -> Any:
        """Wait for a piece; what it comes out as."""
        told: tuple[int, int] | None = None
        # Also where it is done at once: who has left must not be given piece after piece.
        pause(False)
        while not piece.over.wait(LOOK):
            pause(piece.loading)
            if watch is None or piece.loading or (worker := piece.worker) is None:
                continue
            if (now := _look(worker, piece)) is not None and now[:2] != told:
                told = now[:2]
                watch(*now)
        if piece.failure is not None:
            raise piece.failure
        return piece.value

    def _see_to(self, piece: Piece) -> None:
        """Have a piece done, by another worker where one is lost over it."""
        while not piece.dropped and piece.value is None and piece.failure is None:
            try:
                self._have_done(piece)
            except (WorkerLost, NotAMessage) as error:
                _log.warning("a worker was lost (%s); its piece of work is done again", error)
                piece.lost += 1
                if piece.lost == TRIES:
                    piece.failure = TryAgain(_LOST)
            # Also what is a mistake of ours: who waits would wait for ever.
            except Exception as error:
                _log.exception("a piece of work could not be asked for")
                piece.failure = error
        piece.over.set()

    def _have_done(self, piece: Piece) -> None:
        """Have a piece done by the next worker that is free; it is given back, or was lost."""
        if (taken := self.office.take(piece.wanted)) is None:
            return
        if piece.dropped:  # before the office had heard of it
            self.office.give_back(taken.number, taken.has)
            return
        has = None
        try:
            piece.worker = taken.worker
            has = self._has_met(taken, piece)
            if piece.failure is None:
                _do(taken.worker, piece)
        except BaseException:
            has = None
            raise
        finally:
            piece.worker, piece.loading = None, False
            self.office.give_back(taken.number, has)

    def _has_met(self, taken: Taken[Worker], piece: Piece) -> str:
        """The model that a worker has when it was told which is wanted; learn once what it is."""
        info = piece.info
        mark = fingerprint(info)
        if taken.has == info.name and mark in self.met:
            return taken.has
        piece.loading = taken.has != info.name
        match unpacked(taken.worker.ask(packed("meet", info.name, mark))):
            case ("met", Mapping() as found, float() | None as checked):
                if mark not in self.met:
                    learn(replace(info, **found))
                    self.met[mark] = checked
                piece.loading = False
                return info.name
            case said:
                piece.failure = _refusal(said)
                return taken.has


def _do(worker: Worker, piece: Piece) -> None:
    """Have a piece worked out, by a worker that is told first what it belongs to if need be."""
    if not piece.data:
        piece.value = ()
        return
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
        case _:
            piece.failure = _refusal(said)


def _refusal(said: tuple[Any, ...]) -> Exception:
    """Why a worker does not do what it was asked.

    Raises:
        WorkerLost: It has said something else.
    """
    match said:
        case ("refused", str() as sentence, bool() as again):
            return TryAgain(sentence) if again else AnalysisError(sentence)
        case ("failed", str() as what):
            return RuntimeError(f"a worker failed with {what}")
        case _:
            raise WorkerLost("it said what answers nothing")


def _look(worker: Worker, piece: Piece, stop: bool = False) -> tuple[int, int, Any] | None:
    """How far a worker is with a piece that is watched, which it may be told to stop."""
    try:
        said = worker.look(packed("look", piece.number, stop))
        match unpacked(said) if said is not None else ():
            case ("at", int() as done, int() as total, found):
                return done, total, found
    except (WorkerLost, NotAMessage):
        pass  # whoever asks it finds out, and has another do the piece
    return None
