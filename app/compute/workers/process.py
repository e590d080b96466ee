"""A worker that is a process of this machine, over two pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

from app.compute.stored import MAX_UNPACKED
from app.compute.workers.office import WorkerLost

_ROOT = Path(__file__).resolve().parents[3]
_LENGTH = 8  # bytes that say how long a message is


class WorkerProcess:
    """One process, begun anew from nothing: it shares no memory with this one but files.

    It has one thread of computation, and ends when this one does. Messages are a length and as
    many bytes.
    """

    def __init__(self) -> None:
        one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.compute.workers.serve"],
            cwd=_ROOT,
            env={**os.environ, **one},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # It is not interrupted with us at a terminal, but ends when nobody asks any more.
            start_new_session=True,
        )

    def ask(self, data: bytes) -> bytes:
        """See `app.compute.workers.office.Worker`."""
        assert self.process.stdin and self.process.stdout
        try:
            write_message(self.process.stdin, data)
            found = read_message(self.process.stdout)
        except OSError as error:
            raise WorkerLost("its process has ended") from error
        if found is None:
            raise WorkerLost("its process has ended")
        return found

    def look(self, data: bytes) -> None:
        """See `app.compute.workers.office.Worker`; its one pipe is taken by who asks."""

    def close(self) -> None:
        """See `app.compute.workers.office.Worker`."""
        self.process.kill()
        self.process.communicate()


def write_message(stream: IO[bytes], data: bytes) -> None:
    """Send some bytes, with their number in front."""
    stream.write(len(data).to_bytes(_LENGTH, "big"))
    stream.write(data)
    stream.flush()


def read_message(stream: IO[bytes]) -> bytes | None:
    """Wait for some bytes; None at the end, or for more than a message may have."""
    head = stream.read(_LENGTH)
    length = int.from_bytes(head, "big")
    if len(head) < _LENGTH or length > MAX_UNPACKED:
        return None
    data = stream.read(length)
    return data if len(data) == length else None
