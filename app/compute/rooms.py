"""Rooms in which a presenter's view is followed: who may move one, and what it shows now.

No Streamlit in here. A room is found by its code, which the join link holds, and moved only with
its key, which only the presenter's session and browser hold.
"""

import secrets
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

MAX_ROOMS = 50
MAX_FOLLOWERS = 200
# Characters of a view in a room: a long prompt and everything else.
MAX_VIEW = 120_000
# Seconds after which a room closes: without a presenter or follower, and in any case.
IDLE, LONGEST = 3600.0, 8 * 3600.0
# Seconds without a look after which a follower counts as gone.
GONE = 10.0
# 96 bits: no one finds a room by trying.
_CODE_BYTES, _KEY_BYTES = 12, 32
View = tuple[str, Mapping[str, str]]  # page, and the values of its link


class RoomError(ValueError):
    """A room that cannot be opened or followed; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a room shows: it has changed if the version has."""

    version: int
    page: str
    view: Mapping[str, str]


@dataclass(slots=True)
class _Room:
    code: str
    opened: float
    used: float
    shown: Shown
    prepared: tuple[View, ...] = ()
    followers: dict[Hashable, float] = field(default_factory=dict)  # when each looked last


class Rooms:
    """The rooms of one server; safe for any number of threads.

    Args:
        clock: Seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        self._by_key: dict[str, _Room] = {}
        self._by_code: dict[str, str] = {}  # code: key

    def open(self, page: str, view: Mapping[str, str]) -> tuple[str, str]:
        """A new room: its code for followers, and the key that moves it.

        Raises:
            RoomError: There are too many.
        """
        with self._lock:
            now = self._clock()
            self._close_old(now)
            if len(self._by_key) >= MAX_ROOMS:
                raise RoomError(
                    f"{MAX_ROOMS} rooms are open, and there cannot be more. Close one, or try "
                    "again later."
                )
            code, key = secrets.token_urlsafe(_CODE_BYTES), secrets.token_urlsafe(_KEY_BYTES)
            self._by_key[key] = _Room(code, now, now, _shown(1, page, view))
            self._by_code[code] = key
            return code, key

    def show(self, key: str, page: str, view: Mapping[str, str]) -> bool:
        """Move the room to a view; whether it is still open."""
        with self._lock:
            room = self._open_room(key)
            if room is None:
                return False
            room.used = self._clock()
            if (page, view) != (room.shown.page, room.shown.view):
                room.shown = _shown(room.shown.version + 1, page, view)
            return True

    def look(self, code: str, follower: Hashable) -> Shown:
        """What the room shows, to a follower.

        Raises:
            RoomError: There is no such room, or it is full.
        """
        with self._lock:
            room = self._open_room(self._by_code.get(code, ""))
            if room is None:
                raise RoomError("That room is closed.")
            now = self._clock()
            if follower not in room.followers and len(_present(room, now)) >= MAX_FOLLOWERS:
                raise RoomError(f"That room is full: {MAX_FOLLOWERS} follow already.")
            room.followers = {**_present(room, now), follower: now}
            room.used = now
            return room.shown

    def prepare(self, key: str, views: Sequence[View]) -> None:
        """Remember the views that its presenter steps through, should they have to come back."""
        with self._lock:
            if room := self._open_room(key):
                room.prepared = tuple(views)

    def take_over(self, key: str) -> tuple[str, str, tuple[View, ...]] | None:
        """Move the room from here on: its code, a new key, and its prepared views.

        The old key moves nothing any more: of two tabs of one presenter only one is followed.
        """
        with self._lock:
            room = self._open_room(key)
            if room is None:
                return None
            new = secrets.token_urlsafe(_KEY_BYTES)
            self._by_key[new] = self._by_key.pop(key)
            self._by_code[room.code] = new
            return room.code, new, room.prepared

    def followers(self, key: str) -> int | None:
        """How many follow now; None if the room is closed."""
        with self._lock:
            room = self._open_room(key)
            return None if room is None else len(_present(room, self._clock()))

    def leave(self, code: str, follower: Hashable) -> None:
        """A follower goes."""
        with self._lock:
            if room := self._by_key.get(self._by_code.get(code, "")):
                room.followers.pop(follower, None)

    def close(self, key: str) -> None:
        """The presenter ends it."""
        with self._lock:
            self._remove(key)

    def _open_room(self, key: str) -> _Room | None:
        self._close_old(self._clock())
        return self._by_key.get(key)

    def _close_old(self, now: float) -> None:
        for key, room in list(self._by_key.items()):
            if now - room.used > IDLE or now - room.opened > LONGEST:
                self._remove(key)

    def _remove(self, key: str) -> None:
        if room := self._by_key.pop(key, None):
            del self._by_code[room.code]


def _present(room: _Room, now: float) -> dict[Hashable, float]:
    return {who: seen for who, seen in room.followers.items() if now - seen <= GONE}


def _shown(version: int, page: str, view: Mapping[str, str]) -> Shown:
    if sum(map(len, view.values())) > MAX_VIEW:
        raise RoomError("This view is too long to be followed; shorten the prompt.")
    return Shown(version, page, MappingProxyType(dict(view)))
