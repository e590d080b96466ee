"""What a server serves over HTTP: the app, with the headers that Streamlit does not send."""

from typing import Any

from starlette.middleware import Middleware
from streamlit.runtime.pages_manager import PagesManager

from app.compute.server import Server, install
from app.shell.headers import SecurityHeaders
from app.shell.hosts import HostCheck, answered_names
from app.shell.preview import LinkPreview
from app.shell.room_routes import room_routes
from app.shell.tabs import TabLimit
from app.shell.unknown_pages import UnknownPages
from app.shell.uploads import UploadLimits, forget_downloads


def surroundings(server: Server) -> dict[str, Any]:
    """What an `App` takes beside its script; all threads of this process ask `server` from now on.

    Args:
        server: What its visitors share.
    """
    server.tidy = forget_downloads
    install(server)
    # The folder called `pages` is not what Streamlit takes it for; finding out in
    # `ensure_entry_point` costs the first visitor a second run.
    PagesManager.uses_pages_directory = False
    return {
        "routes": room_routes(server.rooms),
        "middleware": [
            # Around all others: what they refuse is an answer too.
            Middleware(SecurityHeaders, origins=server.config.embed_origins),
            Middleware(HostCheck, names=answered_names(server.config.hosts)),
            Middleware(TabLimit),
            Middleware(UploadLimits),
            Middleware(UnknownPages),
            Middleware(LinkPreview, title=server.config.title),
        ],
    }
