"""Lists of prepared views, bounded and of this app only; what a follower may ask."""

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from app.present import MAX_LIST, MAX_VIEWS, prepared_views, room_version
from app.rooms import ROOMS


def test_links_of_any_server_become_views_of_this_one() -> None:
    text = (
        "# a talk\nhttps://example.org/app/head?layer=1&head=4\n\n/induction\n"
        "ablation?method=mean&room=abcdefgh-_345678\nhttp://localhost:8501/?model=gelu-4l"
    )
    assert prepared_views(text) == (
        [
            ("head", {"layer": "1", "head": "4"}),
            ("induction", {}),
            ("ablation", {"method": "mean"}),
            ("start", {"model": "gelu-4l"}),
        ],
        [],
    )
    assert prepared_views('["/head?layer=1", "/learn"]')[0][1] == ("learn", {})


@pytest.mark.parametrize(
    "line",
    ["javascript:alert(1)", "/etc/passwd", "file:///head", "http://[", "../../x", "[1, 2", "hello"],
)
def test_what_is_no_page_of_this_app_is_said(line: str) -> None:
    views, notes = prepared_views(line)
    assert views == []
    assert len(notes) == 1


def test_lists_are_bounded() -> None:
    views, notes = prepared_views("/head\n" * (MAX_VIEWS + 1))
    assert len(views) == MAX_VIEWS
    assert len(notes) == 1
    assert prepared_views("x" * (MAX_LIST + 1))[0] == []
    assert len(prepared_views("nowhere\n" * 1000)[1]) == 5


def test_a_follower_is_told_the_version_and_nothing_else() -> None:
    client = TestClient(Starlette(routes=[Route("/room-version", room_version)]))
    code, key = ROOMS.open("head", {"prompt": "secret"})
    answer = client.get("/room-version", params={"code": code, "who": "a" * 999})
    assert (answer.status_code, answer.text) == (200, "1")
    ROOMS.show(key, "tokens", {})
    assert client.get("/room-version", params={"code": code, "who": "b"}).text == "2"
    assert ROOMS.followers(key) == 2
    ROOMS.close(key)
    for wrong in (code, key, "", "../../etc/passwd"):
        answer = client.get("/room-version", params={"code": wrong})
        assert (answer.status_code, answer.text) == (410, "")
