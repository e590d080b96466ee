"""A Redis of a test's own, on a free port of this machine: killed and started at will."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from deploy.cluster import Redis

needs_redis = pytest.mark.skipif(
    not shutil.which("redis-server") or find_spec("redis") is None,
    reason="needs redis-server and requirements-cluster.txt: make cluster-tools",
)


@contextmanager
def redis_server(folder: Path | None = None) -> Iterator[Redis]:
    """One that ends with the block."""
    server = Redis(folder)
    try:
        server.wait()
        yield server
    finally:
        server.kill()
