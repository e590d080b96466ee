"""The theme of this visitor's browser: its colours, and a new run when it is changed."""

import streamlit as st

from app.shell.scripts import script_component
from app.theme import DARK, LIGHT, Palette


def palette() -> Palette:
    """The palette of the theme this visitor's browser shows."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def follow_theme() -> None:
    """Let the page run again, for figures of the other palette, when its theme is changed."""
    drawn = "dark" if palette().dark else "light"
    # The callback has nothing to do: what a component reports runs the page.
    script_component("watch_theme")(
        key="headscope.theme", data={"drawn": drawn}, on_theme_change=lambda: None
    )
