"""Which of several workers does what: one piece each at a time, by one that has its model."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

# Seconds that a piece waits at most for a worker that has its model already.
PATIENT = 1.0


class WorkerLost(Exception):
    """A worker that has ended, or that says what makes no sense."""


class Ends(Protocol):
    """What an office has to know of a worker."""

    def close(self) -> None:
        """End it."""


class Worker(Ends, Protocol):
    """One worker, wherever it is, as it is asked."""

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


W = TypeVar("W", bound=Ends)
W_co = TypeVar("W_co", bound=Ends, covariant=True)


@dataclass(frozen=True)
class Wanted:
    """What a piece of work needs a worker for.

    Args:
        number: What it is known by.
        model: Name of the model that it is of.
        first: Whether it goes before pieces that are not: a page waits for it alone.
        long: Whether it takes a while, and one worker has to be kept free of its like.
        again: Whether a worker was lost over it: it is the next one of its kind.
    """

    number: str
    model: str
    first: bool = False
    long: bool = False
    again: bool = False


@dataclass(frozen=True)
class Taken(Generic[W_co]):
    """A worker that has been given to one piece; `has` is the model that it has, or empty."""

    number: int
    worker: W_co
    has: str


class Office(Protocol):
    """What gives workers to pieces of work."""

    width: int  # workers

    def take(self, wanted: Wanted) -> Taken[Worker] | None:
        """Wait for a worker; None where the piece was dropped meanwhile.

        Raises:
            WorkerLost: There are no workers any more, or none can be had.
        """

    def give_back(self, number: int, has: str | None) -> None:
        """The worker of `Taken.number` is free, and has this model now; None: it was lost."""

    def drop(self, number: str) -> None:
        """A piece that waits needs no worker any more."""

    def close(self) -> None:
        """End what can be ended of it: its workers, if nobody else has them."""


@dataclass(eq=False)
class _Seat(Generic[W]):
    """The place of one worker, which is hired when it is first needed."""

    worker: W | None = None
    has: str = ""
    since: float = 0.0  # when it was last given back
    of: Wanted | None = None  # whom it has been given to


@dataclass(eq=False)
class _Waiting:
    wanted: Wanted
    since: float = field(default_factory=time.monotonic)
    dropped: bool = False


class OwnOffice(Generic[W]):
    """The office of workers that nobody else has.

    A worker keeps one model: a piece goes to one that has its model, or else to one that has none,
    or else, after a while, to the one that was used least recently.

    Args:
        hire: Makes one worker.
        width: How many there may be.
    """

    def __init__(self, hire: Callable[[], W], width: int):
        self.width, self.hire = width, hire
        self._changed = threading.Condition()
        self._seats: list[_Seat[W]] = [_Seat() for _ in range(width)]
        self._waiting: list[_Waiting] = []  # in the order in which they are served
        self._taken: dict[int, _Seat[W]] = {}
        self._closed = False

    def take(self, wanted: Wanted) -> Taken[W] | None:
        """See `Office.take`."""
        waiting = _Waiting(wanted)
        with self._changed:
            self._waiting.insert(0 if wanted.again else len(self._waiting), waiting)
            self._waiting.sort(key=lambda each: not each.wanted.first)  # stable
            try:
                while (seat := self._seat_for(waiting)) is None:
                    if self._closed:
                        raise WorkerLost("all workers were ended")
                    if waiting.dropped:
                        return None
                    self._changed.wait(PATIENT)
                # Not counted: who gives back what an office before this one gave out, as of a desk
                # that was lost, must not give back what another has taken by now.
                number, seat.of = secrets.randbits(62), wanted
                self._taken[number] = seat
            finally:
                self._waiting.remove(waiting)
                # Who comes after may have been waiting for this one to take its pick.
                self._changed.notify_all()
        try:
            seat.worker = seat.worker or self.hire()
        except BaseException:
            self.give_back(number, None)
            raise
        return Taken(number, seat.worker, seat.has)

    def give_back(self, number: int, has: str | None) -> None:
        """See `Office.give_back`; of one that was taken away nothing is known."""
        with self._changed:
            if (seat := self._taken.pop(number, None)) is None:
                return
            if (has is None or self._closed) and seat.worker is not None:
                seat.worker.close()
                seat.worker = None
            seat.of, seat.has, seat.since = None, has or "", time.monotonic()
            self._changed.notify_all()

    def drop(self, number: str) -> None:
        """See `Office.drop`."""
        with self._changed:
            for each in self._waiting:
                each.dropped |= each.wanted.number == number
            self._changed.notify_all()

    def close(self) -> None:
        """End all workers, those at work when they are given back."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            idle = [seat.worker for seat in self._seats if seat.of is None and seat.worker]
            for worker in idle:
                worker.close()
            self._changed.wait_for(lambda: not self._taken, 10)

    def __len__(self) -> int:
        """How many pieces wait."""
        with self._changed:
            return sum(not each.dropped for each in self._waiting)

    def _seat_for(self, mine: _Waiting) -> _Seat[W] | None:
        """The worker that one piece is to take now, when all before it have taken theirs."""
        if self._closed:
            return None
        free = [seat for seat in self._seats if seat.of is None]
        long = sum(seat.of is not None and seat.of.long for seat in self._seats)
        for each in self._waiting:
            if each.dropped or (each.wanted.long and self.width > 1 and long >= self.width - 1):
                continue
            seat = self._best(each, free)
            if each is mine:
                return seat
            if seat is not None:
                free.remove(seat)
                long += each.wanted.long
        return None

    def _best(self, waiting: _Waiting, free: list[_Seat[W]]) -> _Seat[W] | None:
        name = waiting.wanted.model
        for has in (name, ""):
            if there := [seat for seat in free if seat.has == has]:
                return there[0]
        # One that has the model will soon be free: another need not let go of its own.
        soon = any(seat.of is not None and seat.of.model == name for seat in self._seats)
        if not free or (soon and time.monotonic() - waiting.since < PATIENT):
            return None
        return min(free, key=lambda seat: seat.since)
