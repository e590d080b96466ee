"""What is read from Redis as JSON, checked: whatever is not what we write is refused as a whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
# Characters of names of sessions, addresses and their like.
MAX_NAME = 100


class Forged(ValueError):
    """Not what a process of ours has written."""


def read(data: bytes) -> dict[str, Any]:
    """The object that a message is.

    Raises:
        Forged: It is none.
    """
    try:
        found = json.loads(data)
    # Deeply nested lists exhaust the parser's stack.
    except (ValueError, RecursionError) as error:
        raise Forged from error
    if not isinstance(found, dict):
        raise Forged
    return found


def written(message: dict[str, Any]) -> bytes:
    """A message as bytes."""
    return json.dumps(message, separators=(",", ":")).encode()


def text(value: Any, most: int = MAX_NAME) -> str:
    """A text of at most so many characters.

    Raises:
        Forged: It is none.
    """
    if not isinstance(value, str) or len(value) > most:
        raise Forged
    try:
        value.encode()
    # Half a character, as JSON can hold one and no page: it would fail where it is shown.
    except UnicodeEncodeError as error:
        raise Forged from error
    return value


def text_or_none(value: Any, most: int = MAX_NAME) -> str | None:
    """The same, or nothing.

    Raises:
        Forged: It is neither.
    """
    return None if value is None else text(value, most)


def number(value: Any, low: float, high: float) -> float:
    """A number within bounds.

    Raises:
        Forged: It is none.
    """
    # Compared as it is: a whole number of hundreds of digits cannot be made a float.
    if type(value) not in (int, float) or not low <= value <= high:
        raise Forged
    return float(value)


def whole(value: Any, low: int, high: int) -> int:
    """A whole number within bounds.

    Raises:
        Forged: It is none.
    """
    if type(value) is not int or not low <= value <= high:
        raise Forged
    return value


def mapping(value: Any, most: int, inner: Callable[[Any], T], name: int = MAX_NAME) -> dict[str, T]:
    """At most so many values by name, each checked by `inner`.

    Raises:
        Forged: It is none.
    """
    if not isinstance(value, dict) or len(value) > most:
        raise Forged
    return {text(key, name): inner(each) for key, each in value.items()}


def items(value: Any, most: int, inner: Callable[[Any], T]) -> tuple[T, ...]:
    """At most so many values, each checked by `inner`.

    Raises:
        Forged: It is none.
    """
    if not isinstance(value, list) or len(value) > most:
        raise Forged
    return tuple(map(inner, value))
