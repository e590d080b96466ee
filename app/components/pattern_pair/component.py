"""The pair of patterns as a Streamlit component: the browser does the rest by itself.

Plotly is not used here because its figures cannot mark a cell in another figure without a round
trip to the server.
"""

from functools import cache
from pathlib import Path

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from app.components.pattern_pair.payload import Pane, pair_payload
from app.components.scripts import joined
from app.theme import Palette

_FOLDER = Path(__file__).parent


@cache
def _component() -> ComponentRenderer:
    return st.components.v2.component(
        "pattern_pair",
        js=joined(_FOLDER / "js" / "page" / "pattern_pair.js"),
        css=(_FOLDER / "pattern_pair.css").read_text(encoding="utf-8"),
    )


def pattern_pair(first: Pane, second: Pane, palette: Palette, *, key: str) -> None:
    """Both patterns, and B - A where they have as many tokens; one pointer marks all of them.

    A cell that is pointed at, or reached with the arrow keys, is marked in every pane at once,
    with both tokens, both positions, both values and their difference below; no message goes to
    the server.

    Args:
        first: Pane A.
        second: Pane B.
        palette: Colours of the theme.
        key: Unique on the page.
    """
    _component()(key=key, data=pair_payload(first, second, palette))
