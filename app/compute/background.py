"""Long work in the background: each job goes on while somebody watches, for all who do.

No Streamlit in here: a page looks at a job every now and then (`Background.watch`), which also says
that its visitor is still there. Who presses Cancel leaves; a closed tab no longer looks. Once
nobody is left the work stops with what has been found, and the next who looks lets it go on. A job
gives way to one of visitors who have used less: it stops in the same way, and goes on later.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeVar

from analysis.errors import AnalysisError
from app.compute.admission import Used
from app.compute.refusals import TryAgain

_log = logging.getLogger("headscope")

V = TypeVar("V")
# Seconds without a look after which a visitor counts as gone.
PATIENCE = 10.0
# Seconds of a job before it gives way: to begin again takes a forward pass.
PIECE = 5.0
# A lock is not fair: without a pause whoever waits for the model would wait for all of the work.
_PAUSE = 0.001

State = Literal["waiting", "running", "stopped", "done", "failed"]


@dataclass(frozen=True, eq=False)
class Step(Generic[V]):
    """What is known after a part of the work; `done` and `total` count it in any unit."""

    value: V
    done: float
    total: float


# Goes on from the last step, None at first; called in the background. Closing it ends the work.
# What it is given besides it may call in the middle of a step, and lets through what that raises.
Work = Callable[["Step[V] | None", Callable[[], None]], Generator[Step[V], None, None]]


class _Unwanted(Exception):
    """Nobody watches any more."""


@dataclass(frozen=True, eq=False)
class Snapshot(Generic[V]):
    """What is known of a job at one moment."""

    step: Step[V] | None
    state: State
    seconds_left: float | None = None  # None: nothing to tell it from yet
    failure: BaseException | None = None

    @property
    def active(self) -> bool:
        """Whether more will be known without anyone's doing."""
        return self.state in ("waiting", "running")


class Active(Protocol):
    """What is known of a job, as far as who watches it needs to know."""

    @property
    def active(self) -> bool:
        """Whether more will be known without anyone's doing."""


@dataclass(eq=False)
class _Job(Generic[V]):
    """One job; what changes is guarded by the lock of `Background`."""

    work: Work[V]
    step: Step[V] | None = None
    state: State = "stopped"
    failure: BaseException | None = None
    # When each looked last, and its network address, or itself where it has none.
    watchers: dict[Hashable, tuple[float, Hashable]] = field(default_factory=dict)
    spent: float = 0.0  # seconds of work up to the last step
    since: float = 0.0  # when that was, or when the work was taken up again

    def snapshot(self) -> Snapshot[V]:
        return Snapshot(self.step, self.state, self._seconds_left(), self.failure)

    def _seconds_left(self) -> float | None:
        if self.state != "running" or not self.step or not self.step.done:
            return None
        done, total = self.step.done, self.step.total
        left = self.spent * (total - done) / done - (time.monotonic() - self.since)
        return max(left, 0.0)


class Background(Generic[V]):
    """The jobs of one kind on one server, by key: who asks for the same watches the same job.

    Args:
        what: What one of them is called, such as "sweep".
        workers: How many run at once; others wait for their turn.
        kept: How many are remembered, finished or not.
        patience: See `PATIENCE`.
        piece: See `PIECE`.
    """

    def __init__(
        self,
        what: str,
        workers: int,
        kept: int,
        patience: float = PATIENCE,
        piece: float = PIECE,
    ):
        self._what = what
        self._most_workers, self._kept, self._patience = workers, kept, patience
        self._piece = piece
        self._lock = threading.Lock()
        self._jobs: OrderedDict[Hashable, _Job[V]] = OrderedDict()
        self._queue: list[_Job[V]] = []
        self.used = Used()  # seconds that each address has used
        self._workers = 0

    def watch(
        self, key: Hashable, visitor: Hashable, work: Work[V], address: str | None = None
    ) -> Snapshot[V]:
        """Say that `visitor` wants this job done, and see how far it is; starts or resumes it.

        Raises:
            AnalysisError: Too many are under way.
        """
        with self._lock:
            job = self._jobs.get(key)
            if job is None or job.state == "stopped":
                self._check_share(address)
            job = job or self._add(key, work)
            self._jobs.move_to_end(key)
            if job.state not in ("done", "failed"):
                job.watchers[visitor] = time.monotonic(), address or visitor
            if job.state == "stopped":
                self._enqueue(job)
            return job.snapshot()

    def look(self, key: Hashable) -> Snapshot[V]:
        """How far a job is, without wanting it."""
        with self._lock:
            job = self._jobs.get(key)
            return job.snapshot() if job else Snapshot(None, "stopped")

    def leave(self, key: Hashable, visitor: Hashable) -> None:
        """Say that `visitor` no longer wants this job done; a failure is forgotten."""
        with self._lock:
            if job := self._jobs.get(key):
                job.watchers.pop(visitor, None)
                if job.state == "failed":
                    job.state, job.failure = "stopped", None

    def _check_share(self, address: str | None) -> None:
        """Refuse one more job under way, a new one or one that goes on, to who has half of all."""
        active = [each for each in self._jobs.values() if each.state in ("waiting", "running")]
        own = sum(any(where == address for _, where in each.watchers.values()) for each in active)
        # The other half is for others.
        if address is not None and own >= self._kept // 2:
            raise TryAgain(
                f"{own} {self._what}s are under way for your network address. Cancel one, or try "
                "again in a minute."
            )

    def _add(self, key: Hashable, work: Work[V]) -> _Job[V]:
        if len(self._jobs) >= self._kept:
            idle = (name for name, old in self._jobs.items() if not old.snapshot().active)
            oldest = next(idle, None)
            if oldest is None:
                raise AnalysisError(f"Many {self._what}s are under way. Try again in a minute.")
            del self._jobs[oldest]
        job = self._jobs[key] = _Job(work)
        return job

    def _enqueue(self, job: _Job[V]) -> None:
        job.state = "waiting"
        self._queue.append(job)
        if self._workers < self._most_workers:
            self._workers += 1
            # A daemon: it must not keep a server from ending.
            threading.Thread(target=self._run_queue, daemon=True, name=self._what).start()

    def _run_queue(self) -> None:
        while job := self._next():
            failure: BaseException | None = None
            try:
                self._run(job)
            # Also what is no `Exception`: who watches would wait for ever.
            except BaseException as error:
                if not isinstance(error, AnalysisError):
                    _log.exception("a %s failed", self._what)
                # Without its frames, which hold a whole run's activations.
                failure = error.with_traceback(None)
            with self._lock:
                job.failure = failure
                known = job.step is not None and job.step.done == job.step.total
                job.state = "failed" if failure else "done" if known else "stopped"
                if job.state == "stopped" and self._wanted(job):
                    self._enqueue(job)  # somebody came while the work was being stopped

    def _next(self) -> _Job[V] | None:
        """The next job that is still wanted; with none the worker ends."""
        with self._lock:
            for job in [each for each in self._queue if not self._wanted(each)]:
                self._queue.remove(job)
                job.state = "stopped"
            if self._queue:
                # Of equals the one that has waited longest.
                job = min(self._queue, key=self._rank)
                self._queue.remove(job)
                job.state, job.since = "running", time.monotonic()
                return job
            self._workers -= 1
            return None

    def _run(self, job: _Job[V]) -> None:
        """Take the steps that are left, as long as somebody wants to know."""

        def pause() -> None:
            with self._lock:
                if not self._wanted(job):
                    raise _Unwanted
            time.sleep(_PAUSE)

        begun = time.monotonic()
        # Closed at once and not when it is collected: it holds a whole run's activations.
        with suppress(_Unwanted), closing(job.work(job.step, pause)) as steps:
            for step in steps:
                with self._lock:
                    now = time.monotonic()
                    job.step = step
                    self._count(job, now - job.since)
                    job.spent, job.since = job.spent + now - job.since, now
                    # Without watchers, who may have left meanwhile, `pause` ends it.
                    if now - begun >= self._piece and job.watchers and self._gives_way(job):
                        return
                pause()

    def _wanted(self, job: _Job[V]) -> bool:
        since = time.monotonic() - self._patience
        job.watchers = {
            who: (last, address) for who, (last, address) in job.watchers.items() if last >= since
        }
        return bool(job.watchers)

    def _rank(self, job: _Job[V]) -> float:
        """What the one of its watchers has used who has used least."""
        now = time.monotonic()
        return min(self.used.of(address, now) for _, address in job.watchers.values())

    def _count(self, job: _Job[V], seconds: float) -> None:
        """Share the seconds among the addresses that watch."""
        addresses = {address for _, address in job.watchers.values()}
        for address in addresses:
            self.used.add(address, seconds / len(addresses), time.monotonic())

    def _gives_way(self, job: _Job[V]) -> bool:
        """Whether a job of somebody who has used less waits; the worker lines this one up again."""
        mine = self._rank(job)
        return any(self._wanted(other) and self._rank(other) < mine for other in self._queue)


@dataclass(frozen=True, eq=False)
class Shared(Generic[V]):
    """One request's place among the jobs of the server."""

    background: Background[V]
    key: Hashable
    work: Work[V]

    def watch(self, visitor: Hashable, address: str | None = None) -> Snapshot[V]:
        """See `Background.watch`."""
        return self.background.watch(self.key, visitor, self.work, address)

    def look(self) -> Snapshot[V]:
        """See `Background.look`."""
        return self.background.look(self.key)

    def leave(self, visitor: Hashable) -> None:
        """See `Background.leave`."""
        self.background.leave(self.key, visitor)
