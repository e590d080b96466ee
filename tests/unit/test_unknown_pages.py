"""Addresses of pages that there are not lead to the start page, and no other answer changes."""

from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from app.shell.unknown_pages import UnknownPages
from tests.hostile import HOSTILE


def answer(request: Request) -> Response:
    """As Streamlit: its page wherever there is no file."""
    plain = request.url.path.endswith("plain")
    return PlainTextResponse("text") if plain else HTMLResponse("<html></html>")


CLIENT = TestClient(
    Starlette(routes=[Route("/{path:path}", answer)], middleware=[Middleware(UnknownPages)]),
    follow_redirects=False,
)


@pytest.mark.parametrize("path", ["/findr", "/folder/of/a/proxy/findr"])
def test_an_unknown_page_leads_to_the_start_page_beside_it(path: str) -> None:
    found = CLIENT.get(path)
    assert (found.status_code, found.headers["location"]) == (307, "./?asked=findr")
    assert found.content == b""


@pytest.mark.parametrize("path", ["/", "/finder", "/folder/finder", "/index.html", "/plain"])
def test_all_else_is_answered_as_before(path: str) -> None:
    assert CLIENT.get(path).status_code == 200


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_stays_a_value(text: str) -> None:
    found = CLIENT.get("/" + quote(text.replace("/", "").replace(".", ""), safe=""))
    where = found.headers.get("location", "./?asked=")
    assert where.startswith("./?asked=") and not set("<>&# \r\n") & set(where)
