"""Rooms in which a presenter's view is followed: who may move one, and what it shows now.

No Streamlit in here. A room is found by its code, which the join link holds, or by its letters,
which are short enough to be typed and guessed at slowly; it is moved only with its key, which only
the presenter's session and browser hold. Who follows is a session that has joined; a browser that
asks under any other name is told nothing and takes no place.
"""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from app.compute.rate import RateLimit
from app.compute.refusals import TryAgain
from app.compute.room import (
    AWAY,
    GONE,
    IDLE,
    LETTERS,
    LONG,
    LONGEST,
    LOST,
    MAX_FOLLOWERS,
    MAX_OF_ADDRESS,
    MAX_OPTIONS,
    MAX_POINTED,
    MAX_POLLS,
    MAX_ROOMS,
    POINT_EVERY,
    WRONG,
    Follower,
    Guest,
    Held,
    Here,
    Poll,
    Room,
    RoomError,
    Shown,
    View,
    digest,
    shown,
)

# 96 bits: no one finds a room by trying.
_CODE_BYTES, _KEY_BYTES = 12, 32
# Looks whether a presenter elsewhere has gone, until that is known.
_TRIES = 20


class Rooms:
    """The rooms of one server; safe for any number of threads.

    Processes that share their rooms each know all of them: `changed` and `stirred` are called when
    there is something to tell the others (with the lock held, so they only take note), and what the
    others tell comes in by `take_in`, `drop` and `hear`.

    Args:
        per_address: How many one network address may have open; 0: no limit.
        clock: Seconds that only rise.
    """

    def __init__(self, per_address: int = 0, clock: Callable[[], float] = time.monotonic):
        self._per_address, self._clock = per_address, clock
        self._lock = threading.Lock()
        # A room by its code, of which others or all know something new; and who is in one.
        self.changed: Callable[[str], None] = lambda code: None
        self.stirred: Callable[[], None] = lambda: None
        self._by_key: dict[str, Room] = {}  # by the key's digest
        self._by_code: dict[str, str] = {}  # code: digest of the key
        self._by_letters: dict[str, str] = {}  # letters: code
        self.guesses = RateLimit(WRONG, clock=clock)

    def open(self, page: str, view: Mapping[str, str], host: Guest) -> tuple[str, str]:
        """A new room: its code for followers, and the key that moves it.

        A session has one: another that it has opened before closes.

        Raises:
            RoomError: There are too many.
        """
        first = shown(1, page, view)
        with self._lock:
            now = self._clock()
            self._close_old(now)
            self._close_rooms_of(host)
            self._make_room(host, now)
            code, key = secrets.token_urlsafe(_CODE_BYTES), secrets.token_urlsafe(_KEY_BYTES)
            letters = self._free_letters()
            self._add(Room(code, letters, digest(key), host, now, now, first, now))
            self.changed(code)
            return code, key

    def letters(self, key: str) -> str:
        """What is typed to find the room; empty if it is closed."""
        with self._lock:
            room = self._open_room(key)
            return room.letters if room else ""

    def find(self, typed: str, guest: Guest) -> str:
        """The code of the room with these letters, written in any case and with gaps.

        Raises:
            RoomError: There is none, or too many wrong ones came from that address.
        """
        letters = "".join(sign for sign in typed.upper()[: 4 * LONG] if sign in LETTERS)
        where = guest.address or ""
        try:
            self.guesses.take(where)
        except TryAgain:
            raise RoomError(
                "Too many codes that no room has were typed from your network address. Wait a "
                "minute, or open the room's link."
            ) from None
        with self._lock:
            code = self._by_letters.get(letters, "")
            if self._room_by(code) is None:
                raise RoomError(
                    f"No room has that code. It is {LONG} letters, on the presenter's screen."
                )
        self.guesses.give_back(where)
        return code

    def show(self, key: str, page: str, view: Mapping[str, str]) -> bool:
        """Move the room to a view; whether it is still open."""
        with self._lock:
            room = self._open_room(key)
            if room is None:
                return False
            room.used = self._clock()
            if (page, view) != (room.shown.page, room.shown.view):
                room.shown = shown(room.shown.version + 1, page, view)
                self._change(room)
            return True

    def follow(self, code: str, guest: Guest) -> Shown:
        """Join the room, or come back to it: what it shows.

        Raises:
            RoomError: There is no such room, or it is full.
        """
        with self._lock:
            room, now = self._found(code), self._clock()
            known = room.followers.get(guest.name)
            if known is None or now - known.seen > GONE:
                self._check_place(room, guest.address, now)
            if len(room.followers) >= 2 * MAX_FOLLOWERS:
                room.followers = {
                    name: each for name, each in room.followers.items() if now - each.seen <= GONE
                }
            room.followers[guest.name] = Follower(guest.address, now)
            room.used = now
            self.stirred()
            return room.shown

    def look(self, code: str, name: str) -> Shown:
        """What the room shows, to a follower who has joined.

        Raises:
            RoomError: There is no such room, or nobody of that name in it, or it is full meanwhile.
        """
        with self._lock:
            room, now = self._found(code), self._clock()
            follower = room.followers.get(name)
            if follower is None:
                # In a process that has just gone: its page is about to join again here.
                if name in room.present(now):
                    return room.shown
                raise RoomError("That room is followed by who has joined it.")
            if now - follower.seen > GONE:
                self._check_place(room, follower.address, now)
            follower.seen = room.used = now
            return room.shown

    def point(self, key: str, at: str) -> bool:
        """Show what its presenter points at, or nothing; whether the room is still open.

        What is too long, or comes too soon after the last one, is left out.
        """
        with self._lock:
            room, now = self._open_room(key), self._clock()
            if room is None:
                return False
            if len(at) <= MAX_POINTED and now - room.pointed_at >= POINT_EVERY:
                room.pointed_at = now
                room.shown = replace(room.shown, pointed=at)
                self._change(room)
            return True

    def ask(self, key: str, question: str, options: Sequence[str]) -> dict[str, int]:
        """Let who follows vote on a question, the latest of the room: the votes so far by option.

        Raises:
            RoomError: There are too many options.
        """
        if len(options) > MAX_OPTIONS:
            raise RoomError(f"A question has at most {MAX_OPTIONS} options.")
        with self._lock:
            room = self._open_room(key)
            if room is None:
                return dict.fromkeys(options, 0)
            poll = room.polls.pop(question, None)
            if poll is None or poll.options != tuple(options):
                poll = Poll(tuple(options))
            before = [*room.polls.items()][-1:]
            room.polls[question], room.asked = poll, question
            if len(room.polls) > MAX_POLLS:
                del room.polls[next(iter(room.polls))]
            if [*room.polls.items()][-1:] != before:
                self._change(room)
            given = Counter(room.votes(question, self._clock()).values())
            return {option: given[option] for option in options}

    def vote(self, code: str, name: str, question: str, option: str) -> None:
        """The vote of a follower, who has one and may change it.

        Raises:
            RoomError: There is no such room, follower, question now, or option.
        """
        with self._lock:
            room = self._found(code)
            if name not in room.followers:
                raise RoomError("A room's questions are for who has joined it.")
            poll = room.polls.get(question)
            if poll is None or room.asked != question or option not in poll.options:
                raise RoomError("The presenter does not ask that now.")
            poll.votes[name] = option
            self.stirred()
            # Who has gone for long is forgotten, and so is their vote, before a room grows.
            if len(poll.votes) > 2 * MAX_FOLLOWERS:
                poll.votes = {
                    who: what for who, what in poll.votes.items() if who in room.followers
                }

    def prepare(self, key: str, views: Sequence[View], stage: bool = False) -> None:
        """Remember what its presenter steps through, should they have to come back."""
        with self._lock:
            if room := self._open_room(key):
                room.prepared, room.stage = tuple(views), stage
                self._change(room)

    def take_over(self, key: str, host: Guest, if_left: bool = False) -> Held | None:
        """Move the room from here on, with a new key; None if that cannot be.

        The old key moves nothing any more: of two tabs of one presenter only one is followed.

        Args:
            key: The key so far.
            host: Who presents from here on.
            if_left: Only where the tab that presented is gone.
        """
        for left in reversed(range(_TRIES + 1)):
            with self._lock:
                room = self._open_room(key)
                if room is None and if_left and key:
                    # Of whoever loads pages faster than their browser keeps keys.
                    former = (each for each in self._by_key.values() if each.former == digest(key))
                    room = next(former, None)
                if room is None:
                    return None
                if not if_left or not room.is_there(self._clock()):
                    return self._hand_over(room, host)
                if not room.at or not left:
                    return None
            # Its process may have just gone: that is known once it has said nothing for a while.
            time.sleep(LOST / _TRIES)
        return None

    def _hand_over(self, room: Room, host: Guest) -> Held:
        new = secrets.token_urlsafe(_KEY_BYTES)
        self._close_rooms_of(host, but=room)
        self._discard(room)
        room.former, room.key, room.term = room.key, digest(new), room.term + 1
        room.host, room.there, room.at = host, self._clock(), ""
        self._add(room)
        self._change(room)
        return Held(room.code, new, room.prepared, room.stage)

    def followers(self, key: str) -> int | None:
        """How many follow now; None if the room is closed."""
        with self._lock:
            room = self._open_room(key)
            return None if room is None else len(room.present(self._clock()))

    def leave(self, code: str, name: str) -> None:
        """A follower goes."""
        with self._lock:
            if room := self._by_key.get(self._by_code.get(code, "")):
                room.followers.pop(name, None)
                self.stirred()

    def close(self, key: str) -> None:
        """The presenter ends it."""
        with self._lock:
            self._remove(digest(key))

    def now(self) -> float:
        """The time by the clock of the rooms."""
        return self._clock()

    def codes(self) -> list[str]:
        """Of all rooms that are open."""
        with self._lock:
            return list(self._by_code)

    def copy(self, code: str) -> Room | None:
        """A room as it is now, for whoever tells other processes; None if it is closed."""
        with self._lock:
            room = self._room_by(code)
            return replace(room, polls=dict(room.polls)) if room else None

    def here(self) -> dict[str, Here]:
        """What only this process knows of rooms, by code: who is there."""
        with self._lock:
            now = self._clock()
            self._close_old(now)
            return {
                room.code: Here(
                    not room.at and room.host.is_there(),
                    {
                        name: each.address
                        for name, each in room.followers.items()
                        if now - each.seen <= GONE
                    },
                    {question: dict(poll.votes) for question, poll in room.polls.items()},
                )
                for room in self._by_key.values()
                if not room.at or room.followers
            }

    def take_in(self, room: Room) -> bool:
        """A room as another process has it, in place of an older one; whether it is newer."""
        with self._lock:
            known = self._room_by(room.code)
            # Else one room would be forgotten by halves, and be in the way of all others.
            if self._by_letters.get(room.letters, room.code) != room.code:
                return False
            if self._by_key.get(room.key, known) is not known:
                return False
            if known is None:
                if len(self._by_key) >= 2 * MAX_ROOMS:
                    return False
            elif room.age <= known.age:
                return False
            else:
                room.followers, room.elsewhere = known.followers, known.elsewhere
                for question, poll in room.polls.items():
                    before = known.polls.get(question)
                    if before and before.options == poll.options:
                        poll.votes = before.votes
                self._discard(known)
            self._add(room)
            return True

    def drop(self, code: str) -> None:
        """Another process says that a room is closed."""
        with self._lock:
            if room := self._room_by(code):
                self._discard(room)

    def hear(self, process: str, rooms: Mapping[str, Here]) -> None:
        """Who is in which room in another process."""
        with self._lock:
            now = self._clock()
            for room in self._by_key.values():
                if (here := rooms.get(room.code)) is None:
                    room.elsewhere.pop(process, None)
                    continue
                room.elsewhere[process] = now, here
                if here.there and room.at == process:
                    room.there = now
                if here.followers:
                    room.used = now

    def _change(self, room: Room) -> None:
        room.revision += 1
        self.changed(room.code)

    def _add(self, room: Room) -> None:
        self._by_key[room.key] = room
        self._by_code[room.code], self._by_letters[room.letters] = room.key, room.code

    def _discard(self, room: Room) -> None:
        del self._by_key[room.key], self._by_code[room.code], self._by_letters[room.letters]

    def _free_letters(self) -> str:
        while True:
            letters = "".join(secrets.choice(LETTERS) for _ in range(LONG))
            if letters not in self._by_letters:
                return letters

    def _open_room(self, key: str) -> Room | None:
        self._close_old(self._clock())
        return self._by_key.get(digest(key))

    def _room_by(self, code: str) -> Room | None:
        self._close_old(self._clock())
        return self._by_key.get(self._by_code.get(code, ""))

    def _found(self, code: str) -> Room:
        room = self._room_by(code)
        if room is None:
            raise RoomError("That room is closed.")
        return room

    def _check_place(self, room: Room, address: str | None, now: float) -> None:
        present = room.present(now)
        if len(present) >= MAX_FOLLOWERS:
            raise RoomError(f"That room is full: {MAX_FOLLOWERS} follow already.")
        here = sum(where == address for where in present.values())
        if address is not None and here >= MAX_OF_ADDRESS:
            raise RoomError(
                f"That room is full for your network address: {MAX_OF_ADDRESS} follow from it."
            )

    def _make_room(self, host: Guest, now: float) -> None:
        """See to it that one more fits: a room whose presenter is gone closes for one who is there.

        With all of them in use the address that has most gives one up for an address that would
        still have fewer.
        """
        own = [key for key, room in self._by_key.items() if room.host.address == host.address]
        limited = host.address is not None and self._per_address
        if limited and len(own) >= self._per_address and not self._close_left(own, now):
            raise RoomError(
                f"{self._per_address} rooms are open from your network address, and there cannot "
                "be more. Close one, or try again later."
            )
        if len(self._by_key) < MAX_ROOMS or self._close_left(list(self._by_key), now):
            return
        held = Counter(room.host.address for room in self._by_key.values())
        most, count = held.most_common(1)[0]
        if count <= held[host.address] + 1:
            raise RoomError(
                f"{MAX_ROOMS} rooms are open, and there cannot be more. Close one, or try "
                "again later."
            )
        theirs = [key for key, room in self._by_key.items() if room.host.address == most]
        # The one with fewest followers, of these the one that was used least recently.
        self._remove(
            min(
                theirs,
                key=lambda key: (len(self._by_key[key].present(now)), self._by_key[key].used),
            )
        )

    def _close_rooms_of(self, host: Guest, but: Room | None = None) -> None:
        for key, room in list(self._by_key.items()):
            if not room.at and room.host.name == host.name and room is not but:
                self._remove(key)

    def _close_left(self, keys: Sequence[str], now: float) -> bool:
        """Close the one that was left by its presenter first, if any was."""
        left = [key for key in keys if self._by_key[key].there < now - GONE]
        if left:
            self._remove(min(left, key=lambda key: self._by_key[key].there))
        return bool(left)

    def _close_old(self, now: float) -> None:
        for key, room in list(self._by_key.items()):
            if not room.at and room.host.is_there():
                room.there = now
            left = now - room.there > AWAY
            if left or now - room.used > IDLE or now - room.opened > LONGEST:
                # Of a presenter elsewhere less is known here than there.
                self._remove(key, tell=not room.at)

    def _remove(self, key: str, tell: bool = True) -> None:
        if room := self._by_key.get(key):
            self._discard(room)
            if tell:
                self.changed(room.code)
