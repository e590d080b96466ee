"""One office for all processes that have joined a Ray cluster: they share its workers and models.

It is an actor with a name, begun by whoever needs it first. It gives workers out, which are actors
with names too, so that questions and answers go straight to them and what passes here are names and
numbers. It ends, and its workers with it, when nobody has been heard from for a while.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple
from typing import Any

from app.compute.workers.office import OwnOffice, Taken, Wanted, Worker, WorkerLost

# Seconds between two signs of life of a process that has joined.
SIGN = 2.0
# Seconds without one after which its workers are taken from it; and from all, after which it ends.
SILENT, NOBODY = 20.0, 120.0
# Pieces that wait for a worker at once, of all processes together; more wait to be let in.
WAITING = 256
# Calls that have threads of their own: who waits must not hold up who gives back.
GROUPS = {"waiting": WAITING}


class _Named:
    """A worker as the desk knows it: by its name, and how to end it. Who takes it asks it."""

    def __init__(self, name: str, close: Callable[[], None]):
        self.name, self.close = name, close


class Desk:
    """What runs in the cluster.

    Args:
        hire: Starts a worker under a name, and says how to end it.
        width: How many workers there may be.
        end: Ends this.
        silent: See `SILENT`.
        nobody: See `NOBODY`.
    """

    def __init__(
        self,
        hire: Callable[[str], Callable[[], None]],
        width: int,
        end: Callable[[], None],
        silent: float = SILENT,
        nobody: float = NOBODY,
    ):
        def named() -> _Named:
            name = f"worker {secrets.token_hex(8)}"
            return _Named(name, hire(name))

        self._office, self._end = OwnOffice(named, width), end
        self._silent, self._nobody = silent, nobody
        self._lock = threading.Lock()
        self._heard: dict[str, float] = {}  # by process, when
        self._waiting: dict[str, str] = {}  # by number of what waits, whose it is
        self._taken: dict[int, str] = {}  # by number of a worker that is taken, likewise
        self._last = time.monotonic()
        threading.Thread(target=self._watch, daemon=True, name="desk").start()

    def take(self, who: str, *wanted: Any) -> tuple[int, str, str] | None:
        """The number, the name and the model of a worker; None where the piece was dropped."""
        asked = Wanted(*wanted)
        self.hear(who)
        with self._lock:
            self._waiting[asked.number] = who
        try:
            taken = self._office.take(asked)
        finally:
            with self._lock:
                del self._waiting[asked.number]
        if taken is None:
            return None
        with self._lock:
            self._taken[taken.number] = who
        return taken.number, taken.worker.name, taken.has

    def give_back(self, number: int, has: str | None) -> None:
        """See `app.compute.workers.office.Office`."""
        with self._lock:
            self._taken.pop(number, None)
        self._office.give_back(number, has)

    def drop(self, number: str) -> None:
        """See `app.compute.workers.office.Office`."""
        self._office.drop(number)

    def hear(self, who: str) -> None:
        """A sign of life."""
        with self._lock:
            self._heard[who] = self._last = time.monotonic()

    def leave(self, who: str) -> None:
        """A process needs no worker any more."""
        with self._lock:
            self._heard.pop(who, None)
            taken = [number for number, whose in self._taken.items() if whose == who]
            waiting = [number for number, whose in self._waiting.items() if whose == who]
        for each in waiting:
            self.drop(each)
        for number in taken:
            # It may be at work still, for nobody.
            self.give_back(number, None)

    def _watch(self) -> None:
        while True:
            time.sleep(min(SIGN, self._silent / 4))
            now = time.monotonic()
            with self._lock:
                # Also who was taken for gone, and has been given what they had asked for before.
                owners = {*self._waiting.values(), *self._taken.values()}
                heard = dict.fromkeys(owners, 0.0) | self._heard
            for who, at in heard.items():
                if now - at > self._silent:
                    self.leave(who)
            if now - self._last > self._nobody:
                self._end()
                return


class SharedOffice:
    """The office that a process shares with others, as one of them sees it.

    Args:
        width: How many workers it has.
        open_desk: Finds the desk, or begins it; called again where it was lost.
        worker: Finds a worker by its name; raises ValueError where there is none.
        errors: What calls of the cluster may raise.
        wait: Waits for what a call comes out as.
    """

    def __init__(
        self,
        width: int,
        open_desk: Callable[[], Any],
        worker: Callable[[str], Worker],
        errors: type[Exception],
        wait: Callable[[Any], Any],
    ):
        self.width, self._open_desk, self._worker = width, open_desk, worker
        self._errors, self._wait = errors, wait
        self._me = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._desk: Any = None
        self._ended = threading.Event()
        # By name: a desk hands the same few out again and again.
        self._known: dict[str, Worker] = {}

    def take(self, wanted: Wanted) -> Taken[Worker] | None:
        """See `app.compute.workers.office.Office`."""
        if self._ended.is_set():
            raise WorkerLost("this process has left")
        desk = self._found()
        try:
            call = desk.take.options(concurrency_group="waiting")
            said = self._wait(call.remote(self._me, *astuple(wanted)))
        except self._errors as error:
            self._lost(desk)
            raise WorkerLost(f"the desk: {type(error).__name__}") from error
        if said is None:
            return None
        number, name, has = said
        try:
            return Taken(number, self._named(name), has)
        except ValueError as error:
            self.give_back(number, None)
            raise WorkerLost("it has ended by now") from error

    def give_back(self, number: int, has: str | None) -> None:
        """See `app.compute.workers.office.Office`."""
        self._tell("give_back", number, has)

    def drop(self, number: str) -> None:
        """See `app.compute.workers.office.Office`."""
        self._tell("drop", number)

    def close(self) -> None:
        """Take leave; the workers go on for others."""
        self._ended.set()
        with suppress(self._errors):
            if (desk := self._desk) is not None:
                self._wait(desk.leave.remote(self._me))

    def _named(self, name: str) -> Worker:
        if name not in self._known:
            if len(self._known) >= 2 * self.width:  # of those that were lost by now
                self._known.clear()
            self._known[name] = self._worker(name)
        return self._known[name]

    def _found(self) -> Any:
        with self._lock:
            if self._desk is None:
                self._desk = self._open_desk()
                threading.Thread(
                    target=self._live, args=(self._desk,), daemon=True, name="desk"
                ).start()
            return self._desk

    def _lost(self, desk: Any) -> None:
        with self._lock:
            if self._desk is desk:
                self._desk = None

    def _tell(self, what: str, *rest: Any) -> None:
        if (desk := self._desk) is not None:
            with suppress(self._errors):  # whoever needs it next finds out
                getattr(desk, what).remote(*rest)

    def _live(self, desk: Any) -> None:
        """Give signs of life to a desk, until it is another one."""
        while not self._ended.wait(SIGN) and self._desk is desk:
            self._tell("hear", self._me)
