"""Names that the server answers to, over HTTP and websockets."""

import re
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from streamlit import config

import server
from app.shell.headers import SecurityHeaders
from app.shell.hosts import LOOPBACK, HostCheck, answered_names
from tests.loops import finish

ROOT = Path(__file__).parents[2]


def client(*names: str) -> TestClient:
    """What answers under these names alone."""
    return TestClient(
        Starlette(
            routes=[Route("/", lambda request: PlainTextResponse("here"))],
            middleware=[Middleware(HostCheck, names=names)],
        )
    )


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8501", "localhost.", "127.0.0.1:1", "[::1]:8501", "a.example:443"],
)
def test_its_own_names_are_answered_with_any_port(host: str) -> None:
    answer = client(*LOOPBACK, "a.example").get("/", headers={"Host": host})
    assert (answer.status_code, answer.text) == (200, "here")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8501", "localhost.evil.example", "", "[::2]", "b.a.example"],
)
def test_a_name_that_was_rebound_to_this_address_is_not(host: str) -> None:
    """Any site can give one of its names the address 127.0.0.1, and a browser then believes it."""
    answer = client(*LOOPBACK, "a.example").get("/", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.text.startswith("This server does not answer to that name.")


def test_websockets_are_closed_too() -> None:
    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {"type": "websocket", "headers": [(b"host", b"evil.example")]}
    finish(HostCheck(None, LOOPBACK)(scope, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    ("address", "named", "answered"),
    [
        ("127.0.0.1", (), LOOPBACK),
        ("localhost", (), LOOPBACK),
        ("::1", (), LOOPBACK),
        ("127.0.0.1", ("a.example",), (*LOOPBACK, "a.example")),
        ("0.0.0.0", ("a.example",), (*LOOPBACK, "a.example")),
        ("0.0.0.0", (), ()),
        (None, (), ()),
        ("somewhere", (), ()),
    ],
)
def test_who_listens_here_alone_is_called_by_no_other_name(
    address: str | None, named: tuple[str, ...], answered: tuple[str, ...], monkeypatch
) -> None:
    monkeypatch.setattr(config, "get_option", lambda name: address)
    assert answered_names(named) == answered


def test_with_no_names_all_are_answered_and_the_app_asks() -> None:
    assert client().get("/", headers={"Host": "any.example"}).status_code == 200
    # Only what adds headers, which a refusal has too, is around it.
    assert [each.cls for each in server.app._user_middleware[:2]] == [SecurityHeaders, HostCheck]


def test_make_run_listens_on_this_machine_alone_unless_told_otherwise() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^ADDRESS \?= 127\.0\.0\.1$", makefile, re.MULTILINE)
    assert re.search(r"^\t\S+ run server\.py .*--server\.address \$\(ADDRESS\)", makefile, re.M)
