"""Admission before work: what can never fit is refused at once, what is too much now waits in line.

The line is fair: whose network address has used least lately is next, of one address the visitor
who has; what is used is counted in seconds. Long work gives way between its pieces.

No Streamlit in here: whoever asks hands over a `Visitor`.
"""

import math
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from analysis.errors import AnalysisError
from app.compute.refusals import TryAgain
from app.compute.visitor import MAX_VISITORS, Clock, Visitor

# Seconds between two looks of a visitor who waits.
LOOK = 0.25
# Share of the latest computation in the average that the next of its kind is expected to take.
_RECENT = 0.2
# Seconds that a computation is expected to take of which nothing is known.
_USUAL = 0.5
# Seconds after which what was used counts half.
HALF_LIFE = 60.0
# Seconds that work must have used more than who waits before it gives way: changing has a price.
_AHEAD = 0.5


class Used:
    """Seconds that each name has used lately: an hour ago counts for nothing."""

    def __init__(self) -> None:
        self._used: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()  # seconds, and when
        self._lock = threading.Lock()
        # The same in other processes of this server, as they say.
        self.elsewhere: Mapping[str, float] = {}

    def of(self, name: Hashable, now: float) -> float:
        """Seconds, of which older ones count less."""
        elsewhere = self.elsewhere.get(name, 0.0) if isinstance(name, str) else 0.0
        return self._here(name, now) + elsewhere

    def _here(self, name: Hashable, now: float) -> float:
        seconds, since = self._used.get(name, (0.0, now))
        return seconds * 0.5 ** ((now - since) / HALF_LIFE)

    def most(self, count: int, now: float) -> dict[str, float]:
        """The network addresses that have used most here, at most so many."""
        with self._lock:
            names = [name for name in self._used if isinstance(name, str)]
        used = {name: round(self._here(name, now), 3) for name in names}
        return {name: used[name] for name in sorted(used, key=lambda name: -used[name])[:count]}

    def add(self, name: Hashable, seconds: float, now: float) -> None:
        """Count some more; less than none gives back what was expected and not used."""
        used = max(0.0, self._here(name, now) + seconds)
        with self._lock:
            self._used.pop(name, None)
            self._used[name] = (used, now)
            if len(self._used) > MAX_VISITORS:
                self._used.popitem(last=False)


@dataclass(frozen=True)
class _Who:
    """Whom work is for: a network address, and a visitor there; who has none is one by itself."""

    address: Hashable
    name: Hashable

    @classmethod
    def of(cls, visitor: Visitor) -> "_Who":
        return cls(visitor.address or (visitor.name,), visitor.name)


@dataclass(eq=False)
class _Place:
    """One piece of work, waiting or running; guarded by the lock of its `Admission`."""

    need: int
    kind: str
    number: int  # in the order of asking
    # Who asked first, and who waits for the same answer.
    whose: list[_Who]
    named: bool  # whether somebody waits for it
    shares: bool  # whether its address leaves the last place to others
    holds: bool = False  # its bytes
    refused: bool = False  # to make room for an address with fewer in line
    began: float = 0.0
    expected: float = 0.0  # seconds that were counted when it began
    took: float = 0.0  # in earlier pieces


class Turn:
    """Work whose turn it is; all of it from the thread that works."""

    def __init__(self, admission: "Admission", place: _Place, visitor: Visitor):
        self._admission, self._place, self._visitor = admission, place, visitor

    def give_way(self) -> None:
        """Let others go first who have used less, if any wait; then wait for the next turn.

        Between two pieces, with no lock held; may raise to leave.
        """
        if self._admission._gives_way(self._place):
            self.pause()
            self.resume()

    def pause(self) -> None:
        """Give the place back and keep the bytes."""
        self._admission._stop(self._place)

    def resume(self) -> None:
        """Wait for a place again, if it was given back; may raise to leave."""
        self._admission._resume(self._place, self._visitor)


class Admission:
    """Computations that may run at once: so many, and so many bytes by estimate; in fair turns.

    Args:
        max_bytes: Estimated bytes of all that run.
        at_once: How many run at most; one network address leaves the last place to others.
        max_waiting: How many may wait. With more, the address that has most of them loses its
            last one to an address that has fewer.
        clock: Seconds, for tests.
        longest: Seconds after which what still runs no longer takes a place.
    """

    def __init__(
        self,
        max_bytes: int,
        at_once: int,
        max_waiting: int,
        clock: Clock = time.monotonic,
        longest: float = math.inf,
    ):
        self._max_bytes, self._at_once, self._max_waiting = max_bytes, at_once, max_waiting
        self._clock, self._longest = clock, longest
        self._changed = threading.Condition()
        self._line: list[_Place] = []
        self._background: list[_Place] = []
        self._running: set[_Place] = set()
        self._bytes = self._asked = 0
        self.used = Used()
        self._usual: dict[str, float] = {}  # seconds that work of a kind takes, lately
        self._by_key: dict[Hashable, _Place] = {}
        # The line in the order in which it is served; None after a change.
        self._order: list[_Place] | None = None

    @contextmanager
    def admitted(
        self, need: int, visitor: Visitor, kind: str = "", key: Hashable = None
    ) -> Iterator[Turn]:
        """Wait until `need` bytes are free and it is this one's turn; gives them back at the end.

        Of work that nobody waits for only the bytes count, and it stands behind whoever waits.

        Args:
            need: Estimated bytes.
            visitor: Who asks.
            kind: Of work that takes about as long.
            key: What is worked out, for `awaits`.

        Raises:
            AnalysisError: It can never fit, or too many wait already.
        """
        self.check_fits(need)
        with self._changed:
            self._asked += 1
            shares = visitor.address is not None and self._at_once > 1
            named = visitor.name is not None
            place = _Place(need, kind, self._asked, [_Who.of(visitor)], named, shares)
        try:
            self._wait_in_line(place, visitor, key)
            yield Turn(self, place, visitor)
        finally:
            self._end(place, key)

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

    def awaits(self, key: Hashable, visitor: Visitor) -> None:
        """`visitor` waits for what another asked for: it comes as early as if it had asked."""
        who = _Who.of(visitor)
        with self._changed:
            place = self._by_key.get(key)
            if place is not None and who not in place.whose:
                place.whose.append(who)
                self._reorder()

    def _wait_in_line(self, place: _Place, visitor: Visitor, key: Hashable) -> None:
        """Stand in line until it is this one's turn, and leave it, one way or the other."""
        line: list[_Place] = self._line if place.named else self._background
        try:
            with self._changed:
                if place.named and not place.holds:
                    self._make_room(place)
                line.append(place)
                if key is not None:
                    self._by_key[key] = place
                self._reorder()
            try:
                while not self._takes_its_turn(place, line):
                    # Outside the lock: showing it can take a while, and may raise.
                    visitor.waits(*self._standing(place, line))
            except BaseException:
                with self._changed:
                    if place in line:  # and not where it was refused
                        line.remove(place)
                    self._reorder()
                raise
        finally:
            # May raise, as it does for who has left: what is held by then is given back.
            visitor.enters()

    def _make_room(self, place: _Place) -> None:
        """Let it stand in a line that may be full."""
        if len(self._line) < self._max_waiting:
            return
        waiting = Counter(each.whose[0].address for each in self._line)
        most, count = waiting.most_common(1)[0]
        if count <= waiting[place.whose[0].address] + 1:
            raise TryAgain(
                f"{len(self._line)} requests are waiting already. Try again in a minute."
            )
        last = max(
            (each for each in self._line if each.whose[0].address == most),
            key=lambda each: each.number,
        )
        last.refused = True
        self._line.remove(last)

    def _takes_its_turn(self, place: _Place, line: list[_Place]) -> bool:
        """Leave the line for work if that is possible within a look's time."""

        def may_enter() -> bool:
            if place.refused:
                return True
            if not place.holds and self._bytes + place.need > self._max_bytes:
                return False
            # Work that nobody waits for not even beside those who wait: what it takes they might
            # wait for longer.
            return self._next() is place if place.named else line[0] is place and not self._line

        with self._changed:
            if not self._changed.wait_for(may_enter, LOOK):
                return False
            if place.refused:
                raise TryAgain("Many requests of your network address wait. Try again in a minute.")
            line.remove(place)
            if not place.holds:
                self._bytes += place.need
                place.holds = True
            if place.named:
                self._start(place)
            # Whoever is first now may fit as well.
            self._reorder()
            return True

    def _next(self) -> _Place | None:
        """Who may have the next place, if one is free."""
        if self._takes() >= self._at_once:
            return None
        return next((each for each in self._served() if self._may_share(each)), None)

    def _takes(self, address: Hashable = None) -> int:
        """How many places are taken, by an address or by all."""
        since = self._clock() - self._longest
        return sum(
            each.began > since and (address is None or each.whose[0].address == address)
            for each in self._running
        )

    def _may_share(self, place: _Place) -> bool:
        """Whether it leaves the last place to other addresses."""
        return not place.shares or any(
            self._takes(who.address) < self._at_once - 1 for who in place.whose
        )

    def _served(self) -> list[_Place]:
        """The line, who is served first in front."""
        # What was used counts less as time goes by, which changes nobody's order.
        if self._order is None:
            now = self._clock()
            self._order = sorted(self._line, key=lambda place: self._rank(place, now))
        return self._order

    def _rank(self, place: _Place, now: float) -> tuple[float, float, int]:
        address, name = min(
            (self.used.of(who.address, now), self.used.of((who.address, who.name), now))
            for who in place.whose
        )
        return address, name, place.number

    def _reorder(self) -> None:
        self._order = None
        self._changed.notify_all()

    def _standing(self, place: _Place, line: list[_Place]) -> tuple[int, float]:
        """Its place in line, and about how many seconds are left."""
        with self._changed:
            served = self._served() if place.named else line
            standing = served.index(place) + 1 if place in served else 1
            return standing, sum(map(self._expected, served[:standing])) / self._at_once

    def _expected(self, place: _Place) -> float:
        return max(0.0, self._usual.get(place.kind, _USUAL) - place.took)

    def _count(self, place: _Place, seconds: float) -> None:
        who, now = place.whose[0], self._clock()
        self.used.add(who.address, seconds, now)
        self.used.add((who.address, who.name), seconds, now)

    def _start(self, place: _Place) -> None:
        place.began, place.expected = self._clock(), self._expected(place)
        self._running.add(place)
        self._count(place, place.expected)

    def _stop(self, place: _Place) -> None:
        """Give its place back, if it has one."""
        with self._changed:
            if place in self._running:
                self._running.remove(place)
                seconds = min(self._clock() - place.began, self._longest)
                place.took += seconds
                self._count(place, seconds - place.expected)
                self._reorder()

    def _end(self, place: _Place, key: Hashable) -> None:
        self._stop(place)
        with self._changed:
            if self._by_key.get(key) is place:
                del self._by_key[key]
            if place.holds:
                self._bytes -= place.need
                place.holds = False
            if place.took:
                usual = self._usual.setdefault(place.kind, _USUAL)
                self._usual[place.kind] = usual + _RECENT * (place.took - usual)
            self._changed.notify_all()

    def _gives_way(self, place: _Place) -> bool:
        """Whether somebody who has used less waits for the place that this one has."""
        with self._changed:
            if place not in self._running or self._takes() < self._at_once:
                return False
            self._running.remove(place)  # as if it had left
            other = next((each for each in self._served() if self._may_share(each)), None)
            self._running.add(place)
            if other is None or self._bytes + other.need * (not other.holds) > self._max_bytes:
                return False
            now = self._clock()
            over = max(0.0, now - place.began - place.expected)
            mine, theirs = self._rank(place, now), self._rank(other, now)
            if place.whose[0].address == other.whose[0].address:
                return mine[1] + over > theirs[1] + _AHEAD
            return mine[0] + over > theirs[0] + _AHEAD

    def _resume(self, place: _Place, visitor: Visitor) -> None:
        with self._changed:
            if place in self._running:
                return
        self._wait_in_line(place, visitor, key=None)
