"""A cache that all visitors share: bounded, and one computation for requests that are alike."""

import threading
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, wait
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import numpy as np
from cachetools import LRUCache

Value = TypeVar("Value")
# Seconds between two looks of somebody who waits for another's computation.
LOOK = 0.25


class SharedCache:
    """Least-recently-used results up to a total size; safe for any number of threads.

    Keys hold everything that can change the value. Values are handed to several visitors at
    once, so they have to be read-only (`analysis` results are).
    """

    def __init__(self, max_size: int, size_of: Callable[[Any], int]):
        self._values: LRUCache[Hashable, Any] = LRUCache(max_size, getsizeof=size_of)
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
        """
        while True:
            with self._lock:
                if key in self._values:
                    return self._values[key]
                waiting = self._in_flight.get(key)
                if waiting is None:
                    mine: Future[Value] = Future()
                    self._in_flight[key] = mine
                    break
            # The other visitor may leave before the end; then nothing is remembered and the
            # loop comes back to compute it here.
            while not wait([waiting], LOOK).done:
                check()
            if waiting.exception() is None:
                return waiting.result()
        try:
            value = compute()
        except BaseException as error:
            with self._lock:
                del self._in_flight[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._in_flight[key]
            # A value above the bound is returned and not kept.
            if self._values.getsizeof(value) <= self._values.maxsize:
                self._values[key] = value
        mine.set_result(value)
        return value

    def items(self) -> list[tuple[Hashable, Any]]:
        """What is remembered now."""
        with self._lock:
            return list(self._values.items())


def nbytes(value: Any) -> int:
    """Memory of the arrays in a result, plus a little for the objects around them."""
    if isinstance(value, np.ndarray):
        return int(value.nbytes)
    if is_dataclass(value):
        return 1024 + sum(nbytes(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, Mapping):
        return sum(map(nbytes, value.values()))
    if isinstance(value, (tuple, list)):
        return 64 + sum(map(nbytes, value))
    return 64 + (len(value) if isinstance(value, (str, bytes)) else 0)
