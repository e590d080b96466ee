"""What `streamlit run server.py` serves: the app, with the headers that Streamlit does not send."""

import importlib
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from streamlit.starlette import App

from analysis.models.catalog import list_models
from app.compute.memory import bound_arenas
from app.compute.server import Server
from app.config import ConfigError, settings
from app.shell.serving import surroundings

try:
    server = Server(settings())
except ConfigError as error:
    sys.exit(f"Headscope does not start. {error}")

# Seconds after which a thread that runs Python gives way to another.
TURN = 0.0004
# Seconds after which the server answers; until then an import would only hold it up.
STARTED = 0.3
# What the first page needs and takes long to import.
AHEAD = ("pandas", "app.compute.calls", "app.sections.attention", "app.sections.start.heads")

bound_arenas()
# Python lets a thread that waits have its turn after 5 ms; the one that talks to all browsers waits
# dozens of times a page. Shorter turns cost each page a few percent more, and under the attack of
# thirty tabs that reload another's page takes 2 times its usual time and not 8 (`bench.attack`).
sys.setswitchinterval(TURN)


def _import_ahead() -> None:
    time.sleep(STARTED)
    for name in AHEAD:
        importlib.import_module(name)
    # Visitors of another process that is killed come all at once.
    if server.replica is not None:
        server.warm_up(list_models()[0].name)


@asynccontextmanager
async def _get_ready(_: App) -> AsyncIterator[None]:
    """Import while the browser of the first visitor still loads Streamlit's own scripts.

    At the end workers end too: what runs next is not asked, since the server raises its signal.
    """
    threading.Thread(target=_import_ahead, daemon=True, name="imports").start()
    yield
    if server.engine is not None:
        server.engine.close()


# Streamlit finds this very call in the text of this file; without it, it would run the file itself.
app = App(Path(__file__).parent / "streamlit_app.py", lifespan=_get_ready, **surroundings(server))
