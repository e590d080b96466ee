"""A module of ours in a process of its own that may reach out, and what it says.

The process that serves pages stays offline for good: a hub's client reads once, when it is
imported, whether it may reach out. What hangs in there can be ended.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# Seconds to import a hub's client, on a machine that is busy.
START_WITHIN = 60.0
# Seconds in which nothing comes, after which a transfer counts as broken off.
STANDSTILL = 30.0
# Seconds between two looks at what came.
LOOK = 0.2
_ROOT = Path(__file__).resolve().parents[2]
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "0",
    "HF_HUB_DOWNLOAD_TIMEOUT": "10",  # seconds without a byte
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    # Files over plain HTTP: its other transport has no timeouts and keeps a cache of its own.
    "HF_HUB_DISABLE_XET": "1",
}


@contextmanager
def running(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A module of ours in a process that may reach out; it does not outlive the block."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=_ROOT,
        env={**os.environ, **_ENVIRONMENT},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def lines(process: subprocess.Popen[str]) -> "queue.Queue[Any]":
    """What a process says, as it says it: a JSON value a line; None at its end."""
    said: queue.Queue[Any] = queue.Queue()

    def read() -> None:
        assert process.stdout
        with suppress(ValueError):  # closed, or not JSON
            for line in process.stdout:
                said.put(json.loads(line))
        said.put(None)

    threading.Thread(target=read, daemon=True, name="download").start()
    return said
