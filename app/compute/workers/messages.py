"""What is said to a worker and what it says: typed bytes with a checksum, never a pickle."""

from __future__ import annotations

from typing import Any

from app.compute.stored import from_bytes, to_bytes
from app.compute.workers.pieces import types

# What a message stands for; a file of results is none, and no message passes for a result.
_MESSAGE = "message 1"


class NotAMessage(ValueError):
    """Bytes that are no message of ours."""


def packed(*parts: Any) -> bytes:
    """Parts as a message.

    Raises:
        TypeError: One of them holds something that no message holds.
    """
    data = to_bytes(_MESSAGE, parts, types(), compressed=False)
    if data is None:
        raise TypeError(f"no message holds {', '.join(type(part).__name__ for part in parts)}")
    return data


def unpacked(data: bytes) -> tuple[Any, ...]:
    """The parts of a message.

    Raises:
        NotAMessage: The bytes are not exactly those of one.
    """
    parts = from_bytes(_MESSAGE, data, types())
    if not isinstance(parts, tuple) or not parts:
        raise NotAMessage("bytes that are no message")
    return parts
