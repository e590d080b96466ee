"""Ablation sweeps in the background: each goes on while somebody watches, for all who do.

No Streamlit in here: a page looks at a sweep every now and then (`Sweeps.watch`), which also says
that its visitor is still there. Who presses Cancel leaves; a closed tab no longer looks. Once
nobody is left the work stops with what has been found, and the next who looks lets it go on. A
sweep gives way to one of visitors who have used less: it stops in the same way, and goes on later.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from analysis.errors import AnalysisError
from analysis.head import Head
from app.compute.admission import TryAgain, Used

if TYPE_CHECKING:
    from analysis.effects.ablation import HeadAblation
    from analysis.models.info import ModelInfo

_log = logging.getLogger("headscope")

# Seconds without a look after which a visitor counts as gone.
PATIENCE = 10.0
# Seconds between two looks of a caller who waits.
_LOOK = 0.05
# Seconds of a sweep before it gives way: to begin again takes a forward pass.
PIECE = 5.0
# A lock is not fair: without a pause whoever waits for the model would wait for the whole sweep.
_PAUSE = 0.001

State = Literal["waiting", "running", "stopped", "done", "failed"]


@dataclass(frozen=True, eq=False)
class SweepWork:
    """What a sweep has to do; all but `share` is called in the background.

    Args:
        order: All heads, in the order they are wanted.
        ablate_each: Ablates these heads one by one; closing it ends the work. What it is given
            besides it calls between two pieces of work, of which one head may take many, and it
            lets through what that raises.
        share: How much work a head is, in any unit.
    """

    order: Callable[[], Sequence[Head]]
    ablate_each: Callable[[Sequence[Head], Callable[[], None]], Generator[HeadAblation, None, None]]
    share: Callable[[Head], float]


class _Unwanted(Exception):
    """Nobody watches any more."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What is known of a sweep at one moment."""

    found: Mapping[Head, HeadAblation]
    state: State
    total: int = 0  # 0 before it has begun
    seconds_left: float | None = None  # None: nothing to tell it from yet
    failure: BaseException | None = None

    @property
    def active(self) -> bool:
        """Whether more will be known without anyone's doing."""
        return self.state in ("waiting", "running")

    def values(self, info: ModelInfo) -> np.ndarray:
        """The effects that are known, [layer, head] in nats; NaN elsewhere."""
        values = np.full((info.n_layers, info.n_heads), np.nan, np.float32)
        for head, effect in self.found.items():
            values[head.layer, head.head] = effect.value
        return values


@dataclass(eq=False)
class _Sweep:
    """One sweep; what changes is guarded by the lock of `Sweeps`."""

    work: SweepWork
    found: dict[Head, HeadAblation] = field(default_factory=dict)
    state: State = "stopped"
    failure: BaseException | None = None
    # When each looked last, and its network address, or itself where it has none.
    watchers: dict[Hashable, tuple[float, Hashable]] = field(default_factory=dict)
    order: Sequence[Head] = ()
    spent: float = 0.0  # seconds of work up to the last head that was found
    since: float = 0.0  # when that was, or when the work was taken up again

    def snapshot(self) -> Snapshot:
        total = len(self.order)
        return Snapshot(dict(self.found), self.state, total, self._seconds_left(), self.failure)

    def _seconds_left(self) -> float | None:
        if self.state != "running" or not self.found:
            return None
        whole = sum(map(self.work.share, self.order))
        done = sum(map(self.work.share, self.found))
        left = self.spent * (whole - done) / done - (time.monotonic() - self.since)
        return max(left, 0.0)


class Sweeps:
    """The sweeps of one server, by key: who asks for the same watches the same sweep.

    Args:
        workers: How many run at once; others wait for their turn.
        kept: How many are remembered, finished or not.
        patience: See `PATIENCE`.
        piece: See `PIECE`.
    """

    def __init__(self, workers: int, kept: int, patience: float = PATIENCE, piece: float = PIECE):
        self._most_workers, self._kept, self._patience = workers, kept, patience
        self._piece = piece
        self._lock = threading.Lock()
        self._sweeps: OrderedDict[Hashable, _Sweep] = OrderedDict()
        self._queue: list[_Sweep] = []
        self._used = Used()  # seconds that each address has used
        self._workers = 0

    def watch(
        self, key: Hashable, visitor: Hashable, work: SweepWork, address: str | None = None
    ) -> Snapshot:
        """Say that `visitor` wants this sweep, and see how far it is; starts or resumes it.

        Raises:
            AnalysisError: Too many are under way.
        """
        with self._lock:
            sweep = self._sweeps.get(key) or self._add(key, work, address)
            self._sweeps.move_to_end(key)
            if sweep.state not in ("done", "failed"):
                sweep.watchers[visitor] = time.monotonic(), address or visitor
            if sweep.state == "stopped":
                self._enqueue(sweep)
            return sweep.snapshot()

    def look(self, key: Hashable) -> Snapshot:
        """How far a sweep is, without wanting it."""
        with self._lock:
            sweep = self._sweeps.get(key)
            return sweep.snapshot() if sweep else Snapshot({}, "stopped")

    def leave(self, key: Hashable, visitor: Hashable) -> None:
        """Say that `visitor` no longer wants this sweep; a failure is forgotten."""
        with self._lock:
            if sweep := self._sweeps.get(key):
                sweep.watchers.pop(visitor, None)
                if sweep.state == "failed":
                    sweep.state, sweep.failure = "stopped", None

    def _add(self, key: Hashable, work: SweepWork, address: str | None) -> _Sweep:
        active = [each for each in self._sweeps.values() if each.state in ("waiting", "running")]
        own = sum(any(where == address for _, where in each.watchers.values()) for each in active)
        # The other half is for others.
        if address is not None and own >= self._kept // 2:
            raise TryAgain(
                f"{own} sweeps are under way for your network address. Cancel one, or try again in "
                "a minute."
            )
        if len(self._sweeps) >= self._kept:
            idle = (name for name, old in self._sweeps.items() if not old.snapshot().active)
            oldest = next(idle, None)
            if oldest is None:
                raise AnalysisError("Many sweeps are under way. Try again in a minute.")
            del self._sweeps[oldest]
        sweep = self._sweeps[key] = _Sweep(work)
        return sweep

    def _enqueue(self, sweep: _Sweep) -> None:
        sweep.state = "waiting"
        self._queue.append(sweep)
        if self._workers < self._most_workers:
            self._workers += 1
            # A daemon: it must not keep a server from ending.
            threading.Thread(target=self._work, daemon=True, name="sweep").start()

    def _work(self) -> None:
        while sweep := self._next():
            failure: BaseException | None = None
            try:
                self._run(sweep)
            # Also what is no `Exception`: who watches would wait for ever.
            except BaseException as error:
                if not isinstance(error, AnalysisError):
                    _log.exception("a sweep failed")
                # Without its frames, which hold a whole run's activations.
                failure = error.with_traceback(None)
            with self._lock:
                sweep.failure = failure
                known = bool(sweep.order) and len(sweep.found) == len(sweep.order)
                sweep.state = "failed" if failure else "done" if known else "stopped"
                if sweep.state == "stopped" and self._wanted(sweep):
                    self._enqueue(sweep)  # somebody came while the work was being stopped

    def _next(self) -> _Sweep | None:
        """The next sweep that is still wanted; with none the worker ends."""
        with self._lock:
            for sweep in [each for each in self._queue if not self._wanted(each)]:
                self._queue.remove(sweep)
                sweep.state = "stopped"
            if self._queue:
                # Of equals the one that has waited longest.
                sweep = min(self._queue, key=self._rank)
                self._queue.remove(sweep)
                sweep.state, sweep.since = "running", time.monotonic()
                return sweep
            self._workers -= 1
            return None

    def _run(self, sweep: _Sweep) -> None:
        """Ablate the heads that are not known yet, as long as somebody wants to know."""
        order = sweep.work.order()
        with self._lock:
            left = [head for head in order if head not in sweep.found]
            sweep.order = order
        if not left:
            return

        def pause() -> None:
            with self._lock:
                if not self._wanted(sweep):
                    raise _Unwanted
            time.sleep(_PAUSE)

        # Closed at once and not when it is collected: it holds a whole run's activations.
        begun = time.monotonic()
        with suppress(_Unwanted), closing(sweep.work.ablate_each(left, pause)) as effects:
            for effect in effects:
                with self._lock:
                    now = time.monotonic()
                    sweep.found[effect.head] = effect
                    self._count(sweep, now - sweep.since)
                    sweep.spent, sweep.since = sweep.spent + now - sweep.since, now
                    if now - begun >= self._piece and self._gives_way(sweep):
                        return
                pause()

    def _wanted(self, sweep: _Sweep) -> bool:
        since = time.monotonic() - self._patience
        sweep.watchers = {
            who: (last, address) for who, (last, address) in sweep.watchers.items() if last >= since
        }
        return bool(sweep.watchers)

    def _rank(self, sweep: _Sweep) -> float:
        """What the one of its watchers has used who has used least."""
        now = time.monotonic()
        return min(self._used.of(address, now) for _, address in sweep.watchers.values())

    def _count(self, sweep: _Sweep, seconds: float) -> None:
        """Share the seconds among the addresses that watch."""
        addresses = {address for _, address in sweep.watchers.values()}
        for address in addresses:
            self._used.add(address, seconds / len(addresses), time.monotonic())

    def _gives_way(self, sweep: _Sweep) -> bool:
        """Whether a sweep of somebody who has used less waits; `_work` lines this one up again."""
        mine = self._rank(sweep)
        return any(self._wanted(other) and self._rank(other) < mine for other in self._queue)


@dataclass(frozen=True, eq=False)
class SharedSweep:
    """One request's place among the sweeps of the server."""

    sweeps: Sweeps
    key: Hashable
    work: SweepWork

    def watch(self, visitor: Hashable, address: str | None = None) -> Snapshot:
        """See `Sweeps.watch`."""
        return self.sweeps.watch(self.key, visitor, self.work, address)

    def look(self) -> Snapshot:
        """See `Sweeps.look`."""
        return self.sweeps.look(self.key)

    def leave(self, visitor: Hashable) -> None:
        """See `Sweeps.leave`."""
        self.sweeps.leave(self.key, visitor)

    def wait(self, progress: Callable[[int, int], None]) -> Snapshot:
        """Watch it to its end; `progress(heads done, heads in all)` may raise to leave it."""
        visitor = object()
        try:
            while True:
                now = self.watch(visitor)
                if now.failure:
                    raise now.failure
                if now.state == "done":
                    return now
                if now.total:
                    progress(len(now.found), now.total)
                time.sleep(_LOOK)
        finally:
            self.leave(visitor)
