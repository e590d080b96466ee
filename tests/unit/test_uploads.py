"""Uploads: what one session, one address and all together may leave in memory."""

import asyncio
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.web.server.starlette import starlette_routes

import server
from app.compute.address import network_address
from app.shell import uploads
from app.shell.uploads import UploadLimits, bytes_kept
from tests.loops import finish

FILE = bytes(2**20 - 1000)


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> MemoryUploadedFileManager:
    """What Streamlit keeps uploads in."""
    monkeypatch.setattr(starlette_routes, "is_xsrf_enabled", lambda: False)
    return MemoryUploadedFileManager("/_stcore/upload_file")


def put(session: str, size: int | None, folder: str = "") -> dict[str, object]:
    """What a server is told of an upload whose body has not come yet."""
    headers = [] if size is None else [(b"content-length", str(size).encode())]
    path = f"{folder}/_stcore/upload_file/{session}/1"
    return {"type": "http", "method": "PUT", "path": path, "client": None, "headers": headers}


class Network:
    """Streamlit's own upload routes behind the limits."""

    def __init__(self, manager: MemoryUploadedFileManager):
        runtime = SimpleNamespace(is_active_session=lambda session: True)
        self.app = Starlette(
            routes=starlette_routes.create_upload_routes(runtime, manager, None),
            middleware=[Middleware(UploadLimits, kept=lambda: bytes_kept(manager))],
        )

    def upload(self, session: str, number: int, address: str, data: bytes = FILE) -> object:
        """One file to a session, from an address."""
        client = TestClient(self.app, client=(address, 1234))
        path = f"/_stcore/upload_file/{session}/{number}"
        return client.put(path, files={"file": ("a.json", data, "application/json")})


def held(manager: MemoryUploadedFileManager) -> int:
    return sum(bytes_kept(manager).values())


def test_one_session_cannot_fill_the_memory(manager: MemoryUploadedFileManager) -> None:
    """400 files of 1 MB to one's own session were all kept."""
    network = Network(manager)
    answers = [network.upload("mine", number, "127.0.0.1") for number in range(40)]
    assert held(manager) <= uploads.PER_SESSION
    assert [answer.status_code for answer in answers[:3]] == [204] * 3
    assert answers[-1].status_code == 413
    assert answers[-1].text == (
        "This page may keep 4 MB of files on this server. Remove a file, or reload the page."
    )
    assert network.upload("another", 0, "127.0.0.1").status_code == 204
    manager.remove_session_files("mine")
    assert network.upload("mine", 0, "127.0.0.1").status_code == 204


def test_one_address_cannot_by_many_sessions(manager: MemoryUploadedFileManager) -> None:
    network = Network(manager)
    for number in range(40):
        network.upload(f"tab {number}", 0, f"2001:db8::{number:x}")
    assert held(manager) <= uploads.PER_ADDRESS
    refused = network.upload("tab", 0, "2001:db8::ffff")
    assert refused.text.startswith("Your network address may keep 16 MB")
    assert network.upload("somebody", 0, "192.0.2.7").status_code == 204


def test_all_together_are_bounded(manager: MemoryUploadedFileManager) -> None:
    network = Network(manager)
    for number in range(80):
        answer = network.upload(f"tab {number}", 0, f"192.0.2.{number}")
    assert held(manager) <= uploads.IN_ALL
    assert answer.text.startswith("All visitors together may keep 64 MB")


def test_a_file_counts_while_it_arrives() -> None:
    """Else many at once would all find room."""
    statuses: list[int] = []

    async def slow(scope: object, receive: object, send: object) -> None:
        await asyncio.sleep(0.05)
        statuses.append(204)

    async def send(message: dict) -> None:
        if "status" in message:
            statuses.append(message["status"])

    async def at_once() -> None:
        limits, scope = UploadLimits(slow, kept=lambda: {}), put("mine", 10**6)
        await asyncio.gather(*(limits(scope, None, send) for _ in range(40)))
        assert not limits._arriving

    finish(at_once())
    assert sorted(set(statuses)) == [204, 413]
    assert statuses.count(204) * 10**6 <= uploads.PER_SESSION


def test_a_file_that_does_not_arrive_holds_its_room_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uploads, "PATIENCE", 0.01)
    sent: list[object] = []

    async def for_ever(scope: object, receive: object, send: object) -> None:
        await asyncio.sleep(60)

    async def send(message: dict) -> None:
        sent.append(message.get("status"))

    limits = UploadLimits(for_ever, kept=lambda: {})
    finish(limits(put("mine", None, "/app"), None, send))
    assert sent[0] == 408
    assert not limits._arriving


def test_other_requests_pass_and_the_app_has_the_limits() -> None:
    passed: list[object] = []

    async def inner(scope: object, receive: object, send: object) -> None:
        passed.append(scope)

    scope = {"type": "http", "method": "GET", "path": "/_stcore/upload_file/mine/1"}
    finish(UploadLimits(inner, kept=lambda: {"mine": 2**30})(scope, None, None))
    assert passed == [scope]
    assert UploadLimits in [each.cls for each in server.app._user_middleware]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", None),
        ("127.8.8.8", None),
        ("::1", None),
        (None, None),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:127.0.0.1", None),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_a_household_has_one_address(host: str | None, address: str | None) -> None:
    """An IPv6 network has 2**64 of them."""
    assert network_address(host) == address
