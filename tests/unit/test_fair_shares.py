"""Fair turns: one visitor, or all of one address, cannot keep the server from another."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from analysis.errors import AnalysisError
from app.compute import admission
from app.compute.admission import HALF_LIFE, Admission
from app.compute.refusals import TryAgain
from app.compute.visitor import Nobody
from tests.unit.test_admission import until


class Tab(Nobody):
    """A tab of a browser at an address."""

    def __init__(self, name: str, address: str | None = None):
        self.name, self.address = name, address
        self.waited = threading.Event()

    def waits(self, place: int, seconds: float) -> None:
        """Note that it stands in line."""
        self.waited.set()


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "LOOK", 0.01)


class Line:
    """Tabs that ask one after the other and hold their place until they are let go."""

    def __init__(self, queue: Admission):
        self.queue, self.entered, self.failed = queue, [], []
        self._go_on: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def ask(self, tab: Tab, need: int = 1, key: str | None = None) -> None:
        """Stand in line, in a thread of its own; returns once it stands or has entered."""
        go_on = self._go_on[tab.name] = threading.Event()

        def hold() -> None:
            try:
                with self.queue.admitted(need, tab, key=key):
                    self.entered.append(tab.name)
                    tab.waited.set()
                    go_on.wait(20)
            except AnalysisError:
                self.failed.append(tab.name)
                tab.waited.set()

        self._threads.append(threading.Thread(target=hold, daemon=True))
        self._threads[-1].start()
        assert tab.waited.wait(10)

    def end(self, *names: str) -> None:
        """Let some go, or all, whenever they enter."""
        for name in names or self._go_on:
            self._go_on[name].set()
        if not names:
            for thread in self._threads:
                thread.join(10)


@contextmanager
def line(queue: Admission) -> Iterator[Line]:
    made = Line(queue)
    try:
        yield made
    finally:
        made.end()


def used(queue: Admission, tab: Tab, seconds: float, now: list[float]) -> None:
    """One piece of work, by the clock of a test."""
    with queue.admitted(1, tab):
        now[0] += seconds


def test_twenty_tabs_of_one_address_do_not_stand_before_another_visitor() -> None:
    """A second visitor's page took 60 s and not .24."""
    with line(Admission(100, 1, 100)) as asked:
        for number in range(20):
            asked.ask(Tab(f"tab {number}", "192.0.2.1"))
        asked.ask(Tab("other", "192.0.2.2"))
        asked.end("tab 0")
        until(lambda: len(asked.entered) == 2)
        assert asked.entered == ["tab 0", "other"]


def test_of_one_address_the_visitor_who_has_used_least_is_next() -> None:
    now = [0.0]
    queue = Admission(100, 1, 100, clock=lambda: now[0])
    busy, idle = Tab("busy", "192.0.2.1"), Tab("idle", "192.0.2.1")
    for _ in range(3):
        used(queue, busy, 5, now)
    with line(queue) as asked:
        asked.ask(Tab("first", "192.0.2.1"))
        asked.ask(busy)
        asked.ask(idle)
        asked.end("first")
        until(lambda: len(asked.entered) == 2)
        assert asked.entered == ["first", "idle"]


def test_work_is_counted_in_seconds_and_not_in_requests() -> None:
    now = [0.0]
    queue = Admission(100, 1, 100, clock=lambda: now[0])
    many, long = Tab("many", "192.0.2.1"), Tab("long", "192.0.2.2")
    used(queue, long, 60, now)
    for _ in range(30):
        used(queue, many, 0.1, now)
    with line(queue) as asked:
        asked.ask(Tab("first", "192.0.2.3"))
        asked.ask(long)
        asked.ask(many)
        asked.end("first")
        until(lambda: len(asked.entered) == 2)
        assert asked.entered == ["first", "many"]


def test_what_was_used_long_ago_counts_for_nothing() -> None:
    now = [0.0]
    queue = Admission(100, 1, 100, clock=lambda: now[0])
    before, lately = Tab("before", "192.0.2.1"), Tab("lately", "192.0.2.2")
    used(queue, before, 60, now)
    now[0] += 10 * HALF_LIFE
    used(queue, lately, 1, now)
    with line(queue) as asked:
        asked.ask(Tab("first", "192.0.2.3"))
        asked.ask(lately)
        asked.ask(before)
        asked.end("first")
        until(lambda: len(asked.entered) == 2)
        assert asked.entered == ["first", "before"]


def test_one_address_leaves_the_last_place_to_others() -> None:
    """Two long pieces of work of one address held both places."""
    with line(Admission(100, 2, 100)) as asked:
        for number in range(5):
            asked.ask(Tab(f"tab {number}", "192.0.2.1"))
        assert asked.entered == ["tab 0"]
        asked.ask(Tab("other", "192.0.2.2"))
        assert asked.entered == ["tab 0", "other"]
        # Who sits at this machine has no address to share.
        asked.end("other", "tab 0")
        until(lambda: len(asked.entered) == 3)
        asked.ask(Tab("here"))
        assert asked.entered[3:] == ["here"]


def test_visitors_without_an_address_use_all_places_and_are_one_each() -> None:
    with line(Admission(100, 2, 100)) as asked:
        for number in range(3):
            asked.ask(Tab(f"tab {number}"))
        assert asked.entered == ["tab 0", "tab 1"]


def test_a_full_line_loses_the_last_of_the_address_that_has_most() -> None:
    """One address filled the line, and everybody else was refused."""
    with line(Admission(100, 1, 10)) as asked:
        for number in range(11):
            asked.ask(Tab(f"tab {number}", "192.0.2.1"))
        asked.ask(Tab("one more", "192.0.2.1"))
        assert asked.failed == ["one more"]
        asked.ask(Tab("other", "192.0.2.2"))
        until(lambda: len(asked.failed) == 2)
        assert asked.failed == ["one more", "tab 10"]
        asked.end("tab 0")
        until(lambda: len(asked.entered) == 2)
        assert asked.entered == ["tab 0", "other"]


def test_long_work_gives_way_between_its_pieces() -> None:
    now, order = [0.0], []
    queue = Admission(100, 1, 100, clock=lambda: now[0])
    long, other = Tab("long", "192.0.2.1"), Tab("other", "192.0.2.2")
    with line(queue) as asked, queue.admitted(50, long) as turn:
        order.append("first piece")
        now[0] += 5
        turn.give_way()  # nobody waits: it goes on
        asked.ask(other, need=10)
        assert asked.entered == []
        asked.end("other")
        turn.give_way()
        order.append("second piece")
        assert asked.entered == ["other"]
        # Its bytes stayed its own meanwhile.
        assert queue._bytes == 50
    assert order == ["first piece", "second piece"]


def test_work_does_not_give_way_to_who_has_used_as_much_or_does_not_fit() -> None:
    now = [0.0]
    queue = Admission(100, 1, 100, clock=lambda: now[0])
    long, heavy, large = (Tab(name, f"192.0.2.{i}") for i, name in enumerate("abc"))
    used(queue, heavy, 30, now)
    with line(queue) as asked, queue.admitted(50, long) as turn:
        now[0] += 5
        asked.ask(heavy)
        turn.give_way()
        assert asked.entered == []
        asked.ask(large, need=80)
        turn.give_way()
        assert asked.entered == []


def test_who_waits_for_anothers_answer_brings_it_forward() -> None:
    """Else a visitor who asks for what an attacker has asked for waits behind all of his."""
    now = [0.0]
    queue = Admission(100, 1, 100, clock=lambda: now[0])
    greedy, victim = Tab("greedy", "192.0.2.1"), Tab("victim", "192.0.2.9")
    used(queue, greedy, 100, now)
    used(queue, Tab("other", "192.0.2.2"), 10, now)
    with line(queue) as asked:
        asked.ask(Tab("first", "192.0.2.3"))
        asked.ask(greedy, key="the answer")
        asked.ask(Tab("other", "192.0.2.2"))
        queue.awaits("the answer", victim)
        queue.awaits("no such", victim)
        asked.end("first")
        until(lambda: len(asked.entered) == 2)
        assert asked.entered == ["first", "greedy"]


def test_who_runs_for_too_long_no_longer_takes_a_place() -> None:
    now = [0.0]
    queue = Admission(0, 1, 100, clock=lambda: now[0], longest=1.0)
    with line(queue) as asked:
        asked.ask(Tab("stuck"), need=0)
        asked.ask(Tab("next"), need=0)
        assert asked.entered == ["stuck"]
        now[0] += 1.5
        until(lambda: asked.entered == ["stuck", "next"])


def test_who_steps_aside_takes_no_place_until_it_comes_back() -> None:
    queue = Admission(0, 1, 100)
    with line(queue) as asked, queue.admitted(0, Tab("page")) as turn:
        turn.pause()
        turn.pause()
        asked.ask(Tab("other"), need=0)
        assert asked.entered == ["other"]
        asked.end("other")
        turn.resume()
        turn.resume()
        asked.ask(Tab("third"), need=0)
        assert asked.entered == ["other"]


class _Left(BaseException):
    """As Streamlit ends the script of a visitor who has gone."""


class Fickle(Tab):
    """A visitor who may leave wherever it is told anything."""

    def __init__(self, name: str, address: str | None, draw: random.Random):
        super().__init__(name, address)
        self._draw = draw

    def _may_leave(self) -> None:
        if self._draw.random() < 0.15:
            raise _Left

    def waits(self, place: int, seconds: float) -> None:
        """Leave, perhaps."""
        self._may_leave()

    def enters(self) -> None:
        """Leave in the instant the turn comes, perhaps."""
        self._may_leave()


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_lost_whoever_leaves_fails_or_is_cancelled_at_whatever_instant(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four who left in the wrong instant stopped all computing until a restart."""
    monkeypatch.setattr(admission, "LOOK", 0.0005)
    queue, ended = Admission(100, 3, 12), []

    def visit(number: int) -> None:
        draw = random.Random(f"{seed} {number}")
        for _ in range(25):
            address = draw.choice([None, "192.0.2.1", "192.0.2.1", "192.0.2.2"])
            # Some is work that nobody waits for.
            name = None if draw.random() < 0.1 else f"tab {number}"
            tab = Fickle(name, address if name else None, draw)  # type: ignore[arg-type]
            try:
                with queue.admitted(draw.randint(1, 60), tab, draw.choice("abc"), number) as turn:
                    queue.awaits(draw.randrange(16), tab)
                    for _ in range(draw.randint(0, 3)):
                        time.sleep(draw.random() / 2000)
                        if name:
                            draw.choice([turn.give_way, turn.pause, turn.resume])()
                    draw.choice([lambda: None, lambda: 1 // 0, tab._may_leave, _cancel])()
                ended.append("done")
            except (AnalysisError, ZeroDivisionError, InterruptedError, _Left) as error:
                ended.append(type(error).__name__)

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ended) == 16 * 25
    # Each way to end was taken.
    assert {"done", "ZeroDivisionError", "InterruptedError", "_Left", "TryAgain"} <= set(ended)
    assert (queue._bytes, queue._running, queue._line, queue._background) == (0, set(), [], [])
    assert queue._by_key == {}
    with line(queue) as asked:
        for number in range(3):
            asked.ask(Tab(f"tab {number}"), need=33)
        assert asked.entered == ["tab 0", "tab 1", "tab 2"]


def _cancel() -> None:
    raise InterruptedError


def test_a_refusal_says_why() -> None:
    with line(Admission(100, 1, 1)) as asked:
        asked.ask(Tab("first"))
        asked.ask(Tab("second"))
        with (
            pytest.raises(TryAgain, match="1 requests are waiting already"),
            asked.queue.admitted(1, Tab("third")),
        ):
            pass
