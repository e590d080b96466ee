"""Presenting: rooms that others follow, prepared views stepped through by key, and larger type.

`app.shell.page` draws the controls on every page, in the sidebar where there is one, and moves the
view; what it hands over is a page and the values of its link.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime import Runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.compute.rooms import Guest, RoomError, Rooms
from app.compute.server import current_server
from app.links.pages import PAGES
from app.shell.room_routes import COOKIE
from app.shell.scripts import script_component
from app.shell.share import qr_code, view_link
from app.shell.theme import palette
from app.shell.visitors import visitor_address
from app.text import is_text

MAX_VIEWS = 50
MAX_LIST = 100_000
_STATE = "headscope.present"
_LIST, _FILE = "headscope.present.views", "headscope.present.file"
_KEYS = "headscope.present.keys"
# Larger type, no sidebar, no menu; the bar at the foot stays.
_STAGE = """<style>
html{font-size:20px}
[data-testid=stSidebar],[data-testid=stExpandSidebarButton],[data-testid=stHeader]{display:none}
.st-key-stage{position:fixed;bottom:.5rem;right:1rem;width:auto;z-index:99;
background:BACKGROUND;border-radius:.5rem;padding:.25rem .5rem}
</style>"""
Link = Mapping[str, str]
Go = Callable[[str, Link], None]


@dataclass(slots=True)
class _State:
    """What one visitor's session remembers about presenting and following."""

    who: str = field(default_factory=lambda: uuid4().hex)
    code: str = ""  # room that this visitor presents
    key: str = ""
    following: str = ""  # code of the room that this visitor follows
    away: bool = False  # exploring alone meanwhile
    seen: int = 0  # version of the room's view that was last taken
    taken: tuple[str, Link] | None = None  # the view as it was taken
    stage: bool = False  # presenter mode
    views: list[tuple[str, Link]] = field(default_factory=list)
    place: int = 0
    refused: str = ""


def _state() -> _State:
    state: _State = st.session_state.setdefault(_STATE, _State())
    return state


def _guest() -> Guest:
    """This visitor; a page that nobody serves, as in tests, is always open."""
    context = get_script_run_ctx()
    session = context.session_id if context else ""

    def is_there() -> bool:
        return not Runtime.exists() or Runtime.instance().is_active_session(session)

    return Guest(_state().who, visitor_address(), is_there)


def _rooms() -> Rooms:
    return current_server().rooms


def prepared_views(text: str) -> tuple[list[tuple[str, dict[str, str]]], list[str]]:
    """The views in a list of links, one a line or a JSON list, and a sentence for what is none.

    Of a link only the page and its parameters count, so a list made on one server works on
    another and leads nowhere else.
    """
    if len(text) > MAX_LIST:
        return [], [f"The list is longer than {MAX_LIST:,} characters."]
    if "\0" in text:
        return [], ["The list is not text."]
    lines = text.splitlines()
    if text.lstrip().startswith("["):
        try:
            lines = [str(line) for line in json.loads(text)]
        except (ValueError, RecursionError):
            return [], ["The list begins with [ and is not JSON."]
    views: list[tuple[str, dict[str, str]]] = []
    notes = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        view = _view(line.strip())
        if view is None:
            notes.append(f"Line {number} is not a link to a page of this app.")
        elif len(views) < MAX_VIEWS:
            views.append(view)
        else:
            notes.append(f"Only the first {MAX_VIEWS} views are kept.")
            break
    return views, notes[:5]


def _view(link: str) -> tuple[str, dict[str, str]] | None:
    if not is_text(link):
        return None
    try:
        parts = urlsplit(link)
        query = dict(parse_qsl(parts.query, max_num_fields=100))
    except ValueError:
        return None
    if parts.scheme not in ("", "http", "https"):
        return None
    address = parts.path.rpartition("/")[2]
    pages = {page.address: page.name for page in PAGES}
    if address not in pages or not (parts.path or parts.netloc or parts.query):
        return None
    return pages[address], {k: v for k, v in query.items() if k != "room"}


def current_room(code: str) -> tuple[str, str]:
    """The room that this visitor follows, given the one in the link; and a sentence if it is gone.

    It is remembered: links and the menu lead on without it.
    """
    state = _state()
    if code and code != state.following and code != state.code:
        try:
            _rooms().follow(code, _guest())
        except RoomError as refusal:
            return state.following, str(refusal)
        _leave()
        state.following, state.away, state.seen = code, False, 0
    return state.following, ""


def publish(page: str, view: Link) -> None:
    """Show this view in the visitor's own room, if there is one; note where a follower has gone."""
    state = _state()
    if not state.key:
        return
    try:
        if not _rooms().show(state.key, page, view):
            state.code = state.key = ""
            state.refused = "Your room has closed, or is presented from another tab."
    except RoomError as refusal:
        state.refused = str(refusal)


def draw_present(
    page: str, view: Link, go: Go, aside: DeltaGenerator, menu: DeltaGenerator
) -> None:
    """The controls, and whatever of presenting or following is on.

    Args:
        page: The page.
        view: The values of its link.
        go: Moves the visitor to another view.
        aside: Where it stands that a room is followed, or held open.
        menu: Where the button of the controls stands.
    """
    state = _state()
    # Always there: an element before the menu that comes or goes would shut it.
    with aside.container():
        if state.following:
            _draw_following(page, view, go)
        _draw_held()
    width: Literal["stretch", "content"] = "stretch" if menu is st.sidebar else "content"
    with menu.popover("Present", icon=":material/co_present:", width=width):
        _draw_room(page, view)
        _draw_stage(go)
    if state.stage:
        _draw_bar(go)


def _draw_room(page: str, view: Link) -> None:
    state = _state()
    st.markdown("**Follow me**")
    if state.refused:
        st.caption(state.refused)
        state.refused = ""
    if not state.key:
        st.caption("Open a room: whoever has its link sees the view that you are at.")
        st.button("Open a room", on_click=_open, args=(page, view))
        return
    link = view_link("start", {"room": state.code})
    st.code(link, language=None, wrap_lines=True)
    if picture := qr_code(link):
        st.image(picture, caption="Join from a phone", width=220)
    count = _rooms().followers(state.key) or 0
    st.caption(f"{count} following.")
    st.button("Close the room", on_click=_close)


def draw_room_door(page: str, view: Link) -> None:
    """The way to a room of one's own, or what to do with the one that is open."""
    if _state().key:
        st.caption("Your room is open: its link and code are under Present.")
        return
    icon = ":material/co_present:"
    st.button("Open a room", icon=icon, on_click=_open, args=(page, view), key="door")


def _draw_held() -> None:
    """Keeps a room over a reload: its key for the browser, or the way back to presenting it."""
    state = _state()
    if state.key:
        script_component("keep_room")(key="headscope.keep", data={"key": state.key})
        return
    key = st.context.cookies.get(COOKIE, "")
    if state.following or _rooms().followers(key) is None:
        return

    def take_over() -> None:
        if held := _rooms().take_over(key, _guest()):
            state.code, state.key, views = held
            state.views, state.stage, state.place = list(views), bool(views), 0

    with st.container(border=True):
        st.caption("You have a room open. A tab that presents it hands over to this one.")
        st.button("Go on presenting", on_click=take_over, type="primary")
        st.button("Close the room", on_click=_rooms().close, args=(key,), key="headscope.close")


def _open(page: str, view: Link) -> None:
    state = _state()
    _leave()
    try:
        state.code, state.key = _rooms().open(page, view, _guest())
        _rooms().prepare(state.key, state.views)
    except RoomError as refusal:
        state.refused = str(refusal)


def _close() -> None:
    state = _state()
    _rooms().close(state.key)
    state.code = state.key = ""


def _leave() -> None:
    state = _state()
    if state.following:
        _rooms().leave(state.following, state.who)
    state.following, state.taken, state.seen = "", None, 0


def _draw_following(page: str, view: Link, go: Go) -> None:
    state = _state()
    # Whoever has changed the view since it was taken explores alone until they come back.
    if state.taken is not None and (page, dict(view)) != (state.taken[0], dict(state.taken[1])):
        state.away = True

    def come_back() -> None:
        state.away, state.seen, state.taken = False, 0, None

    def follow() -> None:
        try:
            shown = _rooms().follow(state.following, _guest())
        except RoomError as refusal:
            _leave()
            state.refused = str(refusal)
            return
        state.seen, state.taken = shown.version, (shown.page, shown.view)
        go(shown.page, shown.view)

    with st.container(border=True):
        st.caption("Exploring on your own." if state.away else "Following the presenter.")
        script_component("follow_room")(
            key="headscope.follow",
            data={
                "code": state.following,
                "who": state.who,
                "seen": state.seen,
                "away": state.away,
            },
            on_moved_change=follow,
        )
        if state.away:
            st.button("Back to the presenter", on_click=come_back, type="primary")
        st.button("Leave the room", on_click=_leave)


def _draw_stage(go: Go) -> None:
    state = _state()
    st.markdown("**Presenter mode**")
    st.caption(
        "Larger type and nothing around the view. The arrow keys, or Page Down and Page Up of a "
        "clicker, step through these:"
    )
    st.file_uploader("A list as a file", type=["txt", "json"], max_upload_size=1, key=_FILE)
    st.text_area("Prepared views, one link a line", key=_LIST, max_chars=MAX_LIST)
    for note in _listed_views()[1]:
        st.caption(note)

    def start() -> None:
        # Read now: what has just been typed arrives together with the click.
        state.stage, state.views, state.place = True, list(_listed_views()[0]), 0
        _rooms().prepare(state.key, state.views)
        if state.views:
            go(*state.views[0])

    st.button("Start presenting", on_click=start, type="primary")


def _listed_views() -> tuple[list[tuple[str, dict[str, str]]], list[str]]:
    file = st.session_state.get(_FILE)
    if file is None:
        return prepared_views(st.session_state[_LIST])
    try:
        return prepared_views(file.getvalue().decode("utf-8-sig"))
    except UnicodeDecodeError:
        return [], ["The file is not text, so it holds no list."]


def _draw_bar(go: Go) -> None:
    state = _state()

    def step_to(place: int) -> None:
        state.place = min(max(place, 0), len(state.views) - 1)
        go(*state.views[state.place])

    def pressed() -> None:
        # What a browser sends may be anything.
        number = st.session_state[_KEYS].get("number")
        if isinstance(number, int | float) and number in range(1, len(state.views) + 1):
            step_to(int(number) - 1)

    def stop() -> None:
        state.stage, state.views = False, []
        _rooms().prepare(state.key, [])

    st.html(_STAGE.replace("BACKGROUND", palette().background))
    with st.container(key="stage", horizontal=True, vertical_alignment="center"):
        if state.views:
            st.button("Previous view", on_click=step_to, args=(state.place - 1,), shortcut="PageUp")
            st.caption(f"{state.place + 1} of {len(state.views)}")
            st.button("Next view", on_click=step_to, args=(state.place + 1,), shortcut="PageDown")
        st.button("End presenter mode", on_click=stop)
        if state.views:
            script_component("step_views")(
                key=_KEYS,
                data={"place": state.place, "count": len(state.views)},
                on_number_change=pressed,
            )
