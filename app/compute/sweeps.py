"""Ablation sweeps: jobs in the background that find the effect of one head after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from analysis.head import Head
from app.compute import background
from app.compute.background import PATIENCE, PIECE, Background, Shared, State, Step, Work

if TYPE_CHECKING:
    from analysis.effects.ablation import HeadAblation
    from analysis.models.info import ModelInfo

# Seconds between two looks of a caller who waits.
_LOOK = 0.05


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


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What is known of a sweep at one moment."""

    found: Mapping[Head, HeadAblation]
    state: State
    total: int = 0  # 0 before it has begun
    seconds_left: float | None = None  # None: nothing to tell it from yet
    failure: BaseException | None = None

    @classmethod
    def of(cls, now: background.Snapshot[Effects]) -> Snapshot:
        """What is known of a sweep as a job."""
        found = now.step.value if now.step else Effects({}, 0)
        return cls(found.found, now.state, found.total, now.seconds_left, now.failure)

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


@dataclass(frozen=True, eq=False)
class Effects:
    """What a sweep has found, and of how many heads."""

    found: Mapping[Head, HeadAblation]
    total: int


class Sweeps(Background[Effects]):
    """The sweeps of one server; arguments as of `Background`."""

    def __init__(self, workers: int, kept: int, patience: float = PATIENCE, piece: float = PIECE):
        super().__init__("sweep", workers, kept, patience, piece)
        # Where several processes share sweeps, the work of one, which another may do.
        self.shared: Callable[[Hashable, Work[Effects]], Work[Effects]] = lambda key, work: work


def _steps(
    work: SweepWork, last: Step[Effects] | None, pause: Callable[[], None]
) -> Generator[Step[Effects], None, None]:
    """Ablate the heads that are not known yet."""
    order = work.order()
    found = dict(last.value.found) if last else {}
    whole = sum(map(work.share, order))
    with closing(work.ablate_each([h for h in order if h not in found], pause)) as effects:
        for effect in effects:
            found = {**found, effect.head: effect}
            done = whole if len(found) == len(order) else sum(map(work.share, found))
            yield Step(Effects(found, len(order)), done, whole)


@dataclass(frozen=True, eq=False)
class SharedSweep:
    """One request's place among the sweeps of the server."""

    sweeps: Sweeps
    key: Hashable
    work: SweepWork

    def watch(self, visitor: Hashable, address: str | None = None) -> Snapshot:
        """See `Background.watch`."""
        return Snapshot.of(self._job.watch(visitor, address))

    def look(self) -> Snapshot:
        """See `Background.look`."""
        return Snapshot.of(self._job.look())

    def leave(self, visitor: Hashable) -> None:
        """See `Background.leave`."""
        self._job.leave(visitor)

    @property
    def _job(self) -> Shared[Effects]:
        work = self.sweeps.shared(self.key, partial(_steps, self.work))
        return Shared(self.sweeps, self.key, work)

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
