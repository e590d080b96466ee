"""This process among the others of one server: what it tells them, and takes in from them.

Everything is known here too, so nothing waits for Redis: rooms move by messages, a copy of each
stands in Redis for who comes later, and while Redis is away this process goes on with what it has.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from app.compute.admission import Used
from app.compute.rate import RateLimit
from app.compute.replicas import checked
from app.compute.replicas.beat import EVERY, MAX_USERS, Beat
from app.compute.replicas.checked import Forged
from app.compute.replicas.records import room_bytes, room_from
from app.compute.replicas.wire import Wire
from app.compute.room import AWAY, GONE, MAX_ROOMS, Room

if TYPE_CHECKING:
    from app.compute.rooms import Rooms

_log = logging.getLogger("headscope")
# Processes that are listened to.
MAX_PROCESSES = 64
# Seconds that the copy of a room stands without its process, and between two new ones.
_KEPT, _RENEW = AWAY + 60, 60.0
# Seconds between two beats at least, however much goes on.
_AT_LEAST = 0.1


class Replica:
    """One process of a server that has several; it begins to share at once.

    Args:
        wire: To the others.
        rooms: Its rooms.
        used: Seconds that addresses have used here, by kind of work.
        limits: What an address may take in a minute, by kind.
        heard: What else is done with what others say, by channel.
    """

    def __init__(
        self,
        wire: Wire,
        rooms: Rooms,
        used: Mapping[str, Used] | None = None,
        limits: Mapping[str, RateLimit] | None = None,
        heard: Mapping[str, Callable[[bytes], None]] | None = None,
    ):
        self._wire, self._rooms = wire, rooms
        self._used, self._limits = used or {}, limits or {}
        self._lock = threading.Lock()
        self._changed: dict[str, None] = {}  # codes of rooms of which the others are to be told
        self._heard: dict[str, tuple[float, Beat]] = {}  # by process
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._stirred = False  # who is in which room
        rooms.changed, rooms.stirred = self._note, self._stir
        own = {"rooms": self._hear_room, "beats": self._hear_beat}
        wire.listen({**own, **(heard or {})}, self._join)
        threading.Thread(target=self._tell, daemon=True, name="replica").start()

    @property
    def is_cut_off(self) -> bool:
        """Whether the others cannot be reached now."""
        return not self._wire.is_up

    def wait(self, seconds: float) -> bool:
        """Wait until the others can be reached, at most so long; whether they can."""
        return self._wire.wait(seconds)

    def close(self) -> None:
        """Share no more."""
        self._closed.set()
        self._wire.close()

    def _note(self, code: str) -> None:
        with self._lock:
            self._changed[code] = None
            if len(self._changed) > 4 * MAX_ROOMS:
                del self._changed[next(iter(self._changed))]
        self._wake.set()

    def _stir(self) -> None:
        self._stirred = True
        self._wake.set()

    def _tell(self) -> None:
        """Tell the others what has changed, and now and then that this process is there."""
        told = renewed = 0.0
        pause = EVERY
        while not self._closed.is_set():
            self._wake.wait(pause)
            self._wake.clear()
            now, pause = time.monotonic(), EVERY
            if not self._wire.is_up:
                self._closed.wait(_AT_LEAST)
                continue
            self._tell_rooms()
            if now - renewed > _RENEW:
                renewed = now
                self._renew()
            if now - told >= (_AT_LEAST if self._stirred else EVERY):
                told, self._stirred = now, False
                self._wire.say("beats", self._beat().to_bytes())
                self._forget_lost()
            elif self._stirred:
                pause = _AT_LEAST

    def _tell_rooms(self) -> None:
        with self._lock:
            codes, self._changed = list(self._changed), {}
        for code in codes:
            room = self._rooms.copy(code)
            if room is None:
                gone = self._wire.drop(f"room:{code}")
                closed = checked.written({"closed": code, "process": self._wire.name})
                said = self._wire.say("rooms", closed) and gone
            else:
                data = room_bytes(room, self._wire.name, self._rooms.now())
                kept = self._wire.put(f"room:{code}", data, _KEPT)
                said = self._wire.say("rooms", data) and kept
            if not said:  # when it is back
                with self._lock:
                    self._changed.setdefault(code)

    def _renew(self) -> None:
        """Let the copies of rooms stand on whose presenters are here."""
        for code in self._rooms.codes():
            room = self._rooms.copy(code)
            if room is not None and not room.at:
                data = room_bytes(room, self._wire.name, self._rooms.now())
                self._wire.put(f"room:{code}", data, _KEPT)

    def _join(self, kept: bool) -> None:
        """Take in all rooms that there are, and see which ones Redis does not have."""
        found: dict[str, tuple[int, int, str]] = {}
        with self._lock:
            changed = set(self._changed)
        for key in self._wire.keys("room:", 2 * MAX_ROOMS):
            data = self._wire.get(key)
            room = self._read_room(data) if data else None
            if room is None or key != f"room:{room.code}":
                continue
            found[room.code] = room.age
            # One that was closed here meanwhile is about to be told.
            if room.code not in changed or self._rooms.copy(room.code):
                self._take_in(room)
        for code in self._rooms.codes():
            room = self._rooms.copy(code)
            if room is None or (code in found and found[code] >= room.age):
                continue
            # Redis has kept everything else: somebody has closed it.
            if kept and room.at and code not in found and code not in changed:
                self._rooms.drop(code)
            else:
                self._note(code)
        self._stir()

    def _hear_room(self, data: bytes) -> None:
        try:
            message = checked.read(data)
            if message.get("process") == self._wire.name:
                return
            if "closed" in message:
                self._rooms.drop(checked.text(message["closed"]))
                return
        except Forged:
            return
        if (room := self._read_room(data)) is not None:
            self._take_in(room)

    def _read_room(self, data: bytes) -> Room | None:
        try:
            return room_from(checked.read(data), self._rooms.now())
        except Forged:
            return None

    def _take_in(self, room: Room) -> None:
        known = self._rooms.copy(room.code)
        if room.at != self._wire.name and (known is None or room.age > known.age):
            self._rooms.take_in(room)
        # Who says so has missed something: that it was closed here, or what is shown here now.
        elif known is None or (not known.at and room.age < known.age):
            self._note(room.code)

    def _beat(self) -> Beat:
        return Beat(
            self._wire.name,
            self._rooms.here(),
            {kind: used.most(MAX_USERS, time.monotonic()) for kind, used in self._used.items()},
            {kind: limit.taken(MAX_USERS) for kind, limit in self._limits.items()},
        )

    def _hear_beat(self, data: bytes) -> None:
        try:
            beat = Beat.from_bytes(data)
        except Forged:
            return
        if beat.process == self._wire.name:
            return
        with self._lock:
            if beat.process not in self._heard and len(self._heard) >= MAX_PROCESSES:
                return
            new = beat.process not in self._heard
            self._heard[beat.process] = time.monotonic(), beat
        self._rooms.hear(beat.process, beat.rooms)
        self._count_used()
        for kind, limit in self._limits.items():
            for name, count in beat.taken.get(kind, {}).items():
                limit.count(name, count)
        if new:  # it wants to know who is here
            self._stir()

    def _count_used(self) -> None:
        with self._lock:
            beats = [beat for _, beat in self._heard.values()]
        for kind, used in self._used.items():
            elsewhere: dict[str, float] = {}
            for beat in beats:
                for address, seconds in beat.used.get(kind, {}).items():
                    elsewhere[address] = elsewhere.get(address, 0.0) + seconds
            used.elsewhere = elsewhere

    def _forget_lost(self) -> None:
        """Of a process that says nothing any more, nobody is there."""
        since = time.monotonic() - GONE
        with self._lock:
            lost = [process for process, (when, _) in self._heard.items() if when < since]
            for process in lost:
                del self._heard[process]
        for process in lost:
            self._rooms.hear(process, {})
        if lost:
            self._count_used()
