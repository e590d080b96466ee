"""The app in a process that is a person's own, on a model that is in its memory."""

import gc
import socket
import tempfile
import threading
import time
import tomllib
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from headscope.inside import import_inside, renamed
from headscope.place import ROOT

_LOOPBACK = "127.0.0.1"
# Seconds until nobody waits any more for the server to answer, or for its visitors to be gone.
_PATIENCE, _GOODBYE = 60.0, 5
_opened: "Dashboard | None" = None
_opening = threading.Lock()


class Dashboard:
    """The app as it is served from this process, until `stop`.

    Attributes:
        address: Where a browser on this machine finds it.
    """

    def __init__(self, address: str, ending: ExitStack) -> None:
        self.address, self._ending = address, ending

    def stop(self) -> None:
        """Serve it no longer, and let go of the model."""
        global _opened
        with _opening:
            self._ending.close()
            if _opened is self:
                _opened = None

    def __repr__(self) -> str:
        return f"Headscope: {self.address}"

    def _repr_html_(self) -> str:
        return f'Headscope: <a href="{self.address}" target="_blank">{self.address}</a>'


def open_dashboard(
    model: Any,
    tokenizer: Any = None,
    *,
    name: str = "in-memory",
    port: int = 0,
    browser: bool = False,
) -> Dashboard:
    """Open the app on a model that is in memory: at an address of this machine alone.

    It is served by threads of this process and analyses the very weights that were given, as they
    are at the time. Hooks go to modules of its own, so the model can be run meanwhile.

    Args:
        model: One of transformers that predicts the next token or is an encoder such as BERT, or
            a TransformerBridge of TransformerLens made by `boot_transformers`, of no encoder; in
            float32.
        tokenizer: Its tokenizer; a bridge has one.
        name: What the model is called there.
        port: Where it is served; 0: anywhere free.
        browser: Whether to open a browser on it.

    Raises:
        AnalysisError: Not such a model, a name that is taken or none, a port that is taken or none,
            or one is open already.
    """
    global _opened
    refused = import_inside("analysis.errors").AnalysisError
    with _opening, ExitStack() as ending:
        if _opened:
            raise refused(f"{_opened.address} is open already. End it with its stop() first.")
        from streamlit import runtime

        if runtime.exists():
            raise refused("This process already runs a Streamlit app, and it can run one alone.")
        held = ending.enter_context(
            import_inside("analysis.models.in_memory").offered(model, tokenizer, name)
        )
        listening = ending.enter_context(_listening(port, refused))
        own = listening.getsockname()[1]
        _serve(listening, ending, refused)
        shown = f"http://{_LOOPBACK}:{own}/attention?model={quote(held.name)}"
        _opened = Dashboard(shown, ending.pop_all())
    print(_opened, flush=True)
    if browser:
        webbrowser.open(shown)
    return _opened


def _listening(port: int, refused: type[Exception]) -> socket.socket:
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((_LOOPBACK, port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise refused(
            f"Nothing can be served at port {port}. Choose another one, or 0 for any that is free."
        ) from error
    return listening


def _serve(listening: socket.socket, ending: ExitStack, refused: type[Exception]) -> None:
    """Serve the app in a thread, and add what ends that."""
    import uvicorn
    from streamlit.runtime import Runtime
    from streamlit.starlette import App

    _settle()
    folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="headscope-")))
    _write_scripts(folder)
    asked = import_inside("app.compute.server").Server(import_inside("app.config").Config())
    around = import_inside("app.shell.serving").surroundings(asked)
    app = App(folder / "streamlit_app.py", **around)
    served = uvicorn.Server(
        uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=_GOODBYE)
    )
    thread = threading.Thread(
        target=served.run, kwargs={"sockets": [listening]}, daemon=True, name="headscope"
    )

    def end() -> None:
        served.should_exit = True
        thread.join(2 * _GOODBYE)
        # Streamlit keeps the one that ended, and refuses another.
        Runtime._instance = None
        # What the app set apart from Python's collection, which may be the person's own.
        gc.unfreeze()

    ending.callback(end)
    thread.start()
    until = time.monotonic() + _PATIENCE
    while not served.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise refused("The dashboard's server does not start; its log says why.")
        time.sleep(0.05)


@cache
def _settle() -> None:
    """Give Streamlit the settings that lie beside the app's own entry point; once will do."""
    from streamlit.web import bootstrap

    text = (ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8")
    bootstrap.load_config_options(dict(_flat(tomllib.loads(text))) | {"server.address": _LOOPBACK})


def _flat(options: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _write_scripts(folder: Path) -> None:
    """The entry point and the pages as Streamlit can run them in here.

    It runs a script as a file, not as a module whose imports are renamed.
    """
    (folder / "pages").mkdir()
    for file in (ROOT / "streamlit_app.py", *(ROOT / "pages").glob("*.py")):
        code = renamed(file.read_text(encoding="utf-8"))
        (folder / file.relative_to(ROOT)).write_text(code, encoding="utf-8")
