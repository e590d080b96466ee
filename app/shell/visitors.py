"""The visitor of the page that runs: who it is, what it sees while it waits, if it has left."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from itertools import count
from uuid import uuid4

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.components.progress import PATIENCE
from app.compute.address import network_address
from app.compute.admission import Turn
from app.compute.exports import Taker
from app.compute.refusals import TryAgain
from app.compute.server import current_server
from app.compute.visitor import Nobody
from app.links.session import own_state
from app.text import markdown_text

_VISITOR = "headscope.visitor"
_NO_LONGER = "headscope.no longer"  # whose loading the visitor does not wait for
# Bytes of weights on two older cores: an estimate of time that errs on the long side.
LOADED_IN_A_SECOND = 1e8
# Seconds that a picture is ahead of what follows it; what it takes, and half as much again.
AHEAD = 0.2
_count = count()  # a page may wait more than once


def visitor_name() -> str:
    """A name for this browser tab, the same as long as it is open."""
    name: str = st.session_state.setdefault(_VISITOR, uuid4().hex)
    return name


def visitor_address() -> str | None:
    """Of the websocket, or what a trusted proxy says; None on this machine."""
    return network_address(st.context.ip_address)


def page_taker() -> Taker:
    """This visitor, as whoever presses a button for a file later on."""
    return Taker(visitor_name(), visitor_address())


class _Drawer(Nobody):
    """A visitor whose page waits to be drawn: as long as it waits the page before is shown."""

    def __init__(self) -> None:
        self.name, self.address = visitor_name(), visitor_address()

    def check(self) -> None:
        """See `PageVisitor.check`."""
        st.session_state.get(_VISITOR)

    def waits(self, place: int, seconds: float) -> None:
        """Nothing is said: a message would be one more thing to draw."""
        self.check()


# Of the page that this thread draws.
_turn: ContextVar[Turn | None] = ContextVar("headscope.turn", default=None)


def draw_in_turn(draw: Callable[[], None]) -> None:
    """Draw a page when it is this visitor's turn, who has used the server least lately."""
    try:
        with current_server().drawing.admitted(0, _Drawer()) as turn:
            before = _turn.set(turn)
            try:
                draw()
            finally:
                _turn.reset(before)
    except TryAgain as refusal:
        st.text(f"⚠ {refusal}")


class PageVisitor:
    """A visitor in the middle of a page: once it takes long, the page says there what it is."""

    def __init__(self) -> None:
        self.name = visitor_name()
        self.address = visitor_address()
        self._since = time.monotonic()
        self._message: DeltaGenerator | None = None
        self._spinner: AbstractContextManager[None] | None = None

    def check(self) -> None:
        """Streamlit ends the script in here when the tab is closed or another input came."""
        st.session_state.get(_VISITOR)

    def waits(self, place: int, seconds: float) -> None:
        """Say which place in the queue this is."""
        self.check()
        if time.monotonic() - self._since < PATIENCE:
            return
        self._message = self._message or st.empty()
        self._message.info(
            f"The server is busy. Your place in the queue: {place}, about "
            f"{max(1, round(seconds))} s to go.",
            icon=":material/hourglass_top:",
        )

    def enters(self) -> None:
        """Take the message away."""
        if self._message is not None:
            self._message.empty()
            self._message = None

    def starts(self, what: str) -> None:
        """Say what is computed, after half a second; nothing is sent here, so nothing raises.

        A spinner takes no place of its own among the elements: the page ends as it would without.
        """
        if self._spinner is None:
            self._spinner = st.spinner(markdown_text(what))
            self._spinner.__enter__()

    def loads(self, title: str, nbytes: int) -> None:
        """Say which model is loaded, and offer to wait no longer.

        Raises:
            TryAgain: The visitor has chosen so. Others may wait for the same, so the load goes on.
        """
        self.check()
        if st.session_state.get(_NO_LONGER) == title:
            st.button("Continue", key=f"continue loading {next(_count)}", on_click=_wait_again)
            raise TryAgain(f"“Loading {title}” was cancelled, so nothing of it is shown.")
        if self._message is not None or time.monotonic() - self._since < PATIENCE:
            return
        number = next(_count)
        self._message = st.empty()
        with self._message.container(
            horizontal=True, vertical_alignment="center", key=f"wait loading {number}"
        ):
            seconds = max(1, round(nbytes / LOADED_IN_A_SECOND))
            st.text(f"Loading {title}, about {seconds} s", width="content")
            st.button(
                "Cancel",
                icon=":material/close:",
                key=f"cancel loading {number}",
                on_click=_wait_no_longer,
                args=(title,),
            )

    def ends(self) -> None:
        """Take the line away."""
        spinner, self._spinner = self._spinner, None
        if spinner is not None:
            spinner.__exit__(None, None, None)
        self.enters()

    def steps_aside(self) -> None:
        """Others draw while this page waits."""
        if turn := _turn.get():
            turn.pause()

    def comes_back(self) -> None:
        """Draw on, when it is this page's turn."""
        if turn := _turn.get():
            turn.resume()


def show_picture_first() -> None:
    """On a page that has just been opened, let the browser show what it has before the rest comes.

    It makes at once whatever comes within some hundredths of a second, also what lies below the
    edge of the screen, and draws no picture before all of that is made: on /attention that is a
    third of the time to the picture. Others draw meanwhile.
    """
    state = own_state()
    if not state.opened:
        return
    state.opened = False
    who = current_server().visitor()
    who.steps_aside()
    time.sleep(AHEAD)
    who.comes_back()


def _wait_no_longer(title: str) -> None:
    st.session_state[_NO_LONGER] = title


def _wait_again() -> None:
    del st.session_state[_NO_LONGER]


def recognise_visitors() -> None:
    """Let the server know whose page asks; threads without a page are nobody's."""
    current_server().visitor = lambda: (
        PageVisitor() if get_script_run_ctx(suppress_warning=True) else Nobody()
    )
