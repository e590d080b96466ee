"""One room: what it shows, who is in it, and what bounds it. `app.compute.rooms` has them all."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

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
# Seconds without word of another process after which a presenter there counts as gone.
LOST = 1.5
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
class Follower:
    """Who follows in a room."""

    address: str | None
    seen: float  # when its browser looked last


@dataclass(slots=True)
class Poll:
    """A question to those who follow, and what they say."""

    options: tuple[str, ...]
    votes: dict[str, str] = field(default_factory=dict)  # by name of who follows


@dataclass(frozen=True, slots=True)
class Here:
    """What one process knows of a room by its own sessions."""

    there: bool  # its presenter
    followers: Mapping[str, str | None]  # address by name
    votes: Mapping[str, Mapping[str, str]]  # by question and name


@dataclass(slots=True)
class Room:
    """A room as one process knows it; guarded by the lock of `app.compute.rooms.Rooms`."""

    code: str
    letters: str
    key: str  # its digest, as that of the former one
    host: Guest
    opened: float
    used: float
    shown: Shown
    there: float  # when its host was last
    former: str = ""  # the key before this one, which may still be what a browser has kept
    prepared: tuple[View, ...] = ()
    stage: bool = False  # whether its presenter is in presenter mode
    pointed_at: float = -POINT_EVERY  # when
    followers: dict[str, Follower] = field(default_factory=dict)  # by name
    polls: dict[str, Poll] = field(default_factory=dict)  # by question
    asked: str = ""  # the question now
    term: int = 1  # how many have presented
    revision: int = 1  # of what all processes know alike; rises with each change
    at: str = ""  # the process whose session presents; empty: this one
    # What other processes say of it, and when they did.
    elsewhere: dict[str, tuple[float, Here]] = field(default_factory=dict)

    def present(self, now: float) -> dict[str, str | None]:
        """Addresses of those who follow now, by name."""
        others = (here.followers for when, here in self.elsewhere.values() if now - when <= GONE)
        here = {n: each.address for n, each in self.followers.items() if now - each.seen <= GONE}
        return {name: at for each in (*others, here) for name, at in each.items()}

    def votes(self, question: str, now: float) -> dict[str, str]:
        """What those who follow say to a question, by name."""
        poll, others = (
            self.polls[question],
            (
                here.votes.get(question, {})
                for when, here in self.elsewhere.values()
                if now - when <= GONE
            ),
        )
        own = {who: what for who, what in poll.votes.items() if who in self.followers}
        return {who: what for each in (*others, own) for who, what in each.items()}

    @property
    def age(self) -> tuple[int, int, str]:
        """What is larger of a newer one: who has taken it over beats whoever still shows in it."""
        return self.term, self.revision, self.key

    def is_there(self, now: float) -> bool:
        """Whether its presenter's page is open, as far as it is known here."""
        return now - self.there <= LOST if self.at else self.host.is_there()


def shown(version: int, page: str, view: Mapping[str, str]) -> Shown:
    """What a room shows, made of a page and the values of its link.

    Raises:
        RoomError: They are too long.
    """
    if sum(map(len, view.values())) > MAX_VIEW:
        raise RoomError("This view is too long to be followed; shorten the prompt.")
    return Shown(version, page, MappingProxyType(dict(view)))


def digest(key: str) -> str:
    """What is remembered of a key, and told other processes: nobody who reads it moves a room."""
    return hashlib.sha256(key.encode()).hexdigest()


_FIGURE = re.compile(r"[A-Za-z0-9_-]{1,80}")


def pointed(body: bytes) -> str | None:
    """A place in a figure as followers are told it, made anew of what a browser sends.

    Such as `{"figure": "pattern", "part": 0, "x": 0.25, "y": 0.5}`: the figure's key on the page,
    which of its plots, and how far in that from the left and from the top. Empty for no place; None
    for what is neither.
    """
    if not body:
        return ""
    try:
        place = json.loads(body)
        figure, part, x, y = (place[name] for name in ("figure", "part", "x", "y"))
    # Deeply nested lists exhaust the parser's stack.
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(figure, str) or not _FIGURE.fullmatch(figure):
        return None
    if type(part) is not int or not 0 <= part < 100:
        return None
    if not all(type(share) in (int, float) and 0 <= share <= 1 for share in (x, y)):
        return None
    return json.dumps({"figure": figure, "part": part, "x": round(x, 4), "y": round(y, 4)})
