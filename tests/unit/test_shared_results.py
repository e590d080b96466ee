"""Where results outlive a process, a folder or Redis: what one keeps others find."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from analysis.models.catalog import list_models
from app.compute import stored
from app.compute.ask import ask, key_of
from app.compute.question import Question
from app.compute.replicas.replica import Replica
from app.compute.replicas.results import SharedResults, _key
from app.compute.replicas.wire import MAX_VALUE, PREFIX, Wire
from app.compute.rooms import Rooms
from app.compute.server import Server
from app.compute.stored import ResultFolder, Results, from_bytes, key_text, to_bytes
from app.config import Config
from deploy.cluster import Redis
from tests.redis import needs_redis, redis_server

INFO = list_models()[0]


@pytest.fixture(scope="module")
def shared() -> Iterator[Redis]:
    with redis_server() as server:
        yield server


def wire_to(server: Redis) -> Wire:
    """A wire that is up."""
    wire = Wire(server.url)
    Replica(wire, Rooms())
    assert wire.wait(30)
    return wire


@pytest.fixture(params=["folder", pytest.param("redis", marks=needs_redis)])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Results, Results]]:
    """The same store as two processes have it."""
    if request.param == "folder":
        yield ResultFolder(tmp_path, 2**24), ResultFolder(tmp_path, 2**24)
        return
    wires = [wire_to(request.getfixturevalue("shared")) for _ in range(2)]
    yield SharedResults(wires[0]), SharedResults(wires[1])
    for wire in wires:
        wire.close()


def test_what_one_keeps_the_other_finds(
    stores: tuple[Results, Results], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = stores
    data = to_bytes("q", np.arange(5000.0))
    assert data
    one.keep("q", data)
    assert other.get("q") == data
    assert other.get("another") is None
    one.keep("q", data[:-3])
    found = other.get("q")
    assert found is not None and from_bytes("q", found) is None
    monkeypatch.setattr(stored, "_SCORES", "of other scores")
    assert other.get("q") is None


@needs_redis
def test_processes_compute_once_and_a_forged_value_is_computed_again(shared: Redis) -> None:
    import redis

    calls: list[int] = []
    counted = Question("shared", lambda: lambda model, part: calls.append(part) or len(calls))
    servers = [Server(Config(redis=shared.url)) for _ in range(3)]
    for server in servers:
        assert server.replica and server.replica.wait(30)

    def asked(server: Server) -> object:
        with server.used():
            return ask(counted, INFO, 1)

    assert [asked(servers[0]), asked(servers[1])] == [1, 1]
    question = key_text(key_of("shared", INFO, (1,)))
    assert question
    client = redis.Redis.from_url(shared.url)
    kept = client.get(PREFIX + _key(question))
    for forged in (b"x" * 100, kept[:-1], kept[:40] + b"y" + kept[41:], b"\x80\x04K\x01."):
        client.set(PREFIX + _key(question), forged)
        assert asked(servers[2]) == len(calls)
        servers[2].results._values.clear()
    assert len(calls) > 1
    for server in servers:
        assert server.replica
        server.replica.close()


@needs_redis
def test_results_in_redis_are_bounded_in_size_number_and_time(shared: Redis) -> None:
    import redis

    client = redis.Redis.from_url(shared.url)
    client.flushall()
    wire = wire_to(shared)
    few = SharedResults(wire, max_results=40, max_bytes=100_000)
    for number in range(200):
        few.keep(f"small {number}", b"data")
    assert few.get("small 199") == b"data" and few.get("small 0") is None
    assert len(client.keys(f"{PREFIX}result:*")) <= 40 + 16
    for number in range(200):
        few.keep(f"large {number}", b"x" * 10_000)
    assert len(client.keys(f"{PREFIX}result:*")) <= 10 + 16
    few.keep("too large", b"x" * (MAX_VALUE + 1))
    assert few.get("too large") is None
    client.set(PREFIX + _key("forged"), b"x" * (MAX_VALUE + 1))
    assert few.get("forged") is None
    assert 0 < client.ttl(PREFIX + _key("large 199")) <= 24 * 3600
    # An index that somebody has written deletes nothing else.
    client.set(PREFIX + "room:x", b"a room")
    client.zadd(PREFIX + "results", {f"room:x {10**9}": 0, "\x00": 1, "result:y": 2})
    for number in range(17):
        few.keep(f"last {number}", b"data")
    assert client.get(PREFIX + "room:x") == b"a room"
    wire.close()
