"""Workers that are actors of a Ray cluster: with the packages of `requirements-ray.txt` only.

Ray pickles what makes an actor, which is ours. All that passes afterwards, both ways, are the bytes
of `app.compute.workers.messages`.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from app.compute.workers.crew import WorkerLost
from app.config import VARIABLE

# An address that stands for a cluster of this process's own, on this machine.
OWN = "local"
# Bytes of the store of such a cluster: messages of a piece or two for each worker.
STORE = 256 * 2**20
# Of the environment that workers get: which models are offered, where modules are, and that
# nothing is fetched.
_PASSED = (VARIABLE, "HF_HUB_OFFLINE", "PYTHONPATH")
# Read by Ray when it is imported: it tells nobody of its use, and waits for a busy machine.
_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_agent_register_timeout_ms": "120000"}
# Its own cluster listens on loopback alone: who reaches it runs what they like.
_ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


class RayCluster:
    """A cluster that this process has joined, or one of its own that ends with it.

    Args:
        address: As `ray.init` takes it; `OWN` for one of its own.
        workers: Cores of one of its own.

    Raises:
        ImportError: Ray is not installed.
        ConnectionError: There is no cluster at that address.
    """

    def __init__(self, address: str, workers: int):
        own = address == OWN
        for name, value in {**_SETTINGS, **(_ON_LOOPBACK if own else {})}.items():
            os.environ.setdefault(name, value)
        import ray  # not before its settings are there

        self._ray: Any = ray
        if ray.is_initialized():
            return
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
        if own:
            store = {"include_dashboard": False, "object_store_memory": STORE}
            _begin(ray, {"num_cpus": workers, **store, **quiet})
        else:
            ray.init(address=address, **quiet)

    def hire(self) -> Actor:
        """One more worker, wherever the cluster has a core for it."""
        passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
        variables = {**passed, "OMP_NUM_THREADS": "1"}
        remote: Any = self._ray.remote(num_cpus=1)(_Actor)
        return Actor(self._ray, remote.options(runtime_env={"env_vars": variables}).remote())


def _begin(ray: Any, options: dict[str, Any]) -> None:
    """Begin a cluster, which ends with this process whatever becomes of it.

    Raises:
        ConnectionError: Its parts are not there in the 30 seconds that Ray gives them.
    """
    try:
        ray.init(**options)
    except Exception as error:  # Ray raises no other
        raise ConnectionError(
            "one of its own did not start within half a minute; the machine may be too busy"
        ) from error


class Actor:
    """One worker of a cluster."""

    def __init__(self, ray: Any, actor: Any):
        self._ray, self._actor = ray, actor

    def ask(self, data: bytes) -> bytes:
        """See `app.compute.workers.crew.Worker`."""
        try:
            answer: bytes = self._ray.get(self._actor.answer.remote(data))
        except self._ray.exceptions.RayError as error:
            raise WorkerLost(type(error).__name__) from error
        return answer

    @property
    def process(self) -> int:
        """Number of the process that it is in, on its machine."""
        number: int = self._ray.get(self._actor.process.remote())
        return number

    def close(self) -> None:
        """See `app.compute.workers.crew.Worker`."""
        self._ray.kill(self._actor)


class _Actor:
    """What runs in the cluster."""

    def __init__(self) -> None:
        from app.compute.workers.serve import load
        from app.compute.workers.workshop import Workshop
        from app.config import settings

        settings()  # which models are offered
        self._workshop = Workshop(load)

    def answer(self, data: bytes) -> bytes:
        """What is said to a message."""
        return self._workshop.answer(data)

    def process(self) -> int:
        """Number of the process that it is in."""
        return os.getpid()
