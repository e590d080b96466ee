"""A cache that all visitors share: bounded, and one computation for requests that are alike."""

import sys
import threading
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, wait
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import numpy as np
from cachetools import LRUCache

from app.compute.admission import LOOK
from app.compute.refusals import NoMemory, TryAgain

Value = TypeVar("Value")
# Bytes of an array beside its numbers.
_ARRAY = 112


class SharedCache:
    """Least-recently-used results up to a total size; safe for any number of threads.

    Keys hold everything that can change the value. Values are handed to several visitors at
    once, so they have to be read-only (`analysis` results are).
    """

    def __init__(self, max_size: int, size_of: Callable[[Any], int]):
        self._size_of = size_of
        # Each with its size, which is worked out once and before the lock is taken.
        self._values: LRUCache[Hashable, tuple[Any, int]] = LRUCache(max_size, lambda kept: kept[1])
        self._in_flight: dict[Hashable, Future[Any]] = {}
        self._lock = threading.Lock()

    def get(
        self,
        key: Hashable,
        compute: Callable[[], Value],
        check: Callable[[], None] = lambda: None,
    ) -> Value:
        """The value of `key`: remembered, or awaited from another thread, or computed here.

        `check` is called now and then while another thread is awaited; it may raise to leave.

        Raises:
            Exception: What `compute` has raised, here or in the thread that was awaited.
        """
        while True:
            with self._lock:
                if key in self._values:
                    return self._values[key][0]
                waiting = self._in_flight.get(key)
                if waiting is None:
                    mine: Future[Value] = Future()
                    self._in_flight[key] = mine
                    break
            while not wait([waiting], LOOK).done:
                check()
            failure = waiting.exception()
            if failure is None:
                return waiting.result()
            # It would fail here in the same way.
            if isinstance(failure, NoMemory) or (
                isinstance(failure, Exception) and not isinstance(failure, TryAgain)
            ):
                try:
                    raise failure
                finally:
                    # Its traceback has this frame: else both would hold each other, and the model.
                    del failure, waiting
            # The other visitor has left before the end, or may not ask for more: nothing is known,
            # and the loop comes back to compute it here.
        try:
            value = compute()
            size = self._size_of(value)
        except BaseException as error:
            with self._lock:
                del self._in_flight[key]
            mine.set_exception(error)
            del mine  # as above
            raise
        with self._lock:
            del self._in_flight[key]
            self._keep(key, value, size)
        mine.set_result(value)
        return value

    def put(self, key: Hashable, value: Any) -> None:
        """Remember what was found in another way, without waiting for who may compute it."""
        size = self._size_of(value)
        with self._lock:
            self._keep(key, value, size)

    def _keep(self, key: Hashable, value: Any, size: int) -> None:
        # A value above the bound is not kept.
        if size <= self._values.maxsize:
            self._values[key] = value, size

    def look(self, key: Hashable) -> Any:
        """What is remembered of `key`, without waiting for anybody; None where nothing is."""
        with self._lock:
            return self._values[key][0] if key in self._values else None

    def items(self) -> list[tuple[Hashable, Any]]:
        """What is remembered now."""
        with self._lock:
            return [(key, value) for key, (value, _) in self._values.items()]


def nbytes(value: Any) -> int:
    """Memory of a result: its arrays and objects, each counted once however often it is held."""
    total, seen, left = 0, set[int](), [value]
    while left:
        part = left.pop()
        if isinstance(part, np.ndarray):
            # A view keeps all of what it is a view of.
            while isinstance(part.base, np.ndarray):
                part = part.base
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, np.ndarray):
            total += _ARRAY + int(part.nbytes)
            continue
        total += sys.getsizeof(part)
        if is_dataclass(part):
            left += [getattr(part, field.name) for field in fields(part)]
        elif isinstance(part, Mapping):
            left += [*part.keys(), *part.values()]
        elif isinstance(part, (tuple, list)):
            left += part
    return total
