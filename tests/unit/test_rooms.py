"""Rooms: who may move them, what bounds them, and when they close."""

import pytest

from app.compute import rooms
from app.compute.rooms import RoomError, Rooms
from app.links.parsers import is_code


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_a_follower_sees_what_the_presenter_shows_and_versions_count_changes_only() -> None:
    all_rooms = Rooms()
    code, key = all_rooms.open("head", {"layer": "1"})
    assert is_code(code)
    first = all_rooms.look(code, "a")
    assert (first.page, dict(first.view), first.version) == ("head", {"layer": "1"}, 1)
    assert all_rooms.show(key, "head", {"layer": "1"})
    assert all_rooms.look(code, "a").version == 1
    assert all_rooms.show(key, "induction", {})
    assert (all_rooms.look(code, "a").page, all_rooms.look(code, "a").version) == ("induction", 2)
    assert all_rooms.followers(key) == 1
    all_rooms.leave(code, "a")
    assert all_rooms.followers(key) == 0


def test_the_code_neither_moves_nor_closes_a_room() -> None:
    all_rooms = Rooms()
    code, key = all_rooms.open("head", {})
    assert not all_rooms.show(code, "ablation", {})
    all_rooms.close(code)
    assert all_rooms.look(code, "a").page == "head"
    with pytest.raises(RoomError, match="closed"):
        all_rooms.look(key, "a")
    with pytest.raises(RoomError, match="closed"):
        all_rooms.look("", "a")
    all_rooms.close(key)
    with pytest.raises(RoomError, match="closed"):
        all_rooms.look(code, "a")


def test_who_takes_a_room_over_moves_it_alone() -> None:
    all_rooms = Rooms()
    code, old = all_rooms.open("head", {})
    all_rooms.prepare(old, [("tokens", {"seed": "3"})])
    taken = all_rooms.take_over(old)
    assert taken
    assert (taken[0], taken[2]) == (code, (("tokens", {"seed": "3"}),))
    assert not all_rooms.show(old, "tokens", {})
    assert all_rooms.take_over(old) is all_rooms.take_over(code) is None
    all_rooms.close(old)
    assert all_rooms.show(taken[1], "tokens", {})
    assert all_rooms.look(code, "a").version == 2
    all_rooms.close(taken[1])
    with pytest.raises(RoomError, match="closed"):
        all_rooms.look(code, "a")


def test_rooms_and_followers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "MAX_ROOMS", 2)
    monkeypatch.setattr(rooms, "MAX_FOLLOWERS", 2)
    clock = Clock()
    all_rooms = Rooms(clock)
    code, key = all_rooms.open("head", {})
    all_rooms.open("head", {})
    with pytest.raises(RoomError, match="2 rooms"):
        all_rooms.open("head", {})
    all_rooms.look(code, "a")
    all_rooms.look(code, "b")
    with pytest.raises(RoomError, match="full"):
        all_rooms.look(code, "c")
    all_rooms.look(code, "a")
    clock.now += rooms.GONE + 1  # both have closed their tabs
    all_rooms.look(code, "c")
    assert all_rooms.followers(key) == 1
    with pytest.raises(RoomError, match="too long"):
        all_rooms.show(key, "head", {"prompt": "x" * (rooms.MAX_VIEW + 1)})


def test_a_room_closes_when_nobody_uses_it_and_in_the_end() -> None:
    clock = Clock()
    all_rooms = Rooms(clock)
    code, key = all_rooms.open("head", {})
    clock.now = rooms.IDLE
    all_rooms.look(code, "a")
    clock.now = 1.5 * rooms.IDLE
    assert all_rooms.show(key, "head", {})
    clock.now += rooms.IDLE + 1
    assert not all_rooms.show(key, "head", {})
    code, key = all_rooms.open("head", {})
    end = clock.now + rooms.LONGEST
    while clock.now <= end:
        assert all_rooms.show(key, "head", {})
        clock.now += rooms.IDLE
    assert all_rooms.followers(key) is None
    with pytest.raises(RoomError, match="closed"):
        all_rooms.look(code, "a")


def test_codes_are_long_and_differ() -> None:
    all_rooms = Rooms()
    opened = [all_rooms.open("head", {}) for _ in range(20)]
    assert len({text for pair in opened for text in pair}) == 40
    assert all(len(key) >= 40 for _, key in opened)
    assert not is_code("../../etc/passwd")
