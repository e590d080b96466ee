"""Admission before work: what can never fit is refused at once, what is too much now waits in line.

No Streamlit in here: whoever asks hands over a `Visitor`, which knows how to show a place in the
queue and whether it is still there.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from analysis.errors import AnalysisError

Clock = Callable[[], float]
# Seconds between two looks of a visitor who waits.
LOOK = 0.25
# Visitors whose budget is remembered; who was away longest has a full one again anyway.
MAX_VISITORS = 10_000
# Share of the latest computation in the average that the wait is told by.
_RECENT = 0.2


class Visitor(Protocol):
    """Whoever asks for a computation; its methods may raise to leave."""

    @property
    def name(self) -> str | None:
        """What tells this visitor from others; None: nobody, who is not counted."""

    @property
    def address(self) -> str | None:
        """Where the visitor's requests come from, as far as that is known."""

    def check(self) -> None:
        """Called now and then while this visitor waits."""

    def waits(self, place: int, seconds: float) -> None:
        """`place` computations come first (1: the next one); about so many seconds are left."""

    def enters(self) -> None:
        """The wait is over, one way or the other."""

    def starts(self, what: str) -> None:
        """What `what` says begins, here or in a thread that is awaited; not told twice."""

    def ends(self) -> None:
        """It is over, or never began; may raise, so nothing that was found may depend on it."""


class Nobody:
    """Work that no page waits for, such as a sweep in the background."""

    name = None
    address = None

    def check(self) -> None:
        """Nobody cannot leave."""

    def waits(self, place: int, seconds: float) -> None:
        """Nobody reads it."""

    def enters(self) -> None:
        """Nothing was shown."""

    def starts(self, what: str) -> None:
        """Nobody reads it."""

    def ends(self) -> None:
        """Nothing was shown."""


_current: Callable[[], Visitor] = Nobody


def recognise(current: Callable[[], Visitor]) -> None:
    """Set what says, in the thread that calls it, who asks."""
    global _current
    _current = current


def visitor() -> Visitor:
    """Who asks in this thread."""
    return _current()


class Admission:
    """Computations that may run at once: so many, and so many bytes by estimate; in turn.

    Args:
        max_bytes: Estimated bytes of all that run.
        at_once: How many run at most.
        max_waiting: How many may wait.
        clock: Seconds, for tests.
    """

    def __init__(
        self, max_bytes: int, at_once: int, max_waiting: int, clock: Clock = time.monotonic
    ):
        self._max_bytes, self._at_once, self._max_waiting = max_bytes, at_once, max_waiting
        self._clock = clock
        self._changed = threading.Condition()
        self._line: deque[object] = deque()
        self._running = self._bytes = 0
        self._usual = 0.5  # seconds that a computation takes, lately

    @contextmanager
    def admitted(self, need: int, visitor: Visitor, slots: int = 1) -> Iterator[None]:
        """Wait until `need` bytes are free and it is this one's turn; gives them back at the end.

        With 0 `slots` only the bytes count: for work in the background, which lets others go first.

        Raises:
            AnalysisError: It can never fit, or too many wait already.
        """
        if need > self._max_bytes:
            raise AnalysisError(
                f"This would take about {need / 2**20:,.0f} MB of memory; this server gives one "
                f"request {self._max_bytes / 2**20:,.0f}. Take fewer sequences or a shorter text."
            )
        self._enter(need, visitor, slots)
        start = self._clock()
        try:
            yield
        finally:
            with self._changed:
                self._running -= slots
                self._bytes -= need
                self._usual += slots * _RECENT * (self._clock() - start - self._usual)
                self._changed.notify_all()

    def _enter(self, need: int, visitor: Visitor, slots: int) -> None:
        me = object()
        with self._changed:
            if len(self._line) >= self._max_waiting:
                raise AnalysisError(
                    f"{len(self._line)} requests are waiting already. Try again in a minute."
                )
            self._line.append(me)
        try:
            while not self._takes_its_turn(me, need, slots):
                # Outside the lock: showing it can take a while, and may raise.
                visitor.waits(*self._place(me))
        except BaseException:
            with self._changed:
                self._line.remove(me)
                self._changed.notify_all()
            raise
        finally:
            visitor.enters()

    def _takes_its_turn(self, me: object, need: int, slots: int) -> bool:
        """Leave the line for work if that is possible within a look's time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._may_enter(me, need, slots), LOOK):
                return False
            self._line.popleft()
            self._running += slots
            self._bytes += need
            # Whoever is first now may fit as well.
            self._changed.notify_all()
            return True

    def _may_enter(self, me: object, need: int, slots: int) -> bool:
        free = self._running + slots <= self._at_once
        fits = self._bytes + need <= self._max_bytes and free
        return self._line[0] is me and fits

    def _place(self, me: object) -> tuple[int, float]:
        with self._changed:
            place = self._line.index(me) + 1
            return place, place * self._usual / self._at_once


class RateLimit:
    """So many computations a minute for each name; what was not used adds up to one minute's.

    Args:
        per_minute: How many; 0: no limit.
        who: Who they are for, for the refusal.
        clock: Seconds, for tests.
    """

    def __init__(self, per_minute: int, who: str = "each visitor", clock: Clock = time.monotonic):
        self._per_minute, self._who, self._clock = per_minute, who, clock
        self._lock = threading.Lock()
        # What each visitor had left, and when; who took last stands at the end.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> None:
        """Count one computation.

        Raises:
            AnalysisError: There are none left.
        """
        if not self._per_minute:
            return
        now = self._clock()
        with self._lock:
            left, since = self._left.pop(name, (float(self._per_minute), now))
            left = min(self._per_minute, left + (now - since) * self._per_minute / 60)
            enough = left >= 1
            self._left[name] = (left - 1 if enough else left, now)
            if len(self._left) > MAX_VISITORS:
                self._left.popitem(last=False)
        if not enough:
            raise AnalysisError(
                f"More than {self._per_minute} new results were asked for in a minute, which is "
                f"what {self._who} of this server gets. Wait a few seconds, then go on."
            )
