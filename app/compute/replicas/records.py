"""A room as bytes, as the processes of one server tell each other: all but who follows in it."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import Any

from app.compute.replicas import checked
from app.compute.replicas.checked import Forged
from app.compute.room import (
    LETTERS,
    LONG,
    LONGEST,
    MAX_OPTIONS,
    MAX_POLLS,
    MAX_VIEW,
    Guest,
    Poll,
    Room,
    Shown,
    View,
    pointed,
)
from app.links.pages import PAGES
from app.links.parsers import is_code

# Views that a presenter steps through, and values of a view: more than pages let anybody have.
_MAX_PREPARED, _MAX_VALUES = 200, 200
_NO_NUMBER = 2**53


def room_bytes(room: Room, process: str, now: float) -> bytes:
    """A room.

    Args:
        room: The room.
        process: Which process this is.
        now: By the clock of the room's times; others have another, so times are told by date.
    """
    ahead = time.time() - now
    message: dict[str, Any] = {
        "code": room.code,
        "letters": room.letters,
        "key": room.key,
        "former": room.former,
        "host": [room.host.name, room.host.address],
        "at": room.at or process,
        "process": process,
        "opened": room.opened + ahead,
        "used": room.used + ahead,
        "version": room.shown.version,
        "view": [room.shown.page, dict(room.shown.view)],
        "pointed": room.shown.pointed,
        "prepared": [[page, dict(view)] for page, view in room.prepared],
        "stage": room.stage,
        "polls": [[question, list(poll.options)] for question, poll in room.polls.items()],
        "asked": room.asked,
        "term": room.term,
        "revision": room.revision,
    }
    return checked.written(message)


def room_from(message: dict[str, Any], now: float) -> Room:
    """The room that a message holds, as one that another process has.

    Raises:
        Forged: It is not what `room_bytes` writes.
    """
    ahead = time.time() - now
    code, letters = checked.text(message.get("code")), checked.text(message.get("letters"))
    if not is_code(code) or len(letters) != LONG or set(letters) - set(LETTERS):
        raise Forged
    name, address = _pair(message.get("host"))
    page, view = _view(message.get("view"))
    place = pointed(checked.text(message.get("pointed"), 1000).encode())
    if place is None:
        raise Forged
    # As somebody's who was there a moment ago: the next beat of theirs says more.
    opened, used = (
        now - min(max(now - (_time(message.get(what)) - ahead), 0.0), 2 * LONGEST)
        for what in ("opened", "used")
    )
    return Room(
        code=code,
        letters=letters,
        key=_digest(message.get("key")),
        host=Guest(checked.text(name), checked.text_or_none(address), lambda: False),
        opened=opened,
        used=used,
        shown=Shown(
            checked.whole(message.get("version"), 1, _NO_NUMBER),
            page,
            MappingProxyType(view),
            place,
        ),
        there=now,
        former=_digest(message["former"]) if message.get("former") else "",
        prepared=checked.items(message.get("prepared"), _MAX_PREPARED, _view),
        stage=message.get("stage") is True,
        polls=dict(checked.items(message.get("polls"), MAX_POLLS, _poll)),
        asked=checked.text(message.get("asked"), 1000),
        term=checked.whole(message.get("term"), 1, _NO_NUMBER),
        revision=checked.whole(message.get("revision"), 1, _NO_NUMBER),
        at=checked.text(message.get("at")),
    )


def _pair(value: Any) -> tuple[Any, Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise Forged
    return value[0], value[1]


def _time(value: Any) -> float:
    return checked.number(value, 0.0, 2.0**40)


def _digest(value: Any) -> str:
    text = checked.text(value)
    if len(text) != 64 or set(text) - set("0123456789abcdef"):
        raise Forged
    return text


def _view(value: Any) -> View:
    page, values = _pair(value)
    if checked.text(page) not in {each.name for each in PAGES}:
        raise Forged
    view = checked.mapping(values, _MAX_VALUES, lambda text: checked.text(text, MAX_VIEW))
    if sum(map(len, view.values())) > MAX_VIEW:
        raise Forged
    return page, view


def _poll(value: Any) -> tuple[str, Poll]:
    question, options = _pair(value)
    return checked.text(question, 1000), Poll(
        checked.items(options, MAX_OPTIONS, lambda option: checked.text(option, 1000))
    )
