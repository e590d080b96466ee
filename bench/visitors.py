"""Visitors without a browser: real websocket sessions that speak Streamlit's protocol.

    with visit(address) as visitor:
        page = visitor.open("attention", {"seed": "3"})

Only what the server does is measured: the browser's drawing is not part of it.
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from deploy.cluster import cluster

ROOT = Path(__file__).parent.parent
# Seconds after which a page counts as hanging.
PATIENCE = 120.0


@dataclass(frozen=True)
class Page:
    """What one run of a page sent."""

    seconds: float  # from the request to the end of the script
    elements: tuple[str, ...]  # kind and digest of every element, in the order of their places
    alerts: tuple[str, ...]  # errors, warnings and refusals, as text; not what is only said


class Visitor:
    """One session: opens pages one after the other, as a tab does."""

    def __init__(self, connection: ClientConnection):
        self._connection = connection
        self._buttons: dict[str, str] = {}  # label: widget
        self._folded: dict[str, str] = {}  # and of what folds out
        self._fields: dict[str, str] = {}  # the same of text that is typed
        self.code: list[str] = []  # every block of code that was shown
        self.told: dict[str, str] = {}  # what components were given last, as JSON, by name
        self.session = ""  # as the server calls it
        # Which of several processes a proxy has chosen, for whatever else this visitor asks.
        answer = connection.response
        chosen = answer.headers.get("Set-Cookie", "") if answer else ""
        self.cookie = chosen.partition(";")[0]
        # Label of a button: file that is made when it is pressed, the first of several.
        self.files: dict[str, str] = {}

    def open(
        self,
        page: str,
        query: Mapping[str, str] | None = None,
        press: str = "",
        unfold: str = "",
    ) -> Page:
        """Run a page (`""` for the start page) and wait for its end.

        `press` is the label of a button that was shown before, and is pressed; `unfold` that of
        what folds out, the first of several, and is opened.
        """
        request = BackMsg()
        self.files.clear()  # each run makes them anew
        if unfold:
            request.rerun_script.widget_states.widgets.add(id=self._folded[unfold], bool_value=True)
        if press:
            request.rerun_script.widget_states.widgets.add(
                id=self._buttons[press], trigger_value=True
            )
        request.rerun_script.query_string = urlencode(query or {})
        request.rerun_script.page_name = page
        start = time.perf_counter()
        self._connection.send(request.SerializeToString())
        places: dict[tuple[int, ...], tuple[str, str]] = {}
        while True:
            data = self._connection.recv(timeout=PATIENCE)
            assert isinstance(data, bytes)
            message = ForwardMsg()
            message.ParseFromString(data)
            kind = message.WhichOneof("type")
            if kind == "delta" and message.delta.add_block.HasField("popover"):
                popover = message.delta.add_block.popover
                self._folded.setdefault(popover.label, popover.id)
            if kind == "delta" and message.delta.WhichOneof("type") == "new_element":
                place = tuple(message.metadata.delta_path)
                self._notice(message)
                # What is emptied takes along what stood in it.
                for within in [each for each in places if each[: len(place)] == place]:
                    del places[within]
                places[place] = _element(message)
            elif kind == "new_session":
                self.session = message.new_session.initialize.session_id
            elif kind == "script_finished":
                status = message.ScriptFinishedStatus.Name(message.script_finished)
                if status == "FINISHED_EARLY_FOR_RERUN":
                    places.clear()
                    continue
                seconds = time.perf_counter() - start
                # A place taken back (a message of the queue, a progress bar) shows nothing.
                shown = [places[place] for place in sorted(places) if places[place][0]]
                return Page(
                    seconds,
                    tuple(digest for digest, _ in shown),
                    tuple(alert for _, alert in shown if alert),
                )

    def download(self, label: str) -> str:
        """Press a button for a file: its address on the server; empty where it was refused."""
        request = BackMsg()
        request.backend_operation_request.request_id = label
        request.backend_operation_request.session_id = self.session
        request.backend_operation_request.deferred_file.file_id = self.files[label]
        self._connection.send(request.SerializeToString())
        while True:
            data = self._connection.recv(timeout=PATIENCE)
            assert isinstance(data, bytes)
            message = ForwardMsg()
            message.ParseFromString(data)
            if message.WhichOneof("type") == "backend_operation_response":
                return message.backend_operation_response.deferred_file.url

    def type(self, label: str, text: str) -> None:
        """Type into a field that was shown before, and do not look what comes of it."""
        request = BackMsg()
        request.rerun_script.widget_states.widgets.add(id=self._fields[label], string_value=text)
        self._connection.send(request.SerializeToString())

    def _notice(self, message: ForwardMsg) -> None:
        element = message.delta.new_element
        if element.WhichOneof("type") == "button":
            self._buttons[element.button.label] = element.button.id
        elif element.WhichOneof("type") == "code":
            self.code.append(element.code.code_text)
        elif element.WhichOneof("type") == "text_area":
            self._fields[element.text_area.label] = element.text_area.id
        elif element.WhichOneof("type") == "download_button":
            button = element.download_button
            self.files.setdefault(button.label, button.deferred_file_id)
        elif element.WhichOneof("type") == "bidi_component":
            self.told[element.bidi_component.component_name] = element.bidi_component.json


def _element(message: ForwardMsg) -> tuple[str, str]:
    element = message.delta.new_element
    kind = element.WhichOneof("type")
    # The address of a file to download names the session.
    if kind in (None, "empty", "download_button"):
        return "", ""
    inner = getattr(element, kind)
    # A widget's value is sent only where the session does not have it yet.
    for name in ("set_value", "value", "raw_value", "raw_values"):
        if (
            "set_value" in inner.DESCRIPTOR.fields_by_name
            and name in inner.DESCRIPTOR.fields_by_name
        ):
            inner.ClearField(name)
    alert = ""
    if kind == "exception":
        alert = element.exception.message or "exception"
    elif kind == "alert" and element.alert.format in (Alert.ERROR, Alert.WARNING):
        alert = element.alert.body
    elif kind == "text" and element.text.body.startswith("⚠"):
        alert = element.text.body
    digest = hashlib.sha256(element.SerializeToString(deterministic=True)).hexdigest()[:16]
    return f"{kind} {digest}", alert


@contextmanager
def visit(address: str, of: str = "") -> Iterator[Visitor]:
    """A new session with the server at `address` (http://host:port).

    `of` is the network address that a proxy on this machine would say the visitor has.
    """
    host = urlsplit(address).netloc
    with connect(
        f"ws://{host}/_stcore/stream",
        origin=Origin(address),
        subprotocols=[Subprotocol("streamlit")],
        max_size=None,
        additional_headers={"X-Forwarded-For": of} if of else None,
        open_timeout=PATIENCE,
    ) as connection:
        yield Visitor(connection)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def replicas() -> int:
    """How many processes to measure, as REPLICAS says; 1: the app by itself, without a proxy."""
    return int(os.environ.get("REPLICAS", "1"))


@contextmanager
def served_by(
    count: int, port: int, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[str, list[int]]]:
    """The app on a port of this machine, by so many processes: its address, and their numbers."""
    if count == 1:
        with served(port, environment) as (address, process):
            yield address, [process.pid]
        return
    with cluster(count, port, environment) as running:
        yield running.address, [replica.process.pid for replica in running.replicas]


@contextmanager
def served(
    port: int, environment: Mapping[str, str] | None = None, folder: Path = ROOT
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The app on a port of this machine, of a checkout of it: its address and its process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "server.py"]
        + [f"--server.port={port}", "--server.address=127.0.0.1"],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
                    break
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError("the server did not start") from None
                time.sleep(0.02)
        yield address, process
    finally:
        process.terminate()
        process.wait(10)
