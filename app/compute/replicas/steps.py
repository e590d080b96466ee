"""Sweeps that several processes watch: one does the work, and the others show what it finds.

Who works holds a lease that ends by itself, and leaves each step in Redis: when that process is
killed, one of the others goes on from there.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Hashable
from contextlib import closing
from functools import partial

from app.compute.background import Step, Work
from app.compute.replicas.wire import Wire
from app.compute.stored import asked_of, from_bytes, key_text, to_bytes
from app.compute.sweeps import Effects

# Seconds of a lease, and after which it is renewed and the latest step told.
LEASE, TELL_EVERY = 6.0, 1.0
# Seconds between two looks at what another process has found.
_LOOK = 0.25
# Seconds that what a sweep has found is there for others.
_KEPT = 3600.0


class SharedSweeps:
    """The sweeps of all processes.

    Args:
        wire: Over which they are shared; while it is down each process works for itself.
        lease: See `LEASE`.
    """

    def __init__(self, wire: Wire, lease: float = LEASE):
        self._wire, self._lease = wire, lease

    def work(self, key: Hashable, work: Work[Effects]) -> Work[Effects]:
        """The work of the sweep with that key, done here or in another process."""
        question = key_text(key)
        return work if question is None else partial(self._steps, question, work)

    def _steps(
        self,
        question: str,
        work: Work[Effects],
        last: Step[Effects] | None,
        pause: Callable[[], None],
    ) -> Generator[Step[Effects], None, None]:
        name = f"sweep:{hashlib.sha256(asked_of(question).encode()).hexdigest()}"
        while True:
            mine = self._wire.lease(f"{name}:lease", self._lease)
            told = self._told(name, question)
            if told is not None and (last is None or told.done > last.done):
                last = told
                yield told
            if last is not None and last.done == last.total:
                if mine:
                    self._wire.drop(f"{name}:lease")
                return
            if mine is not False:  # ours, or nobody can say
                yield from self._work_here(name, question, work, last, pause)
                return
            pause()
            time.sleep(_LOOK)

    def _work_here(
        self,
        name: str,
        question: str,
        work: Work[Effects],
        last: Step[Effects] | None,
        pause: Callable[[], None],
    ) -> Generator[Step[Effects], None, None]:
        told = time.monotonic()
        untold: Step[Effects] | None = None

        def tell(at_once: bool = False) -> None:
            nonlocal told, untold
            if not at_once and time.monotonic() - told < min(TELL_EVERY, self._lease / 3):
                return
            told = time.monotonic()
            self._wire.lease(f"{name}:lease", self._lease)
            if untold is not None and (data := _to_bytes(question, untold)) is not None:
                self._wire.put(name, data, _KEPT)
                untold = None

        def pause_and_tell() -> None:
            tell()
            pause()

        try:
            with closing(work(last, pause_and_tell)) as steps:
                for step in steps:
                    untold = step
                    tell(step.done == step.total)
                    yield step
        finally:
            tell(at_once=True)
            self._wire.drop(f"{name}:lease")

    def _told(self, name: str, question: str) -> Step[Effects] | None:
        data = self._wire.get(name)
        return None if data is None else _from_bytes(question, data)


def _to_bytes(question: str, step: Step[Effects]) -> bytes | None:
    found = tuple(step.value.found.values())
    return to_bytes(question, (found, step.value.total, float(step.done), float(step.total)))


def _from_bytes(question: str, data: bytes) -> Step[Effects] | None:
    """The step that another process has told; None for what is none."""
    from analysis.effects.ablation import HeadAblation  # with torch, which is there by now

    value = from_bytes(question, data)
    if not isinstance(value, tuple) or len(value) != 4:
        return None
    found, total, done, whole = value
    if not isinstance(found, tuple) or not all(isinstance(each, HeadAblation) for each in found):
        return None
    effects = {each.head: each for each in found}
    if type(total) is not int or type(done) is not float or type(whole) is not float:
        return None
    if not 0 <= len(effects) <= total or not 0 <= done <= whole:
        return None
    return Step(Effects(effects, total), done, whole)
