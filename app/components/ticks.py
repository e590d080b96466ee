"""Small buttons to tick, in rows."""

from collections.abc import Callable, Iterable
from typing import Literal

import streamlit as st


def draw_ticks(
    label: str,
    options: Iterable[int],
    ticked: Iterable[int],
    *,
    key: str,
    shown: Callable[[int], str],
    take: Callable[[], None],
    label_visibility: Literal["visible", "collapsed"] = "collapsed",
) -> None:
    """Small buttons to tick; what is ticked is a list that `take` puts into the link."""
    # In every run, for the reason of `widget_key`.
    st.session_state[key] = list(ticked)
    st.pills(
        label,
        list(options),
        selection_mode="multi",
        format_func=shown,
        key=key,
        on_change=take,
        label_visibility=label_visibility,
        wrap=True,
    )
