"""Long work in the background: each job goes on while somebody watches, for all who do.

No Streamlit in here: a page looks at a job every now and then (`Background.watch`), which also says
that its visitor is still there. Who presses Cancel leaves; a closed tab no longer looks. Once
nobody is left the work stops with what has been found, and the next who looks lets it go on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Hashable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeVar

from analysis.errors import AnalysisError

_log = logging.getLogger("headscope")

V = TypeVar("V")
# Seconds without a look after which a visitor counts as gone.
PATIENCE = 10.0
# A lock is not fair: without a pause whoever waits for the model would wait for all of the work.
_PAUSE = 0.001

State = Literal["waiting", "running", "stopped", "done", "failed"]


@dataclass(frozen=True, eq=False)
class Step(Generic[V]):
    """What is known after a part of the work."""

    value: V
    done: int
    total: int


# Goes on from the last step, None at first; called in the background. Closing it ends the work.
Work = Callable[["Step[V] | None"], Generator[Step[V], None, None]]


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
    watchers: dict[Hashable, float] = field(default_factory=dict)  # when each looked last
    # When this part of the work began, and what was known; None before its first step.
    began: tuple[float, int] | None = None

    def snapshot(self) -> Snapshot[V]:
        left = None
        if self.state == "running" and self.step and self.began:
            start, known = self.began
            if new := self.step.done - known:
                left = (time.monotonic() - start) / new * (self.step.total - self.step.done)
        return Snapshot(self.step, self.state, left, self.failure)


class Background(Generic[V]):
    """The jobs of one kind on one server, by key: who asks for the same watches the same job.

    Args:
        what: What they are called in a sentence: "sweeps".
        workers: How many run at once; others wait for their turn.
        kept: How many are remembered, finished or not.
        patience: See `PATIENCE`.
    """

    def __init__(self, what: str, workers: int, kept: int, patience: float = PATIENCE):
        self._what = what
        self._most_workers, self._kept, self._patience = workers, kept, patience
        self._lock = threading.Lock()
        self._jobs: OrderedDict[Hashable, _Job[V]] = OrderedDict()
        self._queue: deque[_Job[V]] = deque()
        self._workers = 0

    def watch(self, key: Hashable, visitor: Hashable, work: Work[V]) -> Snapshot[V]:
        """Say that `visitor` wants this job done, and see how far it is; starts or resumes it.

        Raises:
            AnalysisError: Too many are under way.
        """
        with self._lock:
            job = self._jobs.get(key) or self._add(key, work)
            self._jobs.move_to_end(key)
            if job.state not in ("done", "failed"):
                job.watchers[visitor] = time.monotonic()
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

    def _add(self, key: Hashable, work: Work[V]) -> _Job[V]:
        if len(self._jobs) >= self._kept:
            idle = (name for name, old in self._jobs.items() if not old.snapshot().active)
            oldest = next(idle, None)
            if oldest is None:
                raise AnalysisError(f"Many {self._what} are under way. Try again in a minute.")
            del self._jobs[oldest]
        job = self._jobs[key] = _Job(work)
        return job

    def _enqueue(self, job: _Job[V]) -> None:
        job.state = "waiting"
        self._queue.append(job)
        if self._workers < self._most_workers:
            self._workers += 1
            # A daemon: it must not keep a server from ending.
            threading.Thread(target=self._run_queue, daemon=True, name="background").start()

    def _run_queue(self) -> None:
        while job := self._next():
            failure: BaseException | None = None
            try:
                self._run(job)
            # Also what is no `Exception`: who watches would wait for ever.
            except BaseException as error:
                if not isinstance(error, AnalysisError):
                    _log.exception("one of the %s failed", self._what)
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
            while self._queue:
                job = self._queue.popleft()
                if self._wanted(job):
                    job.state = "running"
                    return job
                job.state = "stopped"
            self._workers -= 1
            return None

    def _run(self, job: _Job[V]) -> None:
        """Take the steps that are left, as long as somebody wants to know."""
        job.began = None
        # Closed at once and not when it is collected: it holds a whole run's activations.
        with closing(job.work(job.step)) as steps:
            for step in steps:
                with self._lock:
                    job.step = step
                    job.began = job.began or (time.monotonic(), step.done)
                    if not self._wanted(job):
                        return
                time.sleep(_PAUSE)

    def _wanted(self, job: _Job[V]) -> bool:
        since = time.monotonic() - self._patience
        job.watchers = {who: last for who, last in job.watchers.items() if last >= since}
        return bool(job.watchers)


@dataclass(frozen=True, eq=False)
class Shared(Generic[V]):
    """One request's place among the jobs of the server."""

    background: Background[V]
    key: Hashable
    work: Work[V]

    def watch(self, visitor: Hashable, address: str | None = None) -> Snapshot[V]:
        """See `Background.watch`; of these jobs an address has no share of its own."""
        return self.background.watch(self.key, visitor, self.work)

    def look(self) -> Snapshot[V]:
        """See `Background.look`."""
        return self.background.look(self.key)

    def leave(self, visitor: Hashable) -> None:
        """See `Background.leave`."""
        self.background.leave(self.key, visitor)
