"""Workers that are actors of a Ray cluster: with the packages of `requirements-ray.txt` only.

Ray pickles what makes an actor, which is ours. All that passes afterwards, both ways, are the bytes
of `app.compute.workers.messages`.
"""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from app.compute.workers.desk import GROUPS, Desk, SharedOffice
from app.compute.workers.office import Office, OwnOffice, WorkerLost
from app.config import VARIABLE

# An address that stands for a cluster of this process's own, on this machine.
OWN = "local"
# Bytes of the store of such a cluster: messages of a piece or two for each worker.
STORE = 256 * 2**20
# Of the environment that workers get: which models are offered, and that nothing is fetched.
_PASSED = (VARIABLE, "HF_HUB_OFFLINE")
# Where actors have their names.
SPACE = "headscope"
# The calls of a worker that wait for no others.
LOOKS = "looks"
# Seconds that a look may take: its answer is at hand, but Python may be busy.
LONGEST_LOOK = 2.0
_ROOT = Path(__file__).resolve().parents[3]
# Read by Ray when it is imported: it tells nobody of its use, waits for a busy machine, and joins
# nothing of itself, such as where it is still asked when this process has left.
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_agent_register_timeout_ms": "120000",
    "RAY_ENABLE_AUTO_CONNECT": "0",
}
# One attempt to reach a cluster that others have begun: Ray would try for ten minutes.
_ELSEWHERE = {"RAY_gcs_server_port_wait_time_s": "1"}
# It listens on loopback, and takes an address of loopback for what it is: left to itself Ray puts
# the machine's in its place, whatever it is told.
_ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


class RayCluster:
    """A cluster that this process has joined, or one of its own that ends with it.

    Args:
        address: As `ray.init` takes it; `OWN` for one of its own.
        workers: How many: of this process, or of all together that have joined one cluster.

    Raises:
        ImportError: Ray is not installed.
        ConnectionError: There is no cluster at that address.
    """

    def __init__(self, address: str, workers: int):
        own = address == OWN
        for name, value in {**_SETTINGS, **({} if own else _ELSEWHERE)}.items():
            os.environ.setdefault(name, value)
        if own or address.startswith(("127.", "localhost:")):
            os.environ.update(_ON_LOOPBACK)
        folder = _folder() if own else None
        if folder:
            os.environ.update({**_to_itself(), "PYTHONPATH": _path(_lean(folder))})
        import ray  # not before its settings are there

        self._ray: Any = ray
        self._folder, self._workers = folder, workers
        if ray.is_initialized():
            return
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        with _asked_to_end():
            if folder:
                store = {"include_dashboard": False, "object_store_memory": STORE}
                _begin(ray, folder, {"num_cpus": workers, **store, **quiet})
            else:
                _join(ray, address, quiet)

    @property
    def address(self) -> str:
        """Where others of this machine, or of its network, can join it."""
        found: str = self._ray.get_runtime_context().gcs_address
        return found

    def office(self) -> Office:
        """What gives out its workers: those of a cluster that was joined to all who have joined."""
        if self._folder:
            return OwnOffice(self.hire, self._workers)
        return self.shared_office()

    def shared_office(self) -> SharedOffice:
        """The office of all who have joined this cluster with the same code and settings."""
        ray, variables = self._ray, _variables()
        # Whoever has other code, or other settings, has workers of their own.
        same = sha256(repr((self._workers, variables, _code())).encode()).hexdigest()
        options = {
            **{"name": f"desk {same}", "namespace": SPACE, "get_if_exists": True},
            **{"lifetime": "detached", "runtime_env": {"env_vars": variables}},
        }

        def open_desk() -> Any:
            remote = ray.remote(num_cpus=0, concurrency_groups=GROUPS)(_Desk)
            return remote.options(**options).remote(variables, self._workers)

        def worker(name: str) -> Actor:
            return Actor(ray, ray.get_actor(name, SPACE))

        return SharedOffice(self._workers, open_desk, worker, ray.exceptions.RayError, ray.get)

    def hire(self) -> Actor:
        """One more worker of this process alone, wherever the cluster has a core for it."""
        return Actor(self._ray, _actor(self._ray, _variables(), self._workers).remote())

    def leave(self) -> None:
        """Leave the cluster, or end one of its own."""
        self._ray.shutdown()
        if self._folder:
            shutil.rmtree(Path(self._folder).parent, ignore_errors=True)


def _variables() -> dict[str, str]:
    """Of the environment of what runs in the cluster."""
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return {**passed, "PYTHONPATH": _path(str(_ROOT)), "OMP_NUM_THREADS": "1"}


def gpus_each(resources: Mapping[str, float], workers: int) -> int:
    """GPUs of each of so many workers: one, if the cluster has one for each, else none.

    Ray hides all from who asks for none; several on one would each take the memory of it.
    """
    return int(resources.get("GPU", 0) >= workers)


def _actor(ray: Any, variables: dict[str, str], workers: int, **options: str) -> Any:
    """What makes one of so many workers."""
    # A second thread answers looks, while the first works: one thing at a time, whoever asks.
    remote = ray.remote(
        num_cpus=1,
        num_gpus=gpus_each(ray.cluster_resources(), workers),
        concurrency_groups={LOOKS: 1},
    )(_Actor)
    return remote.options(runtime_env={"env_vars": variables}, **options)


def _code() -> str:
    """What stands for the code that workers run."""
    whole = sha256()
    for package in ("analysis", "app"):
        for file in sorted((_ROOT / package).rglob("*.py")):
            whole.update(file.read_bytes())
    return whole.hexdigest()


def _to_itself() -> dict[str, str]:
    """Settings of a cluster that nobody else may use, for who can runs what they like.

    It answers who knows a secret that its processes alone are told. Left to itself Ray keeps one in
    the user's home, where it may not write.
    """
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _folder() -> str:
    """Where a cluster of its own has its sockets and logs; it goes with this process.

    Ray makes folders that every user of the machine may write to: this one lies in one that no
    other may enter. Names of sockets have little more than a hundred letters, so it is in `/tmp`.
    """
    ours = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    atexit.register(shutil.rmtree, ours, ignore_errors=True)
    return f"{ours}/ray"


@contextmanager
def _asked_to_end() -> Iterator[None]:
    """Who answers when this process is asked to end: who did before, and not Ray.

    Ray would leave from the middle of whatever is done then, with a trace of it.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _path(first: str) -> str:
    """Where modules are looked for: in that folder before all others."""
    return os.pathsep.join(filter(None, (first, os.environ.get("PYTHONPATH"))))


def _lean(folder: str) -> str:
    """A folder of modules without one that Ray reads where it is there, and that holds it up.

    JupyterLab brings it, and the app does without: a check of addresses in JSON, which takes three
    quarters of the second and a half that each of Ray's six processes then needs to begin. The
    ones that look after a machine get 15 s for it, however busy it is.
    """
    lean = Path(folder).with_name("lean")
    lean.mkdir()
    (lean / "rfc3987_syntax.py").write_text("raise ImportError\n", encoding="utf-8")
    return str(lean)


def _begin(ray: Any, folder: str, options: dict[str, Any]) -> None:
    """Begin a cluster, which ends with this process whatever becomes of it.

    Raises:
        ConnectionError: It has not started.
    """
    try:
        # Without an address Ray would join one that somebody else has begun on this machine.
        ray.init(address="local", _temp_dir=folder, **options)
    except Exception as error:  # Ray raises no other
        logs = "".join(each.read_text() for each in Path(folder).glob("*/logs/raylet.err"))
        late = "Timed out waiting for file" in logs
        said = str(error).partition("\n")[0].rstrip(".")
        raise ConnectionError(
            "one of its own did not start, because a part of it took longer than the quarter of a "
            "minute that Ray gives it. Start again when the machine is less busy"
            if late
            else f"one of its own did not start; Ray says: {said}"
        ) from error


def _join(ray: Any, address: str, options: dict[str, Any]) -> None:
    """Join a cluster.

    Raises:
        ConnectionError: There is none at that address, or it does not let this process in.
    """
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError) as error:
        said = str(error).partition("\n")[0].rstrip(".")
        if "No node info found" in str(error.__cause__):
            said = (
                "this machine is no node of it; `ray start --address=... --num-cpus=0` makes it one"
            )
        elif isinstance(error, ConnectionError):
            said += (
                ". One that asks for a token needs RAY_AUTH_MODE=token here, and the token in "
                "RAY_AUTH_TOKEN or in the file that RAY_AUTH_TOKEN_PATH names"
            )
        raise ConnectionError(said) from error


class Actor:
    """One worker of a cluster."""

    def __init__(self, ray: Any, actor: Any):
        self._ray, self._actor = ray, actor

    def ask(self, data: bytes) -> bytes:
        """See `app.compute.workers.office.Worker`."""
        try:
            answer: bytes = self._ray.get(self._actor.answer.remote(data))
        except self._ray.exceptions.RayError as error:
            raise WorkerLost(type(error).__name__) from error
        return answer

    def look(self, data: bytes) -> bytes:
        """See `app.compute.workers.office.Worker`."""
        try:
            call = self._actor.look.options(concurrency_group=LOOKS)
            said: bytes = self._ray.get(call.remote(data), timeout=LONGEST_LOOK)
        except self._ray.exceptions.RayError as error:
            raise WorkerLost(type(error).__name__) from error
        return said

    @property
    def process(self) -> int:
        """Number of the process that it is in, on its machine."""
        number: int = self._ray.get(self._actor.process.remote())
        return number

    def close(self) -> None:
        """See `app.compute.workers.office.Worker`."""
        self._ray.kill(self._actor)


class _Desk(Desk):
    """What runs in a cluster that several have joined."""

    def __init__(self, variables: dict[str, str], workers: int):
        import ray

        def hire(name: str) -> Callable[[], None]:
            worker = _actor(ray, variables, workers, name=name, namespace=SPACE).remote()
            return partial(ray.kill, worker)

        mine = ray.get_runtime_context().current_actor
        super().__init__(hire, workers, partial(ray.kill, mine))


class _Actor:
    """What runs in the cluster."""

    def __init__(self) -> None:
        from app.compute.calls.by_name import questions
        from app.compute.workers.serve import load
        from app.compute.workers.workshop import Workshop
        from app.config import settings

        settings()  # which models are offered
        self._workshop = Workshop(load, questions())

    def answer(self, data: bytes) -> bytes:
        """What is said to a message."""
        return self._workshop.answer(data)

    def look(self, data: bytes) -> bytes:
        """What is said to a look meanwhile."""
        return self._workshop.look(data)

    def process(self) -> int:
        """Number of the process that it is in."""
        return os.getpid()
