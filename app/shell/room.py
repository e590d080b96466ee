"""The room that this visitor presents or follows, as their session knows it.

`app.shell.follow` draws what a follower sees, `app.shell.present` what a presenter does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import uuid4

import streamlit as st
from streamlit.runtime import Runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.compute.rooms import Guest, Held, RoomError, Rooms
from app.compute.server import current_server
from app.shell.room_routes import COOKIE
from app.shell.visitors import visitor_address

Link = Mapping[str, str]
Go = Callable[[str, Link], None]
_STATE = "headscope.room"


@dataclass(slots=True)
class RoomState:
    """What one visitor's session remembers about presenting and following."""

    who: str = field(default_factory=lambda: uuid4().hex)
    begun: bool = False  # a page has been drawn
    code: str = ""  # room that this visitor presents
    key: str = ""
    code_shown: bool = False  # over the whole screen
    following: str = ""  # code of the room that this visitor follows
    away: bool = False  # exploring alone meanwhile
    seen: int = 0  # version of the room's view that was last taken
    taken: tuple[str, Link] | None = None  # the view as it was taken
    stage: bool = False  # presenter mode
    listed: str = ""  # prepared views as they were typed, a link a line
    views: list[tuple[str, Link]] = field(default_factory=list)
    place: int = 0
    refused: str = ""  # on top of the next page
    votes: dict[str, str] = field(default_factory=dict)  # by question
    not_joined: str = ""  # below the field for a room's letters

    @property
    def follows(self) -> bool:
        """Whether the page shows what a presenter shows."""
        return bool(self.following) and not self.away


def own_room() -> RoomState:
    """What this visitor's session remembers of rooms."""
    state: RoomState = st.session_state.setdefault(_STATE, RoomState())
    return state


def rooms() -> Rooms:
    """All rooms of this server."""
    return current_server().rooms


def guest() -> Guest:
    """This visitor; a page that nobody serves, as in tests, is always open."""
    context = get_script_run_ctx()
    session = context.session_id if context else ""

    def is_there() -> bool:
        return not Runtime.exists() or Runtime.instance().is_active_session(session)

    return Guest(own_room().who, visitor_address(), is_there)


def open_room(page: str, view: Link) -> None:
    """A room of this visitor's own, which shows that view."""
    state = own_room()
    leave_room()
    try:
        state.code, state.key = rooms().open(page, view, guest())
        rooms().prepare(state.key, state.views, state.stage)
    except RoomError as refusal:
        state.refused = str(refusal)


def close_room() -> None:
    """Everybody in it is told so."""
    state = own_room()
    rooms().close(state.key)
    state.code = state.key = ""
    state.code_shown = False


def leave_room() -> None:
    """Follow nobody any more."""
    state = own_room()
    if state.following:
        rooms().leave(state.following, state.who)
    state.following, state.taken, state.seen, state.away = "", None, 0, False
    state.votes.clear()


def join_room(code: str) -> None:
    """Follow in the room with this code from now on.

    Raises:
        RoomError: There is no such room, or it is full.
    """
    rooms().follow(code, guest())
    leave_room()
    own_room().following = code


def kept_key() -> str:
    """The key of a room that this visitor's browser has kept."""
    return str(st.context.cookies.get(COOKIE, ""))


def take_over(key: str, page: str, view: Link, if_left: bool = False) -> bool:
    """Present that room from here on; whether that could be."""
    held = rooms().take_over(key, guest(), if_left)
    if held:
        _present(held, page, view)
    return held is not None


def _present(held: Held, page: str, view: Link) -> None:
    state = own_room()
    state.code, state.key, state.stage = held.code, held.key, held.stage
    state.views = list(held.views)
    here = (page, dict(view))
    places = [i for i, (name, link) in enumerate(held.views) if (name, dict(link)) == here]
    state.place = places[0] if places else 0
