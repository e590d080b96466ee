"""Coming back to another process: the page is drawn there at once, at its view and in its room."""

from app.compute.server import current_server
from app.shell.scripts import script_component


def draw_again_elsewhere() -> None:
    """Let the page run again once it is connected anew, where there are several processes."""
    if current_server().replica is not None:
        # The callback has nothing to do: what a component reports runs the page.
        script_component("come_back")(key="headscope.back", data={}, on_back_change=lambda: None)
