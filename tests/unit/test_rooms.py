"""Rooms: who may move them, what bounds them, and when they close."""

from dataclasses import replace

import pytest

from app.compute import room, rooms
from app.compute.room import digest
from app.compute.rooms import Guest, RoomError, Rooms
from app.links.parsers import is_code
from tests.hostile import HOSTILE


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_a_follower_sees_what_the_presenter_shows_and_versions_count_changes_only() -> None:
    all_rooms = Rooms()
    code, key = all_rooms.open("head", {"layer": "1"}, Guest("host"))
    assert is_code(code)
    first = all_rooms.follow(code, Guest("a"))
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
    code, key = all_rooms.open("head", {}, Guest("host"))
    assert not all_rooms.show(code, "ablation", {})
    all_rooms.close(code)
    assert all_rooms.follow(code, Guest("a")).page == "head"
    with pytest.raises(RoomError, match="closed"):
        all_rooms.follow(key, Guest("a"))
    with pytest.raises(RoomError, match="closed"):
        all_rooms.look("", "a")
    all_rooms.close(key)
    with pytest.raises(RoomError, match="closed"):
        all_rooms.look(code, "a")


def test_who_takes_a_room_over_moves_it_alone() -> None:
    all_rooms = Rooms()
    code, old = all_rooms.open("head", {}, Guest("host"))
    all_rooms.prepare(old, [("tokens", {"seed": "3"})], stage=True)
    taken = all_rooms.take_over(old, Guest("host"))
    assert taken
    assert taken.code == code and taken.stage
    assert taken.views == (("tokens", {"seed": "3"}),)
    assert not all_rooms.show(old, "tokens", {})
    assert (
        all_rooms.take_over(old, Guest("host")) is all_rooms.take_over(code, Guest("host")) is None
    )
    all_rooms.close(old)
    assert all_rooms.show(taken.key, "tokens", {})
    assert all_rooms.follow(code, Guest("a")).version == 2
    all_rooms.close(taken.key)
    with pytest.raises(RoomError, match="closed"):
        all_rooms.follow(code, Guest("a"))


def test_rooms_and_followers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "MAX_ROOMS", 2)
    monkeypatch.setattr(rooms, "MAX_FOLLOWERS", 2)
    clock = Clock()
    all_rooms = Rooms(clock=clock)
    code, key = all_rooms.open("head", {}, Guest("one", "192.0.2.1"))
    all_rooms.open("head", {}, Guest("two", "192.0.2.2"))
    with pytest.raises(RoomError, match="2 rooms"):
        all_rooms.open("head", {}, Guest("three", "192.0.2.3"))
    all_rooms.follow(code, Guest("a"))
    all_rooms.follow(code, Guest("b"))
    with pytest.raises(RoomError, match="full"):
        all_rooms.follow(code, Guest("c"))
    all_rooms.look(code, "a")
    clock.now += rooms.GONE + 1  # both have closed their tabs
    all_rooms.follow(code, Guest("c"))
    assert all_rooms.followers(key) == 1
    all_rooms.look(code, "a")  # or one had not: its browser slept
    with pytest.raises(RoomError, match="full"):
        all_rooms.look(code, "b")
    with pytest.raises(RoomError, match="too long"):
        all_rooms.show(key, "head", {"prompt": "x" * (room.MAX_VIEW + 1)})


def test_made_up_names_take_no_place_and_are_told_nothing() -> None:
    """200 names that a browser had made up filled a room."""
    all_rooms = Rooms()
    code, key = all_rooms.open("head", {}, Guest("host"))
    for number in range(300):
        with pytest.raises(RoomError, match="joined"):
            all_rooms.look(code, f"made up {number}")
    assert all_rooms.followers(key) == 0
    all_rooms.follow(code, Guest("a session"))
    assert all_rooms.look(code, "a session").version == 1


def test_one_address_cannot_fill_a_room() -> None:
    all_rooms = Rooms()
    code, key = all_rooms.open("head", {}, Guest("host"))
    for number in range(rooms.MAX_OF_ADDRESS):
        all_rooms.follow(code, Guest(f"tab {number}", "192.0.2.1"))
    with pytest.raises(RoomError, match="full for your network address: 200 follow"):
        all_rooms.follow(code, Guest("one more", "192.0.2.1"))
    for number in range(rooms.MAX_FOLLOWERS - rooms.MAX_OF_ADDRESS):
        all_rooms.follow(code, Guest(f"honest {number}", f"198.51.100.{number}"))
    assert all_rooms.followers(key) == rooms.MAX_FOLLOWERS


def test_who_joins_and_goes_is_forgotten() -> None:
    clock = Clock()
    all_rooms = Rooms(clock=clock)
    code, key = all_rooms.open("head", {}, Guest("host"))
    for number in range(3000):
        clock.now += 1
        all_rooms.follow(code, Guest(f"tab {number}"))
    assert len(all_rooms._by_key[digest(key)].followers) <= 2 * rooms.MAX_FOLLOWERS


def test_fifty_hosts_open_rooms_beside_somebody_who_takes_all_there_are() -> None:
    """53 tabs of one address took all rooms for hours."""
    all_rooms, refused = Rooms(per_address=8), 0
    for number in range(400):
        try:
            all_rooms.open("head", {}, Guest(f"tab {number}", "192.0.2.1"))
        except RoomError as refusal:
            assert "8 rooms are open from your network address" in str(refusal)
            refused += 1
    assert refused == 392
    opened = [
        all_rooms.open("head", {}, Guest(f"host {number}", f"198.51.100.{number}"))
        for number in range(50)
    ]
    assert all(all_rooms.show(key, "tokens", {}) for _, key in opened)


def test_with_all_rooms_taken_the_address_with_most_gives_one_up() -> None:
    """Where addresses are not limited, or one visitor has many."""
    clock = Clock()
    all_rooms = Rooms(clock=clock)
    taken = [
        all_rooms.open("head", {}, Guest(f"tab {number}", "192.0.2.1"))
        for number in range(rooms.MAX_ROOMS)
    ]
    all_rooms.follow(taken[0][0], Guest("a follower"))
    clock.now = 1
    assert all_rooms.show(taken[1][1], "tokens", {})
    with pytest.raises(RoomError, match="200 rooms are open"):
        all_rooms.open("head", {}, Guest("one more", "192.0.2.1"))
    honest = [
        all_rooms.open("head", {}, Guest(f"host {number}", f"198.51.100.{number}"))
        for number in range(50)
    ]
    assert all(all_rooms.show(key, "tokens", {}) for _, key in honest)
    # The rooms that somebody follows or moves go last.
    assert all_rooms.follow(taken[0][0], Guest("a follower"))
    assert all_rooms.show(taken[1][1], "tokens", {})


def test_a_session_has_one_room() -> None:
    all_rooms = Rooms()
    _, first = all_rooms.open("head", {}, Guest("host"))
    _, second = all_rooms.open("head", {}, Guest("host"))
    assert not all_rooms.show(first, "head", {})
    assert all_rooms.show(second, "head", {})


def test_a_session_that_takes_a_room_over_keeps_no_other() -> None:
    rooms = Rooms()
    one, key = rooms.open("head", {}, Guest("a"))
    two, _ = rooms.open("head", {}, Guest("b"))
    held = rooms.take_over(key, Guest("b"))
    assert held and rooms.codes() == [one] and two != one
    again = rooms.take_over(held.key, Guest("b"))
    assert again and rooms.codes() == [one]


def test_a_room_whose_presenter_has_gone_closes_after_a_while() -> None:
    clock, here = Clock(), [True]
    all_rooms = Rooms(per_address=1, clock=clock)
    host = Guest("host", "192.0.2.1", lambda: here[0])
    code, key = all_rooms.open("head", {}, host)
    follower = Guest("follower")
    clock.now = rooms.IDLE - 1  # explained for long, without a click
    all_rooms.follow(code, follower)
    here[0] = False
    clock.now += rooms.AWAY - 1
    all_rooms.follow(code, follower)  # nobody who follows keeps it open
    here[0] = True
    assert all_rooms.take_over(key, host)  # a reload
    clock.now += rooms.AWAY - 1
    all_rooms.follow(code, follower)
    here[0] = False
    clock.now += rooms.AWAY + 1
    with pytest.raises(RoomError, match="closed"):
        all_rooms.follow(code, follower)


def test_who_has_left_a_room_makes_way_for_who_is_there() -> None:
    clock, here = Clock(), [True]
    all_rooms = Rooms(per_address=1, clock=clock)
    all_rooms.open("head", {}, Guest("gone", "192.0.2.1", lambda: here[0]))
    with pytest.raises(RoomError, match="1 rooms are open from your network address"):
        all_rooms.open("head", {}, Guest("here", "192.0.2.1"))
    here[0] = False
    clock.now = rooms.GONE + 1
    assert all_rooms.open("head", {}, Guest("here", "192.0.2.1"))


def test_a_room_closes_when_nobody_uses_it_and_in_the_end() -> None:
    clock = Clock()
    all_rooms = Rooms(clock=clock)
    code, key = all_rooms.open("head", {}, Guest("host"))
    clock.now = rooms.IDLE
    all_rooms.follow(code, Guest("a"))
    clock.now = 1.5 * rooms.IDLE
    assert all_rooms.show(key, "head", {})
    clock.now += rooms.IDLE + 1
    assert not all_rooms.show(key, "head", {})
    code, key = all_rooms.open("head", {}, Guest("host"))
    end = clock.now + rooms.LONGEST
    while clock.now <= end:
        assert all_rooms.show(key, "head", {})
        clock.now += rooms.IDLE
    assert all_rooms.followers(key) is None
    with pytest.raises(RoomError, match="closed"):
        all_rooms.follow(code, Guest("a"))


def test_codes_are_long_and_differ() -> None:
    all_rooms = Rooms()
    opened = [all_rooms.open("head", {}, Guest(f"host {i}")) for i in range(20)]
    assert len({text for pair in opened for text in pair}) == 40
    assert all(len(key) >= 40 for _, key in opened)
    assert not is_code("../../etc/passwd")


def test_a_room_is_found_by_letters_that_cannot_be_mistaken() -> None:
    all_rooms = Rooms()
    code, key = all_rooms.open("head", {}, Guest("host"))
    letters = all_rooms.letters(key)
    assert len(letters) == 5
    assert not set(letters) - set("BCDFGHJKMNPQRSTVWXZ")
    for typed in (letters, letters.lower(), f" {letters[:2]}-{letters[2:]} "):
        assert all_rooms.find(typed, Guest("a")) == code
    all_rooms.close(key)
    with pytest.raises(RoomError, match="No room has that code"):
        all_rooms.find(letters, Guest("a"))
    assert all_rooms.letters(key) == ""


def test_codes_are_guessed_at_slowly_from_one_address_and_a_class_gets_in() -> None:
    clock = Clock()
    all_rooms = Rooms(clock=clock)
    code, key = all_rooms.open("head", {}, Guest("host"))
    letters = all_rooms.letters(key)
    for number in range(40):  # a right one costs nothing
        assert all_rooms.find(letters, Guest(f"pupil {number}", "192.0.2.1")) == code
    for wrong in [*HOSTILE, *("bcdfg" for _ in range(rooms.WRONG))][: rooms.WRONG]:
        with pytest.raises(RoomError, match="No room has that code"):
            all_rooms.find(wrong, Guest("a", "192.0.2.1"))
    # Not even the right one: whether it is right is what a guess is to find out.
    with pytest.raises(RoomError, match="Too many codes"):
        all_rooms.find(letters, Guest("b", "192.0.2.1"))
    assert all_rooms.find(letters, Guest("c", "192.0.2.2")) == code
    clock.now = 60 / rooms.WRONG + 1
    assert all_rooms.find(letters, Guest("b", "192.0.2.1")) == code


def test_who_follows_has_one_vote_on_what_is_asked_now() -> None:
    all_rooms = Rooms()
    code, key = all_rooms.open("learn", {}, Guest("host"))
    for name in ("a", "b", "c"):
        all_rooms.follow(code, Guest(name))
    assert all_rooms.ask(key, "step 1", ("yes", "no")) == {"yes": 0, "no": 0}
    for name, option in (("a", "no"), ("a", "yes"), ("b", "yes"), ("c", "no")):
        all_rooms.vote(code, name, "step 1", option)
    assert all_rooms.ask(key, "step 1", ("yes", "no")) == {"yes": 2, "no": 1}
    for name, question, option in (
        ("stranger", "step 1", "yes"),
        ("a", "step 2", "yes"),
        ("a", "step 1", "maybe"),
    ):
        with pytest.raises(RoomError):
            all_rooms.vote(code, name, question, option)
    all_rooms.leave(code, "c")
    assert all_rooms.ask(key, "step 1", ("yes", "no")) == {"yes": 2, "no": 0}
    # Back from the next question the votes are still there; on other options they are none.
    all_rooms.ask(key, "step 2", ("yes", "no"))
    with pytest.raises(RoomError, match="does not ask"):
        all_rooms.vote(code, "a", "step 1", "no")
    assert all_rooms.ask(key, "step 1", ("yes", "no"))["yes"] == 2
    assert all_rooms.ask(key, "step 1", ("yes", "never")) == {"yes": 0, "never": 0}
    all_rooms.close(key)
    assert all_rooms.ask(key, "step 1", ("yes",)) == {"yes": 0}


def test_questions_and_votes_are_bounded() -> None:
    all_rooms = Rooms()
    code, key = all_rooms.open("learn", {}, Guest("host"))
    with pytest.raises(RoomError, match="at most 16 options"):
        all_rooms.ask(key, "step 1", [str(i) for i in range(17)])
    for number in range(100):
        all_rooms.ask(key, f"step {number}", ("yes",))
    assert len(all_rooms._by_key[digest(key)].polls) == rooms.MAX_POLLS
    for number in range(3 * rooms.MAX_FOLLOWERS):
        all_rooms.follow(code, Guest(f"tab {number}"))
        all_rooms.vote(code, f"tab {number}", "step 99", "yes")
        all_rooms.leave(code, f"tab {number}")
    assert len(all_rooms._by_key[digest(key)].polls["step 99"].votes) <= 2 * rooms.MAX_FOLLOWERS
    assert all_rooms.ask(key, "step 99", ("yes",)) == {"yes": 0}


def test_what_is_pointed_at_is_shown_at_a_bounded_rate_until_the_view_changes() -> None:
    clock = Clock()
    all_rooms = Rooms(clock=clock)
    code, key = all_rooms.open("head", {}, Guest("host"))
    all_rooms.follow(code, Guest("a"))
    assert all_rooms.point(key, "here")
    assert all_rooms.point(key, "too soon")
    assert all_rooms.look(code, "a").pointed == "here"
    clock.now = 1
    assert all_rooms.point(key, "x" * (rooms.MAX_POINTED + 1))
    assert all_rooms.look(code, "a").pointed == "here"
    assert all_rooms.look(code, "a").version == 1
    assert not all_rooms.point(code, "there")
    all_rooms.show(key, "tokens", {})
    assert all_rooms.look(code, "a").pointed == ""


def test_a_room_is_taken_over_unasked_only_where_its_tab_is_gone() -> None:
    here = [True]
    all_rooms = Rooms()
    code, key = all_rooms.open("head", {}, Guest("host", None, lambda: here[0]))
    assert all_rooms.take_over(key, Guest("second tab"), if_left=True) is None
    assert all_rooms.show(key, "tokens", {})
    here[0] = False
    held = all_rooms.take_over(key, Guest("after a reload"), if_left=True)
    assert held and held.code == code and held.key != key
    # A second reload, before the browser has kept the new key.
    assert not all_rooms.show(key, "head", {})
    assert all_rooms.take_over(key, Guest("again")) is None
    assert all_rooms.take_over(key, Guest("again"), if_left=True) is None  # that tab is there
    code, first = all_rooms.open("head", {}, Guest("host 2", None, lambda: False))
    second = all_rooms.take_over(first, Guest("again", None, lambda: False), if_left=True)
    third = all_rooms.take_over(first, Guest("once more"), if_left=True)
    assert second and third and third.code == code
    assert all_rooms.take_over(first, Guest("and again"), if_left=True) is None


@pytest.mark.parametrize("same", ["letters", "key"])
def test_a_room_from_elsewhere_takes_nothing_of_another(same: str) -> None:
    """Of two with the same letters or key one closed, and no room could be looked at any more."""
    now = [0.0]
    known = Rooms(clock=lambda: now[0])
    (one, key), (two, _) = (known.open("head", {}, Guest(name)) for name in ("a", "b"))
    own = {code: known.copy(code) for code in (one, two)}
    taken = getattr(own[one], same)
    newer = replace(own[two], revision=9, at="elsewhere", **{same: taken})
    other = replace(newer, code="C" * 16, **{"key" if same == "letters" else "letters": "BCDFG"})
    assert not known.take_in(newer) and not known.take_in(other)
    assert sorted(known.codes()) == sorted((one, two))
    now[0] = room.LONGEST + 1
    assert known.letters(key) == "" and known.codes() == []
    code, _ = known.open("head", {}, Guest("c"))
    assert known.codes() == [code]
