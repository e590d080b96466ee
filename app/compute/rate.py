"""So many of something a minute for each visitor or network address."""

import threading
import time
from collections import Counter, OrderedDict

from app.compute.refusals import TryAgain
from app.compute.visitor import MAX_VISITORS, Clock


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
        self._fresh: Counter[str] = Counter()  # taken since the last `taken`

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
            self._fresh[name] += enough
            if len(self._left) > MAX_VISITORS:
                oldest, _ = self._left.popitem(last=False)
                self._fresh.pop(oldest, None)
        if not enough:
            raise TryAgain(
                f"More than {self._per_minute} new results were asked for in a minute, which is "
                f"what {self._who} of this server gets. Wait a few seconds, then go on."
            )

    def give_back(self, name: str) -> None:
        """Take back that one was counted."""
        with self._lock:
            if name in self._left:
                left, since = self._left[name]
                self._left[name] = (min(self._per_minute, left + 1), since)
                self._fresh[name] -= 1

    def taken(self, count: int) -> dict[str, int]:
        """What was taken here since the last call, by name: at most so many, who took most."""
        with self._lock:
            fresh, self._fresh = self._fresh, Counter()
        return {name: taken for name, taken in fresh.most_common(count) if taken}

    def count(self, name: str, taken: int) -> None:
        """Count what was taken in another process of this server."""
        if not self._per_minute:
            return
        now = self._clock()
        with self._lock:
            left, since = self._left.pop(name, (float(self._per_minute), now))
            left += (now - since) * self._per_minute / 60 - taken
            self._left[name] = (min(max(left, 0.0), float(self._per_minute)), now)
            if len(self._left) > MAX_VISITORS:
                self._left.popitem(last=False)
