"""The played pass as a Streamlit component: what is pressed in it comes back, once."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from app.components.exchange import exchange, reported_view
from app.components.forward_pass.payload import Pass, pass_payload
from app.components.forward_pass.view import PassView
from app.components.scripts import joined

_FOLDER = Path(__file__).parent
_GRID = _FOLDER.parent / "head_grid"


@cache
def _component() -> ComponentRenderer:
    own = (_FOLDER / "forward_pass.css").read_text(encoding="utf-8")
    return st.components.v2.component(
        "forward_pass",
        js=joined(_FOLDER / "js" / "page" / "forward_pass.js"),
        css=(_GRID / "head_grid.css").read_text(encoding="utf-8") + own,
    )


def forward_pass(
    shown: Pass,
    view: PassView,
    *,
    key: str,
    pressed: Callable[[str], None],
    asked: Callable[[int], None],
    looked: Callable[[PassView], None],
) -> None:
    """A text with arcs over it and guesses beside it, with a slider over layers that plays.

    Layer, threshold and play cost no round trip; a moment after they have come to rest the script
    runs once, so that links and rooms know of them.

    Args:
        shown: What is shown.
        view: What to open with. A later run moves the browser when it asks for something that is
            neither what it asked before nor what the browser has reported.
        key: Unique on the page.
        pressed: Called with what the browser says is the label of a head, when one is switched.
        asked: Called with a position, when a token is asked about; no more is checked of it.
        looked: Called with the view that the visitor has made.
    """

    def value(name: str) -> Any:
        return (st.session_state.get(key) or {}).get(name)

    def switch() -> None:
        label = value("pressed")
        if isinstance(label, str):
            pressed(label)

    def ask() -> None:
        position = value("asked")
        if type(position) is int:
            asked(position)

    def look() -> None:
        if made := reported_view(key, PassView.from_browser):
            looked(made)

    now = exchange(key, view, reported_view(key, PassView.from_browser))
    _component()(
        key=key,
        data=pass_payload(shown, key, now),
        on_pressed_change=switch,
        on_asked_change=ask,
        on_view_change=look,
    )
