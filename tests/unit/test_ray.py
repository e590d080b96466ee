"""Workers that are actors of a Ray cluster: the same numbers, and a killed one's pieces again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

import analysis
from analysis.head import Head, all_heads
from analysis.models.catalog import find_model, refresh
from analysis.models.loading import HeadModel
from app.compute import calls
from app.compute.server import Server
from app.compute.workers.actors import SPACE, Actor, RayCluster, _join
from app.compute.workers.crew import AHEAD, Crew
from app.compute.workers.office import OwnOffice, Wanted, Worker
from app.compute.workers.pieces import Asked, Job, unnamed
from app.config import Config, ConfigError
from app.links.subject import Subject
from tests.views import view

installed = find_spec("ray") is not None
with_ray = pytest.mark.skipif(not installed, reason="Ray is not installed: make cluster-tools")
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
SCORES = Asked("mosaic_scores", find_model("attn-only-2l"), (), {}, ())
# Numbers of the processes of the actors, in the order in which they were hired.
hired: list[int] = []


def nothing(*told: object) -> None:
    """Goes on."""


@pytest.fixture(scope="module")
def model() -> Iterator[HeadModel]:
    """On one thread, as workers are: sums of many threads may differ in their last digit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield analysis.load_model("attn-only-2l", device="cpu")
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One with one actor in a cluster of this process's own."""
    before = os.environ.copy()  # the server tells Ray its settings there
    already = psutil.Process().children(recursive=True)
    fits = pytest.MonkeyPatch()
    fits.setattr("analysis.models.info._elsewhere", False)  # as it is again afterwards
    server = Server(Config(workers=1, ray="local"))
    crew = server.engine
    assert isinstance(crew, Crew)
    assert isinstance(crew.office, OwnOffice)
    hire = crew.office.hire

    def told() -> Worker:
        actor = hire()
        assert isinstance(actor, Actor)
        hired.append(actor.process)
        return actor

    crew.office.hire = told
    yield server
    parts = [part for part in psutil.Process().children(recursive=True) if part not in already]
    crew.close()
    fits.undo()
    refresh()
    os.environ.clear()
    os.environ.update(before)
    assert not psutil.wait_procs(parts, timeout=60)[1]


@pytest.fixture
def crew(server: Server) -> Crew:
    assert isinstance(server.engine, Crew)
    return server.engine


@with_ray
def test_a_sweep_by_actors_is_that_of_this_process_also_where_one_is_killed(
    crew: Crew, model: HeadModel
) -> None:
    tokens = analysis.repeated_tokens(model, length=20, batch=4, seed=3)
    heads = all_heads(model.info)
    alone = [one.value for one in analysis.ablate_each(model, tokens, heads, scored_only=True)]
    job = Job("sweep", model.info, (unnamed(tokens), "zero", 0))
    before, found = len(hired), []
    with closing(crew.map(job, [(head,) for head in heads], nothing)) as results:
        for (one,) in results:
            found.append(one.value)
            if len(found) == 3:
                os.kill(hired[-1], signal.SIGKILL)
    assert len(hired) - max(before, 1) == 1
    assert found == pytest.approx(alone, abs=1e-6)


@with_ray
def test_who_cancels_gives_the_actor_back(crew: Crew, model: HeadModel) -> None:
    tokens = analysis.repeated_tokens(model, length=20, batch=4, seed=3)
    job = Job("sweep", model.info, (unnamed(tokens), "zero", 0))
    heads = all_heads(model.info)
    left = iter([(head,) for head in heads])
    with closing(crew.map(job, left, nothing)) as results:
        next(results)
    actors, asked = list(hired), len(heads) - len(list(left))
    scores = crew.ask(SCORES, nothing)
    assert scores.values["induction"].max() > 0.5
    assert hired == actors and psutil.pid_exists(hired[-1])
    assert asked <= AHEAD


@with_ray
def test_what_a_page_asks_is_answered_where_the_models_are(
    server: Server, model: HeadModel
) -> None:
    selection = view("intervene", input="prompt", prompt="The cat sat on the mat. The", write=100)
    steps: list[int] = []
    with server.used():
        tokens = calls.tokens_of(selection)
        found = calls.patterns(selection, 0, (0, 1)).values
        written = calls.written(
            Subject(selection, head=Head(0, 0)),
            tokens,
            lambda done, total: steps.append(done),
            lambda now: None,
        )
    assert server.models.known(selection.info) is None
    alone = analysis.attention_patterns(model, tokens, (0, 1)).values
    assert found == pytest.approx(alone, abs=1e-6)
    assert written.count == 100
    assert steps == sorted(steps) != []


@with_ray
def test_a_cluster_of_its_own_is_reached_by_this_machine_and_who_knows_its_secret(
    crew: Crew, model: HeadModel
) -> None:
    import ray

    crew.meet(model.info, nothing)
    parts = psutil.Process().children(recursive=True)
    assert hired[-1] in {part.pid for part in parts}
    listening = {each for part in [psutil.Process(), *parts] for each in heard_at(part)}
    assert {"gcs_server", "raylet"} <= {name for name, _ in listening}
    assert {address for _, address in listening} <= set(LOOPBACK)
    sessions = Path(ray._private.worker._global_node.get_session_dir_path())
    assert sessions.parents[1].stat().st_mode & 0o077 == 0
    assert joins(os.environ["RAY_AUTH_TOKEN"])
    assert not joins("0" * 64)


@with_ray
def test_all_who_join_a_cluster_share_its_actors_and_a_desk_that_is_killed_is_opened_again(
    crew: Crew, model: HeadModel
) -> None:
    import ray

    assert isinstance(crew.office, OwnOffice)
    taken = crew.office.take(Wanted("mine", model.info.name))
    assert taken is not None
    crew.office.give_back(taken.number, None)  # the cluster's only core
    address = ray.get_runtime_context().gcs_address
    crews = [Crew(RayCluster(address, 1).office()) for _ in range(2)]
    first = [each.ask(SCORES, nothing).values["induction"] for each in crews]
    np.testing.assert_array_equal(*first)
    names = named_actors()
    assert [name.split()[0] for name in sorted(names)] == ["desk", "worker"]
    ray.kill(ray.get_actor(min(names), SPACE))
    for each in crews:
        np.testing.assert_array_equal(each.ask(SCORES, nothing).values["induction"], first[0])
    assert len(named_actors()) == 2
    assert set(named_actors()) & set(names) == {min(names)}
    for each in crews:
        each.office.close()


def named_actors() -> list[str]:
    """Names that are used in the cluster now."""
    import ray

    found = ray.util.list_named_actors(all_namespaces=True)
    return [str(each["name"]) for each in found]


def heard_at(part: psutil.Process) -> set[tuple[str, str]]:
    """Addresses that a process listens at, with its name; none of one that has ended by now."""
    with suppress(psutil.NoSuchProcess):
        name, lines = part.name(), part.net_connections("inet")
        kinds = (psutil.CONN_LISTEN, psutil.CONN_NONE)
        return {(name, line.laddr.ip) for line in lines if line.status in kinds}
    return set()


def joins(secret: str) -> bool:
    """Whether another process of this machine is let into the cluster."""
    import ray

    address = ray.get_runtime_context().gcs_address
    told = {"RAY_AUTH_TOKEN": secret, "RAY_gcs_server_port_wait_time_s": "1"}  # one attempt
    other = subprocess.run(
        [sys.executable, "-c", f"import ray; ray.init('{address}', log_to_driver=False)"],
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert not other.returncode or "Failed to connect to Ray cluster" in other.stderr
    return not other.returncode


NO_NODE = RuntimeError("No node info found matching attributes: ''")


@pytest.mark.parametrize(
    ("error", "cause", "said"),
    [
        (ConnectionError("Failed to connect to it"), NO_NODE, r"^this machine is no node of it; "),
        (ConnectionError("There is none."), None, r"^There is none\. One that asks for a token"),
        (RuntimeError("Version mismatch:\nyours ..."), None, r"^Version mismatch:$"),
    ],
)
def test_why_a_cluster_cannot_be_joined_is_said_truly(
    error: Exception, cause: Exception | None, said: str
) -> None:
    def init(**options: object) -> None:
        raise error from cause

    with pytest.raises(ConnectionError, match=said):
        _join(SimpleNamespace(init=init), "10.0.0.1:6379", {})


@pytest.mark.skipif(installed, reason="Ray is installed")
def test_without_ray_a_setting_that_names_it_ends_the_start_with_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"requirements-ray\.txt"):
        Server(Config(workers=1, ray="local"))


def test_ray_needs_workers() -> None:
    with pytest.raises(ConfigError, match="workers is 0"):
        Server(Config(ray="local"))
