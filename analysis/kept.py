"""A property that is found once and kept."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

T = TypeVar("T")


class kept_property(functools.cached_property[T]):
    """`functools.cached_property`, whose value is found without a lock.

    Python 3.11 holds one lock for all instances of a class while one of them finds its value. Who
    waits meanwhile for a turn or a model is waited for by all others, who hold what it waits for.
    Two threads that ask one instance at once both find the value here, and one of them stays.
    """

    def __init__(self, func: Callable[..., T]):
        super().__init__(func)
        self.lock = nullcontext()
