"""Lists of prepared views, bounded and of this app only; what a follower may ask."""

import json
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.compute.room import pointed
from app.compute.rooms import Guest, Rooms
from app.links.link import parse_link
from app.shell.prepared import MAX_LIST, MAX_VIEWS, prepared_views
from app.shell.room_routes import room_routes
from tests.hostile import HOSTILE


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
    ["javascript:alert(1)", "/etc/passwd", "file:///head", "http://[", "../../x", "[1, 2", "hello"]
    + ["<script>alert(1)</script>", "\u202e/head\u202c", "[" * 9999, "[" + "9" * 9999 + "]"]
    + ["GIF89a\x01\x00\xff", "[{}]", '["/head?answer=\\ud800"]'],
)
def test_what_is_no_page_of_this_app_is_said(line: str) -> None:
    views, notes = prepared_views(line)
    assert views == []
    assert len(notes) == 1
    assert len(notes[0]) < 80


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_value_in_a_list_is_checked_as_in_a_link(text: str) -> None:
    [(page, view)], notes = prepared_views(f"/head?{urlencode({'answer': text, 'layer': text})}")
    assert (page, notes) == ("head", [])
    values, refused = parse_link(page, {key: [value] for key, value in view.items()})
    assert "layer" not in values
    assert [note for note in refused if note.startswith("Layer of the head in focus: ")]


def test_lists_are_bounded() -> None:
    views, notes = prepared_views("/head\n" * (MAX_VIEWS + 1))
    assert len(views) == MAX_VIEWS
    assert len(notes) == 1
    assert prepared_views("x" * (MAX_LIST + 1))[0] == []
    assert len(prepared_views("nowhere\n" * 1000)[1]) == 5


def test_a_follower_is_told_the_version_and_nothing_else() -> None:
    rooms = Rooms()
    client = TestClient(Starlette(routes=room_routes(rooms)))
    code, key = rooms.open("head", {"prompt": "secret"}, Guest("host"))
    rooms.follow(code, Guest("a session"))
    asked = {"code": code, "who": "a session"}
    answer = client.get("/room-version", params=asked)
    assert (answer.status_code, answer.text) == (200, "1")
    rooms.show(key, "tokens", {})
    assert client.get("/room-version", params=asked).text == "2"
    # Who has not joined is not told that there is such a room, and takes no place in it.
    for name in ("", "b", "a" * 999):
        answer = client.get("/room-version", params={"code": code, "who": name})
        assert (answer.status_code, answer.text) == (410, "")
    assert rooms.followers(key) == 1
    rooms.close(key)
    for wrong in (code, key, "", "../../etc/passwd"):
        answer = client.get("/room-version", params={"code": wrong})
        assert (answer.status_code, answer.text) == (410, "")


def test_only_a_room_s_key_is_kept_and_no_script_reads_it() -> None:
    rooms = Rooms()
    client = TestClient(Starlette(routes=room_routes(rooms)))
    code, key = rooms.open("head", {}, Guest("host"))
    answer = client.post("/room-key", headers={"X-Room-Key": key, "Origin": "https://a.example"})
    assert answer.status_code == 204
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"headscope_room={key};")
    assert {"HttpOnly", "SameSite=strict", "Secure", "Max-Age=28800"} <= set(cookie.split("; "))
    assert (
        "Secure" not in client.post("/room-key", headers={"X-Room-Key": key}).headers["Set-Cookie"]
    )
    rooms.close(key)
    for wrong in (key, code, "", "x; Domain=example"):
        answer = client.post("/room-key", headers={"X-Room-Key": wrong})
        assert answer.status_code == 410
        assert "Set-Cookie" not in answer.headers
    # What another site could send unasked.
    assert client.get("/room-key").status_code == 405
    assert client.post("/room-key", data={"X-Room-Key": key}).status_code == 410


PLACE = {"figure": "head-grid", "part": 0, "x": 0.25, "y": 0.123456}


def test_what_a_presenter_points_at_is_told_to_followers_made_anew() -> None:
    rooms = Rooms()
    client = TestClient(Starlette(routes=room_routes(rooms)))
    code, key = rooms.open("head", {}, Guest("host"))
    rooms.follow(code, Guest("a"))
    asked = {"code": code, "who": "a"}
    assert "X-Room-Pointed" not in client.get("/room-version", params=asked).headers
    sent = json.dumps({**PLACE, "more": "<script>"})
    assert (
        client.post("/room-pointer", content=sent, headers={"X-Room-Key": key}).status_code == 204
    )
    told = json.loads(client.get("/room-version", params=asked).headers["X-Room-Pointed"])
    assert told == {**PLACE, "y": 0.1235}
    for wrong in (code, "", "x"):  # only the presenter points
        answer = client.post("/room-pointer", content=sent, headers={"X-Room-Key": wrong})
        assert answer.status_code == 410
    assert client.get("/room-pointer").status_code == 405
    answer = client.post("/room-pointer", content=b"x" * 10_000, headers={"X-Room-Key": key})
    assert answer.status_code == 413
    answer = client.post("/room-pointer", content=b"[" * 300, headers={"X-Room-Key": key})
    assert answer.status_code == 422


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_is_pointed_at(text: str) -> None:
    for name in PLACE:
        body = json.dumps({**PLACE, name: text}).encode()
        found = pointed(body)
        assert found is None or json.loads(found)["figure"] == text


@pytest.mark.parametrize(
    "change",
    [{"x": -0.1}, {"y": 1.01}, {"x": float("nan")}, {"x": True}, {"part": 1.0}, {"part": True}]
    + [{"part": -1}, {"part": 100}, {"figure": ""}, {"figure": "a" * 81}, {"figure": "a b"}]
    + [{"figure": ["a"]}, {"x": None}, {"y": "0.5"}],
)
def test_a_place_that_is_none_is_refused(change: dict[str, object]) -> None:
    assert pointed(json.dumps({**PLACE, **change}).encode()) is None


def test_nowhere_is_a_place_too() -> None:
    assert pointed(b"") == ""
    assert pointed(b"null") is pointed(b"\xff") is pointed(b"{}") is None
