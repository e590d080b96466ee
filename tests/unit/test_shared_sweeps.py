"""Sweeps and downloads that several processes ask for: done once, and by another if one dies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence

import numpy as np
import pytest

from analysis.effects.ablation import HeadAblation
from analysis.head import Head
from app.compute.background import Step
from app.compute.downloads import Downloads
from app.compute.replicas.fetching import SharedFetch
from app.compute.replicas.replica import Replica
from app.compute.replicas.steps import SharedSweeps, _from_bytes, _to_bytes
from app.compute.replicas.wire import PREFIX, Wire
from app.compute.rooms import Rooms
from app.compute.stored import to_bytes
from app.compute.sweeps import Effects, SharedSweep, Sweeps, SweepWork
from deploy.cluster import Redis
from tests.redis import needs_redis, redis_server

pytestmark = needs_redis
HEADS = tuple(Head(layer, head) for layer in range(2) for head in range(3))


def effect(head: Head) -> HeadAblation:
    return HeadAblation(head, float(head.layer + head.head), np.zeros(3, np.float32), 1.0, "zero")


class Process:
    """One process's sweeps, of heads that it lets go one by one."""

    def __init__(self, server: Redis, lease: float):
        self.wire = Wire(server.url)
        self.replica = Replica(self.wire, Rooms())
        assert self.wire.wait(30)
        self.sweeps = Sweeps(1, 4, patience=1.0)
        self.sweeps.shared = SharedSweeps(self.wire, lease).work
        self.done: list[Head] = []
        self.allowed = 0

    def sweep(self, name: str) -> SharedSweep:
        """The sweep of that name, as this process has it."""

        def ablate_each(
            heads: Sequence[Head], pause: Callable[[], None]
        ) -> Generator[HeadAblation, None, None]:
            for head in heads:
                while len(self.done) >= self.allowed:
                    pause()
                    time.sleep(0.01)
                self.done.append(head)
                yield effect(head)

        return SharedSweep(self.sweeps, (name,), SweepWork(lambda: HEADS, ablate_each, lambda _: 1))


@pytest.fixture
def server() -> Iterator[Redis]:
    with redis_server() as running:
        yield running


def watched(sweeps: Sequence[SharedSweep], until: Callable[[list[int]], bool]) -> None:
    """Watch all of them until so many heads are known to each."""
    end = time.monotonic() + 30
    while not until([len(sweep.watch("somebody").found) for sweep in sweeps]):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_one_process_works_and_all_see_it_and_another_goes_on_when_it_dies(server: Redis) -> None:
    one, other = Process(server, lease=1.0), Process(server, lease=1.0)
    one.allowed = 2
    first = one.sweep("a")
    watched([first], lambda found: found == [2])
    second = other.sweep("a")
    other.allowed = 6
    watched([first, second], lambda found: found == [2, 2])
    assert other.done == []
    # It dies: says nothing more, and gives nothing back.
    one.replica.close()
    watched([second], lambda found: found == [6])
    assert one.done + other.done == list(HEADS)
    found = second.watch("somebody").found
    assert [found[head].value for head in HEADS] == [effect(head).value for head in HEADS]
    # Who comes later finds it finished.
    third = Process(server, lease=1.0)
    watched([third.sweep("a")], lambda found: found == [6])
    assert third.done == []
    other.replica.close()
    third.replica.close()


def test_what_stands_there_for_a_step_and_is_none_is_worked_out(server: Redis) -> None:
    import redis

    step = Step(Effects({HEADS[0]: effect(HEADS[0])}, 6), 1.0, 6.0)
    data = _to_bytes("q", step)
    assert data
    again = _from_bytes("q", data)
    assert again and again.value.found.keys() == step.value.found.keys()
    assert (again.done, again.total, again.value.total) == (1.0, 6.0, 6)
    one = (effect(HEADS[0]),)
    for forged in (
        3,
        (one, 6, 7.0, 6.0),
        (one, 0, 1.0, 6.0),
        (one, 6, 1, 6),
        (("a",), 6, 1.0, 6.0),
    ):
        wrong = to_bytes("q", forged)
        assert wrong and _from_bytes("q", wrong) is None
    process = Process(server, lease=1.0)
    process.allowed = 6
    client = redis.Redis.from_url(server.url)
    watched([process.sweep("b")], lambda found: found == [6])
    (name,) = [key for key in client.keys(f"{PREFIX}sweep:*") if not key.endswith(b"lease")]
    client.set(name, b"x" * 100)
    later = Process(server, lease=1.0)
    later.allowed = 6
    watched([later.sweep("b")], lambda found: found == [6])
    assert later.done == list(HEADS)
    process.replica.close()
    later.replica.close()


def test_a_model_is_transferred_once_and_seen_to_come_in_all_processes(server: Redis) -> None:
    one, other = Process(server, lease=1.0), Process(server, lease=1.0)
    begun: list[str] = []
    go, here = threading.Event(), threading.Event()

    def bring(name: str, progress: Callable[[int, int], None]) -> None:
        begun.append(name)
        while not go.is_set():
            progress(3, 10)
            time.sleep(0.01)
        here.set()

    downloads = [
        Downloads(SharedFetch(each.wire, bring, lambda _: here.is_set())) for each in (one, other)
    ]
    downloads[0].ask("gpt2", "ann")
    wait_for(lambda: [now.done for now in downloads[0].look("ann")] == [3])
    downloads[1].ask("gpt2", "ben")
    wait_for(lambda: [(now.done, now.total) for now in downloads[1].look("ben")] == [(3, 10)])
    go.set()
    for each, visitor in zip(downloads, ("ann", "ben"), strict=True):
        wait_for(lambda: [now.state for now in each.look(visitor)] == ["done"])  # noqa: B023
    assert begun == ["gpt2"]
    # On another machine it is not there, and is brought there too.
    here.clear()
    downloads[1].ask("gpt2-medium", "ben")
    wait_for(lambda: here.is_set())
    assert begun == ["gpt2", "gpt2-medium"]
    one.replica.close()
    other.replica.close()


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
