"""Several processes of the app behind one address of this machine, with a Redis of their own.

    python -m deploy.cluster [--replicas 2] [--port 8501] [--engine process|ray] [--workers 1]

redis-server and haproxy are the distribution's; `make cluster-tools` installs them. Everything
listens on loopback alone, and ends with the command.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROXY = Path(__file__).with_name("haproxy.cfg")
LOOPBACK = "127.0.0.1"
# Seconds until each part has to be there.
PATIENCE = 120.0


def missing() -> str:
    """What this machine lacks for it, as a sentence; empty for nothing."""
    programs = [name for name in ("redis-server", "haproxy") if not shutil.which(name)]
    if programs or find_spec("redis") is None:
        lacks = [*programs, *([] if find_spec("redis") else ["requirements-cluster.txt"])]
        return f"This machine lacks {', '.join(lacks)}: `make cluster-tools` installs them."
    return ""


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


class Part:
    """A program of the cluster, which can be killed and started again.

    Args:
        command: Its arguments.
        answers: Whether it is there.
        environment: Variables of its own.
    """

    def __init__(
        self,
        command: list[str],
        answers: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
    ):
        self._command, self._answers = command, answers
        self._environment = {**os.environ, **(environment or {})}
        self.start()

    def start(self) -> None:
        """Start it; `wait` until it is there."""
        self.process = subprocess.Popen(
            self._command, cwd=ROOT, env=self._environment, stdout=subprocess.DEVNULL
        )

    def wait(self) -> None:
        """Wait until it answers.

        Raises:
            RuntimeError: It does not.
        """
        until = time.monotonic() + PATIENCE
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{self._command[0]} does not start")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once, as a machine does that fails."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        """Let it end."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()


class Redis(Part):
    """One on a port of this machine; it keeps nothing over a restart, unless it is given a folder.

    Args:
        folder: Where it keeps what it holds.
    """

    def __init__(self, folder: Path | None = None):
        self.port = free_port()
        self.url = f"redis://{LOOPBACK}:{self.port}/0"
        kept = ["--appendonly", "yes", "--appendfsync", "always", "--dir", str(folder)]
        command = ["redis-server", "--port", str(self.port), "--bind", LOOPBACK, "--save", ""]
        # What nobody has asked for longest goes first.
        command += ["--maxmemory", "512mb", "--maxmemory-policy", "volatile-lru"]
        super().__init__(command + (kept if folder else []), self._pongs)

    def _pongs(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), 1) as line:
                line.sendall(b"PING\r\n")
                return line.recv(7) == b"+PONG\r\n"
        except OSError:
            return False


@dataclass(frozen=True)
class Cluster:
    """What runs.

    Args:
        address: Of all together.
        redis: What they share.
        replicas: The processes.
        addresses: Of each of them.
    """

    address: str
    redis: Redis
    replicas: tuple[Part, ...]
    addresses: tuple[str, ...]


@contextmanager
def cluster(
    replicas: int, port: int | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """So many processes, on a port of this machine.

    Args:
        replicas: How many.
        port: Of the proxy; none: a free one.
        environment: Variables of the processes.

    Raises:
        RuntimeError: A part does not start, or this machine lacks it.
    """
    if said := missing():
        raise RuntimeError(said)
    port = port or free_port()
    with ExitStack() as running, tempfile.TemporaryDirectory() as folder:

        def run(part: Part) -> None:
            running.callback(part.stop)

        redis = Redis()
        run(redis)
        ports = [free_port() for _ in range(replicas)]
        own = {
            **(environment or {}),
            "HEADSCOPE_REDIS": redis.url,
            # Of forms that one process has sent and another is asked about.
            "STREAMLIT_SERVER_COOKIE_SECRET": secrets.token_hex(32),
        }
        parts = tuple(_replica(each, own) for each in ports)
        for part in parts:
            run(part)
        servers = Path(folder) / "replicas.cfg"
        lines = [f"    server r{each} {LOOPBACK}:{each} cookie r{each}" for each in ports]
        servers.write_text("\n".join(["backend replicas", *lines, ""]), encoding="utf-8")
        redis.wait()
        for part in parts:
            part.wait()
        bind = {"HEADSCOPE_BIND": f"{LOOPBACK}:{port}"}
        proxy = Part(
            ["haproxy", "-f", str(PROXY), "-f", str(servers)], lambda: _healthy(port), bind
        )
        run(proxy)
        proxy.wait()
        addresses = tuple(f"http://{LOOPBACK}:{each}" for each in ports)
        yield Cluster(f"http://{LOOPBACK}:{port}", redis, parts, addresses)


def _replica(port: int, environment: Mapping[str, str]) -> Part:
    command = [sys.executable, "-m", "streamlit", "run", "server.py"]
    command += [f"--server.port={port}", f"--server.address={LOOPBACK}"]
    return Part(command, lambda: _healthy(port), environment)


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/_stcore/health", timeout=2):
            return True
    except OSError:
        return False


@contextmanager
def engine_of(name: str, workers: int) -> Iterator[dict[str, str]]:
    """Variables of processes whose work is done by workers.

    Args:
        name: `process`: each has workers of its own, which are processes; `ray`: all share actors
            of a Ray cluster, which ends with this; `none`: each works for itself.
        workers: How many.

    Raises:
        RuntimeError: This machine lacks Ray, or it does not start.
    """
    if name != "ray":
        yield {"HEADSCOPE_WORKERS": str(workers)} if name == "process" else {}
        return
    if find_spec("ray") is None:
        raise RuntimeError(
            "This machine lacks requirements-ray.txt: `make cluster-tools` installs it."
        )
    from app.compute.workers.actors import OWN, RayCluster

    try:
        ray = RayCluster(OWN, workers)
    except ConnectionError as error:
        raise RuntimeError(f"Ray: {error}.") from error
    try:
        # Its secret stands in this process's own environment, which the others get.
        yield {"HEADSCOPE_WORKERS": str(workers), "HEADSCOPE_RAY": ray.address}
    finally:
        ray.leave()


def main(replicas: int, port: int, engine: str, workers: int) -> None:
    """Run until the command is ended."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        with (
            engine_of(engine, workers) as variables,
            cluster(replicas, port, variables) as running,
        ):
            print(f"{replicas} processes behind {running.address}", flush=True)
            ended.wait()
    except RuntimeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    asked = argparse.ArgumentParser(prog="python -m deploy.cluster")
    asked.add_argument("--replicas", type=int, default=2)
    asked.add_argument("--port", type=int, default=8501)
    asked.add_argument("--engine", choices=("none", "process", "ray"), default="none")
    asked.add_argument("--workers", type=int, default=1)
    chosen = asked.parse_args()
    main(chosen.replicas, chosen.port, chosen.engine, chosen.workers)
