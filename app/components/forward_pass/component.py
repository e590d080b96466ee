"""The played pass as a Streamlit component: what is pressed in it comes back, once."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from app.components.forward_pass.payload import Pass, pass_payload
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
    shown: Pass, *, key: str, pressed: Callable[[str], None], asked: Callable[[int], None]
) -> None:
    """A text with arcs over it and guesses beside it, with a slider over layers that plays.

    Layer, threshold and play stay in the browser and cost no round trip.

    Args:
        shown: What is shown.
        key: Unique on the page.
        pressed: Called with what the browser says is the label of a head, when one is switched.
        asked: Called with a position, when a token is asked about; no more is checked of it.
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

    _component()(
        key=key, data=pass_payload(shown, key), on_pressed_change=switch, on_asked_change=ask
    )
