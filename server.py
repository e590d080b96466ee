"""What `streamlit run server.py` serves: the app, with the headers that Streamlit does not send."""

import importlib
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.middleware import Middleware
from streamlit.runtime.pages_manager import PagesManager
from streamlit.starlette import App

from analysis.models.catalog import list_models
from app.compute.memory import bound_arenas
from app.compute.server import Server, install
from app.config import ConfigError, settings
from app.shell.headers import SecurityHeaders
from app.shell.hosts import HostCheck, answered_names
from app.shell.preview import LinkPreview
from app.shell.room_routes import room_routes
from app.shell.tabs import TabLimit
from app.shell.unknown_pages import UnknownPages
from app.shell.uploads import UploadLimits, forget_downloads

try:
    server = Server(settings())
except ConfigError as error:
    sys.exit(f"Headscope does not start. {error}")

server.tidy = forget_downloads
install(server)
bound_arenas()

# The folder called `pages` is not what Streamlit takes it for; finding out in `ensure_entry_point`
# costs the first visitor a second run.
PagesManager.uses_pages_directory = False

# Seconds after which the server answers; until then an import would only hold it up.
STARTED = 0.3
# What the first page needs and takes long to import.
AHEAD = ("pandas", "app.compute.calls", "app.sections.attention", "app.sections.start.heads")


def _import_ahead() -> None:
    time.sleep(STARTED)
    for name in AHEAD:
        importlib.import_module(name)
    # Visitors of another process that is killed come all at once.
    if server.replica is not None:
        server.warm_up(list_models()[0].name)


@asynccontextmanager
async def _get_ready(_: App) -> AsyncIterator[None]:
    """Import while the browser of the first visitor still loads Streamlit's own scripts."""
    threading.Thread(target=_import_ahead, daemon=True, name="imports").start()
    yield


app = App(
    Path(__file__).parent / "streamlit_app.py",
    lifespan=_get_ready,
    routes=room_routes(server.rooms),
    middleware=[
        Middleware(HostCheck, names=answered_names(server.config.hosts)),
        Middleware(TabLimit),
        Middleware(SecurityHeaders, origins=server.config.embed_origins),
        Middleware(UploadLimits),
        Middleware(UnknownPages),
        Middleware(LinkPreview, title=server.config.title),
    ],
)
