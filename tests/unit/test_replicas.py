"""Several processes of one server share rooms, limits and what was used over a real Redis."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from app.compute.rate import RateLimit
from app.compute.refusals import TryAgain
from app.compute.replicas.beat import Beat
from app.compute.replicas.replica import Replica
from app.compute.replicas.results import SharedResults
from app.compute.replicas.wire import PREFIX, Wire
from app.compute.room import Here, Room
from app.compute.rooms import Guest, RoomError, Rooms
from app.compute.server import Server
from app.config import Config, ConfigError, settings
from deploy.cluster import Redis
from tests.redis import needs_redis, redis_server

redis = pytest.importorskip("redis", reason="needs the packages of requirements-cluster.txt")
pytestmark = needs_redis
ROOT = Path(__file__).parents[2]


def wait_for(holds: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until something holds; what is refused on the way does not hold yet."""
    until = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except RoomError:
            pass
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)


def copy(rooms: Rooms, code: str) -> Room:
    """A room that there is.

    Raises:
        RoomError: There is none.
    """
    room = rooms.copy(code)
    if room is None:
        raise RoomError
    return room


class Process:
    """Rooms as one process has them."""

    def __init__(self, url: str, per_address: int = 0):
        self.rooms = Rooms(per_address)
        self.limit = RateLimit(3, "each network address")
        self.wire = Wire(url)
        self.replica = Replica(self.wire, self.rooms, limits={"computations": self.limit})
        assert self.wire.wait(30)

    def kill(self) -> None:
        """It says nothing any more."""
        self.replica.close()


@contextmanager
def processes(url: str, count: int = 2) -> Iterator[list[Process]]:
    started = [Process(url) for _ in range(count)]
    wait_for(lambda: all(len(each.replica._heard) == count - 1 for each in started))
    try:
        yield started
    finally:
        for each in started:
            each.kill()


@pytest.fixture(scope="module")
def shared() -> Iterator[Redis]:
    with redis_server() as server:
        yield server


@pytest.fixture
def pair(shared: Redis) -> Iterator[list[Process]]:
    with processes(shared.url) as both:
        yield both


@pytest.fixture(params=["one process", "two processes"])
def places(request: pytest.FixtureRequest) -> Iterator[tuple[Rooms, Rooms]]:
    """Where a presenter is, and where those who follow are: the same rooms, or shared ones."""
    if request.param == "one process":
        alone = Rooms()
        yield alone, alone
        return
    shared = request.getfixturevalue("shared")
    with processes(shared.url) as (one, other):
        yield one.rooms, other.rooms


def test_a_room_is_the_same_wherever_it_is_followed(places: tuple[Rooms, Rooms]) -> None:
    """The same in one process and over Redis: found, followed, moved, pointed in, asked, closed."""
    here, there = places
    code, key = here.open("head", {"layer": "1"}, Guest("host", "192.0.2.1"))
    wait_for(lambda: there.find(here.letters(key), Guest("a")) == code)
    first = there.follow(code, Guest("a", "192.0.2.2"))
    assert (first.page, dict(first.view), first.version) == ("head", {"layer": "1"}, 1)
    assert here.show(key, "induction", {"seed": "3"})
    wait_for(lambda: there.look(code, "a").version == 2)
    assert dict(there.look(code, "a").view) == {"seed": "3"}
    place = '{"figure": "pattern", "part": 0, "x": 0.25, "y": 0.5}'
    assert here.point(key, place)
    wait_for(lambda: there.look(code, "a").pointed == place)
    wait_for(lambda: here.followers(key) == 1)
    here.ask(key, "step 1", ("yes", "no"))
    wait_for(lambda: there.vote(code, "a", "step 1", "no") is None)
    wait_for(lambda: here.ask(key, "step 1", ("yes", "no")) == {"yes": 0, "no": 1})
    with pytest.raises(RoomError, match="joined"):
        there.look(code, "made up")
    there.leave(code, "a")
    wait_for(lambda: here.followers(key) == 0)
    here.prepare(key, [("tokens", {"seed": "3"})], stage=True)
    wait_for(lambda: copy(there, code).stage)
    held = there.take_over(key, Guest("host again"))
    assert held and held.code == code and held.views == (("tokens", {"seed": "3"}),)
    wait_for(lambda: not here.show(key, "tokens", {}))
    assert there.show(held.key, "tokens", {})
    wait_for(lambda: here.follow(code, Guest("b")).page == "tokens")
    there.close(held.key)
    wait_for(lambda: code not in here.codes())
    with pytest.raises(RoomError, match="closed"):
        here.look(code, "b")


def test_a_presenter_whose_process_was_killed_goes_on_in_another_and_so_does_a_follower(
    shared: Redis,
) -> None:
    with processes(shared.url) as (first, second):
        code, key = first.rooms.open("head", {"layer": "1"}, Guest("host"))
        first.rooms.follow(code, Guest("follower"))
        wait_for(lambda: "follower" in copy(second.rooms, code).present(second.rooms.now()))
        first.kill()
        # Its page is still open there and asks here, where it has not joined yet.
        assert second.rooms.look(code, "follower").page == "head"
        began = time.monotonic()
        held = second.rooms.take_over(key, Guest("host, after a reload"), if_left=True)
        assert held and held.code == code
        assert time.monotonic() - began < 5
        assert second.rooms.follow(code, Guest("follower again")).view == {"layer": "1"}
        # Who comes new finds the room too.
        with processes(shared.url, 1) as (third,):
            wait_for(lambda: third.rooms.follow(code, Guest("late")).page == "head")


def test_a_room_is_not_taken_over_unasked_from_a_tab_of_another_process(
    pair: list[Process],
) -> None:
    code, key = pair[0].rooms.open("head", {}, Guest("host"))
    wait_for(lambda: pair[1].rooms.letters(key))
    assert pair[1].rooms.take_over(key, Guest("second tab"), if_left=True) is None
    assert pair[0].rooms.show(key, "tokens", {})


@pytest.mark.parametrize("keeps", [False, True], ids=["that is empty after", "that keeps all"])
def test_rooms_outlive_redis(tmp_path: Path, keeps: bool) -> None:
    with redis_server(tmp_path if keeps else None) as server, processes(server.url) as (one, other):
        code, key = one.rooms.open("head", {}, Guest("host"))
        gone, gone_key = one.rooms.open("head", {}, Guest("another"))
        wait_for(lambda: other.rooms.letters(key) and other.rooms.letters(gone_key))
        other.rooms.follow(code, Guest("away"))
        server.kill()
        wait_for(lambda: one.replica.is_cut_off and other.replica.is_cut_off)
        # Each goes on with what it has.
        one.rooms.follow(code, Guest("here"))
        assert one.rooms.show(key, "tokens", {"seed": "3"})
        assert one.rooms.look(code, "here").page == "tokens"
        assert other.rooms.look(code, "away").page == "head"
        one.rooms.close(gone_key)
        server.start()
        server.wait()
        wait_for(lambda: not one.replica.is_cut_off and not other.replica.is_cut_off)
        wait_for(lambda: other.rooms.look(code, "away").page == "tokens")
        wait_for(lambda: not other.rooms.letters(gone_key))
        with processes(server.url, 1) as (late,):
            wait_for(lambda: late.rooms.follow(code, Guest("late")).page == "tokens")
            assert not late.rooms.letters(gone_key)


def test_a_limit_of_an_address_is_one_for_all_processes(pair: list[Process]) -> None:
    one, other = (each.limit for each in pair)
    for _ in range(2):
        one.take("192.0.2.1")
    wait_for(lambda: other._left.get("192.0.2.1", (3, 0))[0] < 1.5)
    other.take("192.0.2.1")
    with pytest.raises(TryAgain, match="More than 3 new results"):
        other.take("192.0.2.1")
    other.take("192.0.2.2")


def test_what_an_address_has_used_counts_in_all_processes(shared: Redis) -> None:
    one, other = (Server(Config(redis=shared.url)) for _ in range(2))
    replicas = [each.replica for each in (one, other)]
    assert replicas[0] and replicas[1]
    try:
        one.admission.used.add("192.0.2.1", 30.0, time.monotonic())
        wait_for(lambda: other.admission.used.of("192.0.2.1", time.monotonic()) > 25)
        assert other.admission.used.of("192.0.2.2", time.monotonic()) == 0
        # What others say is not told on, which would add up.
        time.sleep(1.2)
        assert one.admission.used.of("192.0.2.1", time.monotonic()) < 31
    finally:
        for replica in replicas:
            replica.close()


def forged_rooms(code: str, record: dict[str, object]) -> list[object]:
    """Records that no process writes, each wrong in one place."""
    wrong: dict[str, list[object]] = {
        "code": ["../../../../etc", 3, None],
        "letters": ["AEIOU", "BCDF", 5],
        "key": ["short", "Z" * 64, None],
        "host": [["x" * 101, None], ["a"], "ab", [3, None], ["\ud800", None]],
        "view": [
            ["no page", {}],
            ["head", {"prompt": "x" * 120_001}],
            ["head", {"a": 3}],
            "head",
            [[], {}],
        ],
        "pointed": ["\r\nSet-Cookie: a", "x", 3],
        "prepared": [[["head", {}]] * 201, [["head"]], {}],
        "polls": [[["q", ["a"] * 17]], [["q", [3]]], 3],
        "version": [0, -1, 1.5, "2", True, 2**60],
        "revision": [0, float("1e999"), None],
        "opened": [float("nan"), -1, "now", 10**400],
        "at": [None, "x" * 101],
    }
    return [{**record, name: value} for name, values in wrong.items() for value in values]


def test_what_no_process_writes_is_not_taken_in(
    pair: list[Process], shared: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    client = redis.Redis.from_url(shared.url)
    code, key = pair[0].rooms.open("head", {"layer": "1"}, Guest("host"))
    wait_for(lambda: pair[1].rooms.letters(key))
    record = json.loads(client.get(f"{PREFIX}room:{code}"))
    assert key not in json.dumps(record)  # who reads Redis moves no room
    record = {**record, "revision": record["revision"] + 1, "at": "somebody"}
    forged = [json.dumps(each).encode() for each in forged_rooms(code, record)]
    forged += [b"", b"\x80\x04K\x01.", b"[" * 100_000, b"3", b'{"closed": 3}', b'{"closed": ["a"]}']
    for data in forged:
        client.publish(f"{PREFIX}rooms", data)
        client.publish(f"{PREFIX}beats", data)
    names = {f"name {i}": "192.0.2.3" for i in range(501)}
    crowd = {"there": True, "followers": names, "votes": {}}
    for beat in (
        {"process": "x", "rooms": {code: crowd}},
        {"process": "x" * 200, "rooms": {}},
        {"process": "x", "used": {"pages": {"192.0.2.1": float("inf")}}},
        {"process": "x", "used": {"pages": {"192.0.2.1": 10**400}}},
        {"process": "x", "taken": {"computations": {"192.0.2.1": 10**9}}},
    ):
        client.publish(f"{PREFIX}beats", json.dumps({"rooms": {}, "used": {}, "taken": {}} | beat))
    # What comes after them is heard, and nothing of them was.
    assert pair[0].rooms.show(key, "tokens", {})
    wait_for(lambda: copy(pair[1].rooms, code).shown.page == "tokens")
    assert pair[1].rooms.codes().count(code) == 1
    assert not copy(pair[1].rooms, code).present(pair[1].rooms.now())
    for count, data in enumerate(forged):
        client.set(f"{PREFIX}room:{count}", data)
    with processes(shared.url, 1) as (late,):
        wait_for(lambda: late.rooms.letters(key))
        assert "somebody" not in {copy(late.rooms, each).at for each in late.rooms.codes()}
    assert "could not be taken in" not in caplog.text  # each was refused for what it is
    client.delete(*(f"{PREFIX}room:{count}" for count in range(len(forged))))


def test_a_message_that_nobody_expected_ends_nothing(shared: Redis) -> None:
    """Whatever it makes its reader raise: the line stays, and the next message is heard."""
    heard: list[bytes] = []

    def take(data: bytes) -> None:
        heard.append(data)
        if data == b"odd":
            raise OverflowError

    wire, client, joined = Wire(shared.url), redis.Redis.from_url(shared.url), []
    wire.listen({"test": take}, joined.append)
    assert wire.wait(30)
    wait_for(lambda: joined)
    for data in (b"odd", b"next"):
        client.publish(f"{PREFIX}test", data)
    wait_for(lambda: heard == [b"odd", b"next"])
    assert len(joined) == 1
    wire.close()


def test_values_of_other_types_and_leases_without_an_end_stop_nothing(shared: Redis) -> None:
    """A list under one key cut the line for all others; a lease that did not end was waited for."""
    client = redis.Redis.from_url(shared.url)
    for key in ("odd", "odd:lease", "epoch"):
        client.delete(PREFIX + key)
        client.lpush(PREFIX + key, "x")
    client.set(f"{PREFIX}endless:lease", "somebody")
    client.set(f"{PREFIX}long:lease", "somebody", ex=10**6)
    client.set(f"{PREFIX}theirs:lease", "somebody", ex=5)
    wire = Wire(shared.url)
    wire.listen({"test": print}, lambda _: None)
    assert wire.wait(30)
    assert wire.get("odd") is None and wire.lease("odd:lease", 6.0) is None
    assert not wire.add("odd", "member", 60.0) and wire.members("odd", 5) == []
    assert wire.is_up and wire.put("sound", b"data", 60.0) and wire.get("sound") == b"data"
    assert wire.lease("endless:lease", 6.0) and wire.lease("long:lease", 6.0)
    assert wire.lease("theirs:lease", 6.0) is False
    assert all(0 < client.pttl(f"{PREFIX}{name}:lease") <= 6000 for name in ("endless", "long"))
    wire.close()
    client.flushall()


def test_a_beat_comes_back_as_it_was() -> None:
    here = Here(True, {"a": "192.0.2.1", "b": None}, {"step 1": {"a": "yes"}})
    beat = Beat("me", {"A" * 16: here}, {"pages": {"192.0.2.1": 2.5}}, {"guesses": {"": 3}})
    assert Beat.from_bytes(beat.to_bytes()) == beat


def test_keys_have_one_prefix_and_an_end(pair: list[Process], shared: Redis) -> None:
    client = redis.Redis.from_url(shared.url)
    code, key = pair[0].rooms.open("head", {}, Guest("host"))
    wait_for(lambda: client.exists(f"{PREFIX}room:{code}"))
    SharedResults(pair[0].wire).keep("q", b"data")
    assert client.exists(f"{PREFIX}results")
    for name in client.keys("*"):
        assert name.startswith(PREFIX.encode())
        assert client.ttl(name) > 0 or name == PREFIX.encode() + b"epoch", name
    pair[0].rooms.close(key)
    wait_for(lambda: not client.exists(f"{PREFIX}room:{code}"))


def test_a_redis_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    """It takes connections and does not answer: after one wait nobody waits again."""
    with redis_server() as server:
        process = Process(server.url)
        subprocess.run(["kill", "-STOP", str(server.process.pid)], check=True)
        try:
            wait_for(lambda: process.replica.is_cut_off)
            began = time.monotonic()
            code, key = process.rooms.open("head", {}, Guest("host"))
            for _ in range(100):
                assert process.wire.get("anything") is None
                assert process.rooms.show(key, "tokens", {})
            assert time.monotonic() - began < 1
        finally:
            subprocess.run(["kill", "-CONT", str(server.process.pid)], check=True)
        wait_for(lambda: process.wire.get(f"room:{code}"))
        process.kill()


@contextmanager
def dripping(port: int, slow: threading.Event) -> Iterator[int]:
    """What passes all on to a port, and from `slow` on a byte of each answer now and then."""

    def pass_on(source: socket.socket, to: socket.socket, drips: bool) -> None:
        with suppress(OSError):
            while data := source.recv(2**16):
                while drips and slow.is_set() and data:
                    to.sendall(data[:1])
                    data = data[1:]
                    time.sleep(0.2)
                to.sendall(data)

    def take() -> None:
        with suppress(OSError):
            while True:
                line, there = door.accept()[0], socket.create_connection(("127.0.0.1", port))
                for ends in ((line, there, False), (there, line, True)):
                    threading.Thread(target=pass_on, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=take, daemon=True).start()
        yield door.getsockname()[1]


def test_a_redis_that_answers_a_byte_at_a_time_is_waited_for_once(shared: Redis) -> None:
    """No byte of it is late: the answer to one question took minutes."""
    slow = threading.Event()
    with dripping(shared.port, slow) as port:
        wire = Wire(f"redis://127.0.0.1:{port}/0")
        wire.listen({"test": print}, lambda kept: None)
        assert wire.wait(30) and wire.put("large", bytes(10_000), 60.0)
        slow.set()
        began = time.monotonic()
        assert wire.get("large") is None and not wire.is_up
        assert time.monotonic() - began < 3
        slow.clear()
        wait_for(lambda: wire.get("large") == bytes(10_000))
        wire.close()


def test_keys_of_which_there_is_no_end_hold_nobody_up(
    shared: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = redis.Redis.from_url(shared.url)
    client.mset({f"{PREFIX}room:{number}": b"x" for number in range(5000)})
    wire = Wire(shared.url)
    wire.listen({"test": print}, lambda kept: None)
    assert wire.wait(30) and len(wire.keys("room:", 400)) == 400
    assert len(set(wire.keys("room:", 10_000))) == 5000
    monkeypatch.setattr("app.compute.replicas.wire._SCAN", 0.0)
    assert wire.keys("room:", 10_000) == [] and wire.is_up
    wire.close()
    client.flushall()


def test_without_the_setting_nothing_of_redis_is_imported() -> None:
    code = """
import sys
from app.compute.server import Server
from app.config import Config
assert Server(Config()).replica is None
ours = [name for name in sys.modules if name.startswith("app.compute.replicas")]
assert "redis" not in sys.modules and not ours, ours
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


def test_the_setting_is_read_and_what_is_wrong_with_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HEADSCOPE_CONFIG", raising=False)
    monkeypatch.setenv("HEADSCOPE_REDIS", "redis://127.0.0.1:1/0")
    assert settings.__wrapped__().redis == "redis://127.0.0.1:1/0"
    with pytest.raises(ConfigError, match="redis is no address of a Redis"):
        Server(Config(redis="127.0.0.1:6379"))
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match="requirements-cluster.txt"):
        Server(Config(redis="redis://127.0.0.1:1/0"))
