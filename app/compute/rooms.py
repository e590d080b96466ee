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
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from app.compute.rate import RateLimit
from app.compute.refusals import TryAgain

MAX_ROOMS = 200
# In one room, and those of one network address: a lecture behind one leaves places for others.
MAX_FOLLOWERS, MAX_OF_ADDRESS = 250, 200
# Characters of a view in a room: a long prompt and everything else.
MAX_VIEW = 120_000
# Seconds after which a room closes: without a presenter or follower, and in any case.
IDLE, LONGEST = 3600.0, 8 * 3600.0
# Seconds after which it closes without its presenter, who may reload or lose the line for a while.
AWAY = 600.0
# Seconds without a look after which a follower counts as gone.
GONE = 10.0
# 96 bits: no one finds a room by trying.
_CODE_BYTES, _KEY_BYTES = 12, 32
# Of a room's letters: no vowels, which would make words, and none that looks like another one or
# like a digit. 2.5 million codes, of which an address may type so many wrong ones in a minute.
LETTERS, LONG = "BCDFGHJKMNPQRSTVWXZ", 5
WRONG = 10
# Questions of a room whose votes are kept, and options of each.
MAX_POLLS, MAX_OPTIONS = 16, 16
# Characters of what a presenter points at, and seconds between two such places.
MAX_POINTED, POINT_EVERY = 200, 0.1
View = tuple[str, Mapping[str, str]]  # page, and the values of its link


class RoomError(ValueError):
    """A room that cannot be opened or followed; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a room shows: it has changed if the version has."""

    version: int
    page: str
    view: Mapping[str, str]
    pointed: str = ""  # at what of it, as the presenter's browser says


@dataclass(frozen=True, slots=True)
class Held:
    """A room that somebody goes on presenting: how it is found and moved, and what is prepared."""

    code: str
    key: str
    views: tuple[View, ...]
    stage: bool


@dataclass(frozen=True, eq=False)
class Guest:
    """Who opens a room or follows in one.

    Args:
        name: Of the session, which nobody else can guess.
        address: Where it comes from, as far as that is known.
        is_there: Whether its page is still open.
    """

    name: str
    address: str | None = None
    is_there: Callable[[], bool] = lambda: True


@dataclass(slots=True)
class _Follower:
    address: str | None
    seen: float  # when its browser looked last


@dataclass(slots=True)
class _Poll:
    options: tuple[str, ...]
    votes: dict[str, str] = field(default_factory=dict)  # by name of who follows


@dataclass(slots=True)
class _Room:
    code: str
    letters: str
    host: Guest
    opened: float
    used: float
    shown: Shown
    there: float  # when its host was last
    former: str = ""  # the key before this one, which may still be what a browser has kept
    prepared: tuple[View, ...] = ()
    stage: bool = False  # whether its presenter is in presenter mode
    pointed_at: float = -POINT_EVERY  # when
    followers: dict[str, _Follower] = field(default_factory=dict)  # by name
    polls: dict[str, _Poll] = field(default_factory=dict)  # by question
    asked: str = ""  # the question now

    def present(self, now: float) -> list[_Follower]:
        """Those who follow now."""
        return [each for each in self.followers.values() if now - each.seen <= GONE]


class Rooms:
    """The rooms of one server; safe for any number of threads.

    Args:
        per_address: How many one network address may have open; 0: no limit.
        clock: Seconds that only rise.
    """

    def __init__(self, per_address: int = 0, clock: Callable[[], float] = time.monotonic):
        self._per_address, self._clock = per_address, clock
        self._lock = threading.Lock()
        self._by_key: dict[str, _Room] = {}
        self._by_code: dict[str, str] = {}  # code: key
        self._by_letters: dict[str, str] = {}  # letters: code
        self._guesses = RateLimit(WRONG, clock=clock)

    def open(self, page: str, view: Mapping[str, str], host: Guest) -> tuple[str, str]:
        """A new room: its code for followers, and the key that moves it.

        A session has one: another that it has opened before closes.

        Raises:
            RoomError: There are too many.
        """
        shown = _shown(1, page, view)
        with self._lock:
            now = self._clock()
            self._close_old(now)
            for key in [key for key, room in self._by_key.items() if room.host.name == host.name]:
                self._remove(key)
            self._make_room(host, now)
            code, key = secrets.token_urlsafe(_CODE_BYTES), secrets.token_urlsafe(_KEY_BYTES)
            letters = self._free_letters()
            self._by_key[key] = _Room(code, letters, host, now, now, shown, now)
            self._by_code[code], self._by_letters[letters] = key, code
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
            self._guesses.take(where)
        except TryAgain:
            raise RoomError(
                "Too many codes that no room has were typed from your network address. Wait a "
                "minute, or open the room's link."
            ) from None
        with self._lock:
            code = self._by_letters.get(letters, "")
            if self._open_room(self._by_code.get(code, "")) is None:
                raise RoomError(
                    f"No room has that code. It is {LONG} letters, on the presenter's screen."
                )
        self._guesses.give_back(where)
        return code

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
            room.followers[guest.name] = _Follower(guest.address, now)
            room.used = now
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
                poll = _Poll(tuple(options))
            room.polls[question], room.asked = poll, question
            if len(room.polls) > MAX_POLLS:
                del room.polls[next(iter(room.polls))]
            given = Counter(what for who, what in poll.votes.items() if who in room.followers)
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

    def take_over(self, key: str, host: Guest, if_left: bool = False) -> Held | None:
        """Move the room from here on, with a new key; None if that cannot be.

        The old key moves nothing any more: of two tabs of one presenter only one is followed.

        Args:
            key: The key so far.
            host: Who presents from here on.
            if_left: Only where the tab that presented is gone.
        """
        with self._lock:
            room = self._open_room(key)
            if room is None and if_left and key:
                # Of whoever loads pages faster than their browser keeps keys.
                key = next((k for k, each in self._by_key.items() if each.former == key), "")
                room = self._open_room(key)
            if room is None or (if_left and room.host.is_there()):
                return None
            new = secrets.token_urlsafe(_KEY_BYTES)
            self._by_key[new] = self._by_key.pop(key)
            room.former = key
            room.host, room.there = host, self._clock()
            self._by_code[room.code] = new
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

    def close(self, key: str) -> None:
        """The presenter ends it."""
        with self._lock:
            self._remove(key)

    def _free_letters(self) -> str:
        while True:
            letters = "".join(secrets.choice(LETTERS) for _ in range(LONG))
            if letters not in self._by_letters:
                return letters

    def _open_room(self, key: str) -> _Room | None:
        self._close_old(self._clock())
        return self._by_key.get(key)

    def _found(self, code: str) -> _Room:
        room = self._open_room(self._by_code.get(code, ""))
        if room is None:
            raise RoomError("That room is closed.")
        return room

    def _check_place(self, room: _Room, address: str | None, now: float) -> None:
        present = room.present(now)
        if len(present) >= MAX_FOLLOWERS:
            raise RoomError(f"That room is full: {MAX_FOLLOWERS} follow already.")
        here = sum(each.address == address for each in present)
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

    def _close_left(self, keys: Sequence[str], now: float) -> bool:
        """Close the one that was left by its presenter first, if any was."""
        left = [key for key in keys if self._by_key[key].there < now - GONE]
        if left:
            self._remove(min(left, key=lambda key: self._by_key[key].there))
        return bool(left)

    def _close_old(self, now: float) -> None:
        for key, room in list(self._by_key.items()):
            if room.host.is_there():
                room.there = now
            left = now - room.there > AWAY
            if left or now - room.used > IDLE or now - room.opened > LONGEST:
                self._remove(key)

    def _remove(self, key: str) -> None:
        if room := self._by_key.pop(key, None):
            del self._by_code[room.code], self._by_letters[room.letters]


def _shown(version: int, page: str, view: Mapping[str, str]) -> Shown:
    if sum(map(len, view.values())) > MAX_VIEW:
        raise RoomError("This view is too long to be followed; shorten the prompt.")
    return Shown(version, page, MappingProxyType(dict(view)))
