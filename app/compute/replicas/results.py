"""Results in Redis, for all processes: bytes of `app.compute.stored`, checked by who reads."""

from __future__ import annotations

import hashlib
import threading

from app.compute.replicas.wire import MAX_VALUE, Wire
from app.compute.stored import asked_of

# Seconds that a result is kept; how many are, and bytes of all of them.
KEPT, MAX_RESULTS, MAX_BYTES = 24 * 3600.0, 2000, 256 * 2**20
# Results that this process keeps between two looks whether there are too many.
_TIDY_EVERY = 16
_INDEX = "results"


class SharedResults:
    """Results by question, those kept longest ago go first.

    Args:
        wire: Over which they are shared; while it is down nothing is found, and nothing kept.
        max_results: How many.
        max_bytes: Of all of them.
    """

    def __init__(self, wire: Wire, max_results: int = MAX_RESULTS, max_bytes: int = MAX_BYTES):
        self._wire, self._max_results, self._max_bytes = wire, max_results, max_bytes
        self._lock = threading.Lock()
        self._kept = 0

    def get(self, question: str) -> bytes | None:
        """What was kept for a question."""
        return self._wire.get(_key(question))

    def keep(self, question: str, data: bytes) -> None:
        """Keep it, unless it is too large for a value of Redis that others wait behind."""
        key = _key(question)
        if len(data) > MAX_VALUE or not self._wire.put(key, data, KEPT):
            return
        if not self._wire.add(_INDEX, f"{key} {len(data)}", KEPT):
            self._wire.drop(key)  # nobody would count it
            return
        with self._lock:
            self._kept += 1
            tidy = self._kept % _TIDY_EVERY == 1
        if tidy:
            self._tidy()

    def _tidy(self) -> None:
        """Let go of what is too much, and of what Redis has let go of by itself."""
        left, too_many = self._max_bytes, []
        for place, entry in enumerate(self._wire.members(_INDEX, 2 * self._max_results)):
            key, _, size = entry.partition(" ")
            left -= int(size) if size.isdecimal() and len(size) < 12 else self._max_bytes
            # Of the index only what this class has written: it names no other keys to delete.
            if place >= self._max_results or left < 0 or not key.startswith("result:"):
                too_many.append(entry)
        if too_many:
            names = [entry.partition(" ")[0] for entry in too_many]
            if own := [name for name in names if name.startswith("result:")]:
                self._wire.drop(*own)
            self._wire.remove(_INDEX, *too_many)


def _key(question: str) -> str:
    return f"result:{hashlib.sha256(asked_of(question).encode()).hexdigest()}"
