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


class TryAgain(AnalysisError):
    """A refusal that says how busy the server is now, and nothing about what was asked."""


class Visitor(Protocol):
    """Whoever asks for a computation; its methods may raise to leave."""

    @property
    def name(self) -> str | None:
        """What tells this visitor from others; None: nobody, who lets all others go first."""

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
        self._background: deque[object] = deque()
        self._running = self._bytes = 0
        self._usual = 0.5  # seconds that a computation takes, lately

    @contextmanager
    def admitted(self, need: int, visitor: Visitor) -> Iterator[None]:
        """Wait until `need` bytes are free and it is this one's turn; gives them back at the end.

        Of work that nobody waits for only the bytes count, and it stands behind whoever waits.

        Raises:
            AnalysisError: It can never fit, or too many wait already.
        """
        self.check_fits(need)
        places = 0 if visitor.name is None else 1
        line = self._line if places else self._background
        holds = False
        start = self._clock()
        try:
            try:
                self._wait_in(line, need, places, visitor)
                holds, start = True, self._clock()
            finally:
                # May raise, as it does for who has left: what is held by then is given back.
                visitor.enters()
            yield
        finally:
            if holds:
                with self._changed:
                    self._running -= places
                    self._bytes -= need
                    self._usual += places * _RECENT * (self._clock() - start - self._usual)
                    self._changed.notify_all()

    def check_fits(self, need: int) -> None:
        """Refuse what can never fit.

        Raises:
            AnalysisError: With both sizes.
        """
        if need > self._max_bytes:
            raise AnalysisError(
                f"This would take about {need / 2**20:,.0f} MB of memory; this server gives one "
                f"request {self._max_bytes / 2**20:,.0f}. Take fewer sequences or a shorter text."
            )

    def _wait_in(self, line: deque[object], need: int, places: int, visitor: Visitor) -> None:
        """Stand in a line until it is this one's turn, and leave it, one way or the other."""
        me = object()
        with self._changed:
            if places and len(line) >= self._max_waiting:
                raise TryAgain(f"{len(line)} requests are waiting already. Try again in a minute.")
            line.append(me)
        try:
            while not self._takes_its_turn(me, line, need, places):
                # Outside the lock: showing it can take a while, and may raise.
                visitor.waits(*self._place(me, line))
        except BaseException:
            with self._changed:
                line.remove(me)
                self._changed.notify_all()
            raise

    def _takes_its_turn(self, me: object, line: deque[object], need: int, places: int) -> bool:
        """Leave the line for work if that is possible within a look's time."""

        def may_enter() -> bool:
            # Not even beside those who wait: what it takes they might wait for longer.
            goes_first = bool(places) or not self._line
            free = self._running + places <= self._at_once
            return line[0] is me and goes_first and free and self._bytes + need <= self._max_bytes

        with self._changed:
            if not self._changed.wait_for(may_enter, LOOK):
                return False
            line.popleft()
            self._running += places
            self._bytes += need
            # Whoever is first now may fit as well.
            self._changed.notify_all()
            return True

    def _place(self, me: object, line: deque[object]) -> tuple[int, float]:
        with self._changed:
            place = line.index(me) + 1
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
            TryAgain: There are none left.
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
            raise TryAgain(
                f"More than {self._per_minute} new results were asked for in a minute, which is "
                f"what {self._who} of this server gets. Wait a few seconds, then go on."
            )
