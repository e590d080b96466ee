"""Following in a presenter's room: the bar on top of every page, and the way in by its letters."""

import streamlit as st

from app.compute.rooms import LONG, RoomError
from app.shell.room import Go, Link, guest, join_room, leave_room, own_room, rooms
from app.shell.scripts import script_component

_TYPED = "headscope.room.letters"


def current_room(code: str) -> tuple[str, str]:
    """The room that this visitor follows, given the one in the link; and a sentence if it is gone.

    It is remembered: links and the menu lead on without it.
    """
    state = own_room()
    if code and code != state.following and code != state.code:
        try:
            join_room(code)
        except RoomError as refusal:
            return state.following, str(refusal)
    return state.following, ""


def draw_following(page: str, view: Link, go: Go) -> None:
    """Whether this page shows what the presenter shows, and the way back to them."""
    state = own_room()
    # Whoever has changed the view since it was taken explores alone until they come back.
    if state.taken is not None and (page, dict(view)) != (state.taken[0], dict(state.taken[1])):
        state.away = True

    def follow() -> None:
        try:
            shown = rooms().follow(state.following, guest())
        except RoomError as refusal:
            leave_room()
            state.refused = str(refusal)
            return
        state.seen, state.taken = shown.version, (shown.page, shown.view)
        go(shown.page, shown.view)

    def come_back() -> None:
        state.away = False
        follow()

    with st.container(key="room-away" if state.away else "room-bar", horizontal=True):
        said = "You are on your own." if state.away else "Following the presenter."
        st.markdown(said, width="content")
        if state.away:
            st.button("Back to the presenter", on_click=come_back, type="primary")
        st.button("Leave the room", on_click=leave_room)
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


def draw_join(go: Go) -> None:
    """A field for the letters of a room: whoever types them follows its presenter.

    For any page; `app.shell.page.go_to_view` is what moves a visitor.
    """
    state = own_room()

    def join() -> None:
        typed = str(st.session_state[_TYPED])
        if not typed.strip():
            return
        try:
            join_room(rooms().find(typed, guest()))
            shown = rooms().follow(state.following, guest())
        except RoomError as refusal:
            state.not_joined = str(refusal)
            return
        st.session_state[_TYPED] = ""
        state.seen, state.taken = shown.version, (shown.page, shown.view)
        go(shown.page, shown.view)

    with (
        st.form("join", border=False),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        st.text_input(
            "Code of a room",
            key=_TYPED,
            max_chars=2 * LONG,
            placeholder=f"{LONG} letters",
            width=220,
        )
        st.form_submit_button("Join", on_click=join, type="primary")
    if state.not_joined:
        st.text(f"⚠ {state.not_joined}")
        state.not_joined = ""
