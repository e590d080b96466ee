"""Presenting: a room that others follow, prepared views stepped through by key, and larger type.

`app.shell.page` draws the controls on every page, in the sidebar where there is one, and moves the
view; what it hands over is a page and the values of its link.
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.compute.rooms import RoomError
from app.compute.server import current_server
from app.shell.follow import draw_following
from app.shell.prepared import MAX_LIST, MAX_VIEWS, prepared_views
from app.shell.room import (
    Go,
    Link,
    close_room,
    kept_key,
    open_room,
    own_room,
    rooms,
    take_over,
)
from app.shell.scripts import script_component
from app.shell.share import qr_code, view_link
from app.text import escape_html

_LIST, _FILE = "headscope.present.views", "headscope.present.file"
_KEYS = "headscope.present.keys"
_CUT_OFF = (
    "⚠ This server has lost touch with what it shares with others. Pages go on; a room is followed "
    "by those who are on the same server, until it is back by itself."
)
# Larger type, nothing around the view; the bar at the foot stays.
_STAGE = Path(__file__).with_name("stage.css").read_text(encoding="utf-8")


def publish(page: str, view: Link) -> None:
    """Show this view in the visitor's own room, if there is one.

    Whoever opens an address or reloads goes on presenting: the tab that did is gone.
    """
    state = own_room()
    if not state.begun and not state.following and (key := kept_key()):
        take_over(key, page, view, if_left=True)
    state.begun = True
    if not state.key:
        return
    try:
        if not rooms().show(state.key, page, view):
            state.code = state.key = ""
            state.refused = "Your room has closed, or is presented from another tab."
    except RoomError as refusal:
        state.refused = str(refusal)


def draw_room(page: str, view: Link, go: Go) -> None:
    """On top of every page: whether a room is followed, presented, or waits to be presented on."""
    state = own_room()
    if current_server().is_cut_off:
        st.container(border=True).text(_CUT_OFF)
    if state.refused:
        st.container(border=True).text(f"⚠ {state.refused}")
        state.refused = ""
    if state.following:
        draw_following(page, view, go)
    elif state.key:
        _keep_room()
        if not state.stage:
            with st.container(key="room-bar", horizontal=True):
                _draw_code_button()
                _draw_add(page, view)
                st.button("Presenter mode", on_click=_start, args=(go,))
                st.button("Close the room", on_click=close_room)
    elif (key := kept_key()) and rooms().letters(key):

        def go_on() -> None:
            take_over(key, page, view)

        with st.container(key="room-away", horizontal=True):
            st.markdown("Another tab presents your room.", width="content")
            st.button("Go on presenting", on_click=go_on, type="primary")
            st.button("Close the room", on_click=rooms().close, args=(key,))
    if state.stage:
        _draw_stage(go)


def draw_present(page: str, view: Link, go: Go, menu: DeltaGenerator) -> None:
    """The controls, behind a button.

    Args:
        page: The page.
        view: The values of its link.
        go: Moves the visitor to another view.
        menu: Where the button stands.
    """
    state = own_room()
    width: Literal["stretch", "content"] = "stretch" if menu is st.sidebar else "content"
    with menu.popover("Present", icon=":material/co_present:", width=width):
        st.markdown("**Follow me**")
        if state.key:
            _draw_way_in()
        else:
            st.caption("Open a room: whoever types its code sees the view that you are at.")
            st.button("Open a room", on_click=open_room, args=(page, view))
        st.markdown("**Presenter mode**")
        st.caption(
            "Larger type and nothing around the view. The arrow keys, or Page Down and Page Up of "
            "a clicker, step through these:"
        )
        if not state.key:
            _draw_add(page, view)
        st.file_uploader("A list as a file", type=["txt", "json"], max_upload_size=1, key=_FILE)

        def keep_list() -> None:
            state.listed = str(st.session_state[_LIST])

        # Set in every run: a widget of another page has the same key and would start empty.
        st.session_state[_LIST] = state.listed
        st.text_area(
            "Prepared views, one link a line", key=_LIST, max_chars=MAX_LIST, on_change=keep_list
        )
        for note in _listed_views()[1]:
            st.caption(note)
        st.button("Start presenting", on_click=_start, args=(go,), type="primary")


def _keep_room() -> None:
    """Keep the room over a reload, and show what is pointed at to whoever follows."""
    key = own_room().key
    script_component("keep_room")(key="headscope.keep", data={"key": key})
    script_component("point_out")(key="headscope.point", data={"key": key})


def _draw_way_in() -> None:
    """How others come into the room, and how many are in it."""
    state = own_room()
    link = view_link("start", {"room": state.code})
    letters = rooms().letters(state.key)
    st.markdown(f"Type **{letters}** at {_host()}/join, or open this link:")
    st.code(link, language=None, wrap_lines=True)
    if picture := qr_code(link):
        st.image(picture, caption="Join from a phone", width=220)
    st.caption(f"{rooms().followers(state.key) or 0} following.")


def draw_room_door(page: str, view: Link) -> None:
    """The way to a room of one's own, or what to do with the one that is open."""
    if own_room().key:
        st.caption("Your room is open: its code is on top of the page.")
        return
    icon = ":material/co_present:"
    st.button("Open a room", icon=icon, on_click=open_room, args=(page, view), key="door")


def _host() -> str:
    """This server's address as people type it."""
    parts = urlsplit(view_link("start", {}))
    return f"{parts.netloc}{parts.path}".rstrip("/")


def _draw_code_button() -> None:
    state = own_room()

    def show_code() -> None:
        state.code_shown = not state.code_shown

    count = rooms().followers(state.key) or 0
    st.button(
        f"{rooms().letters(state.key)} · {count} following",
        on_click=show_code,
        icon=":material/qr_code:",
        help="Show the code over the whole screen",
    )


def draw_code() -> None:
    """The room's code over the whole screen, if it is to be shown: for whoever sits far away."""
    state = own_room()
    if not state.code_shown or not state.key:
        return

    def hide() -> None:
        state.code_shown = False

    link = view_link("start", {"room": state.code})
    with st.container(key="room-code", horizontal_alignment="center"):
        letters = escape_html(rooms().letters(state.key))
        host = escape_html(_host())
        st.html(f'<p>{host}/join</p><p class="hs-letters">{letters}</p>')
        if picture := qr_code(link):
            data = base64.b64encode(picture.encode()).decode()
            st.html(f'<img alt="The room\'s QR code" src="data:image/svg+xml;base64,{data}">')
        st.button("Back to the view", on_click=hide, shortcut="Escape", type="primary")


def _draw_add(page: str, view: Link) -> None:
    """Puts the view on the screen at the end of the list."""

    def add() -> None:
        state = own_room()
        text = f"{state.listed.strip()}\n{view_link(page, view)}".strip()
        views, notes = prepared_views(text)
        if notes:
            state.refused = f"This view could not be added. {notes[-1]}"
            return
        state.listed = text
        st.toast(f"View {len(views)} of the list")

    st.button("Add this view", on_click=add, icon=":material/playlist_add:")


def _start(go: Go) -> None:
    # Read now: what has just been typed arrives together with the click.
    _begin(_listed_views()[0], go)


def present_views(views: Sequence[tuple[str, Link]], go: Go) -> None:
    """Step through these views in presenter mode, in place of the list."""
    state = own_room()
    state.listed = "\n".join(view_link(*view) for view in views[:MAX_VIEWS])
    _begin(views[:MAX_VIEWS], go)


def _begin(views: Sequence[tuple[str, Link]], go: Go) -> None:
    state = own_room()
    state.stage, state.views, state.place = True, list(views), 0
    rooms().prepare(state.key, state.views, state.stage)
    if state.views:
        go(*state.views[0])


def _listed_views() -> tuple[list[tuple[str, dict[str, str]]], list[str]]:
    file = st.session_state.get(_FILE)
    if file is None:
        return prepared_views(str(st.session_state.get(_LIST) or own_room().listed))
    try:
        return prepared_views(file.getvalue().decode("utf-8-sig"))
    except UnicodeDecodeError:
        return [], ["The file is not text, so it holds no list."]


def _draw_stage(go: Go) -> None:
    """Presenter mode: larger type, and the bar at the foot."""
    state = own_room()

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
        rooms().prepare(state.key, [])

    st.html(f"<style>{_STAGE}</style>")
    with st.container(key="stage", horizontal=True, vertical_alignment="center"):
        if state.views:
            st.button("Previous view", on_click=step_to, args=(state.place - 1,), shortcut="PageUp")
            st.caption(f"{state.place + 1} of {len(state.views)}")
            st.button("Next view", on_click=step_to, args=(state.place + 1,), shortcut="PageDown")
        if state.key:
            _draw_code_button()
        st.button("End presenter mode", on_click=stop)
        if state.views:
            script_component("step_views")(
                key=_KEYS,
                data={"place": state.place, "count": len(state.views)},
                on_number_change=pressed,
            )
