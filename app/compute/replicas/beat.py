"""What each process says of itself twice a second: who is there, and what was used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.compute.replicas import checked
from app.compute.replicas.checked import Forged
from app.compute.room import MAX_FOLLOWERS, MAX_POLLS, MAX_ROOMS, Here
from app.links.parsers import is_code

# Seconds between two.
EVERY = 0.5
# Addresses of which is told what they use: those that use most.
MAX_USERS = 200
_MAX_KINDS = 16


@dataclass(frozen=True)
class Beat:
    """One of them.

    Args:
        process: Which process this is.
        rooms: Who is in which room, by code.
        used: Seconds that network addresses have used lately, by kind of work and address.
        taken: How many of what is limited by the minute were taken since the last beat.
    """

    process: str
    rooms: Mapping[str, Here] = field(default_factory=dict)
    used: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    taken: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """As it is told."""
        rooms = {
            code: {
                "there": here.there,
                "followers": dict(here.followers),
                "votes": {question: dict(votes) for question, votes in here.votes.items()},
            }
            for code, here in self.rooms.items()
        }
        message = {"process": self.process, "rooms": rooms, "used": self.used, "taken": self.taken}
        return checked.written(message)

    @classmethod
    def from_bytes(cls, data: bytes) -> Beat:
        """What another process says.

        Raises:
            Forged: It is nothing that a process says.
        """
        message = checked.read(data)
        rooms = checked.mapping(message.get("rooms"), 2 * MAX_ROOMS, _here)
        if not all(map(is_code, rooms)):
            raise Forged
        return cls(
            checked.text(message.get("process")),
            rooms,
            checked.mapping(message.get("used"), _MAX_KINDS, _seconds),
            checked.mapping(message.get("taken"), _MAX_KINDS, _counts),
        )


def _here(value: Any) -> Here:
    if not isinstance(value, dict):
        raise Forged
    return Here(
        value.get("there") is True,
        checked.mapping(value.get("followers"), 2 * MAX_FOLLOWERS, checked.text_or_none),
        checked.mapping(value.get("votes"), MAX_POLLS, _votes, name=1000),
    )


def _votes(value: Any) -> dict[str, str]:
    return checked.mapping(value, 2 * MAX_FOLLOWERS, lambda option: checked.text(option, 1000))


def _seconds(value: Any) -> dict[str, float]:
    return checked.mapping(value, MAX_USERS, lambda seconds: checked.number(seconds, 0.0, 1e6))


def _counts(value: Any) -> dict[str, int]:
    return checked.mapping(value, MAX_USERS, lambda count: checked.whole(count, -10_000, 10_000))
