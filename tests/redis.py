"""A Redis of a test's own, on a free port of this machine: killed and started at will."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

needs_redis = pytest.mark.skipif(
    not shutil.which("redis-server") or find_spec("redis") is None,
    reason="needs redis-server and the packages of requirements-cluster.txt (make cluster-tools)",
)


class RedisServer:
    """It keeps nothing over a restart, unless it is given a folder."""

    def __init__(self, folder: Path | None = None):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        kept = ["--appendonly", "yes", "--appendfsync", "always", "--dir", str(self._folder)]
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
            + (kept if self._folder else []),
            stdout=subprocess.DEVNULL,
        )
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as line:
                    line.sendall(b"PING\r\n")
                    if line.recv(7) == b"+PONG\r\n":
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError("redis-server did not start")

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait(10)


@contextmanager
def redis_server(folder: Path | None = None) -> Iterator[RedisServer]:
    """One that ends with the block."""
    server = RedisServer(folder)
    try:
        yield server
    finally:
        server.kill()
