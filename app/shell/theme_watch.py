"""Notices when a visitor changes the theme."""

from app.shell.scripts import script_component
from app.theme import palette


def follow_theme() -> None:
    """Let the page run again, for figures of the other palette, when its theme is changed."""
    drawn = "dark" if palette().dark else "light"
    # The callback has nothing to do: what a component reports runs the page.
    script_component("watch_theme")(
        key="headscope.theme", data={"drawn": drawn}, on_theme_change=lambda: None
    )
