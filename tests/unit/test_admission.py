"""The queue before work and the budget of a visitor, with a clock of their own."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.models.catalog import list_models
from analysis.models.info import ModelInfo
from analysis.tokens import Tokens
from app.compute import admission, rate
from app.compute.admission import Admission
from app.compute.ask import ask
from app.compute.question import Question
from app.compute.rate import RateLimit
from app.compute.refusals import TryAgain
from app.compute.server import Server
from app.compute.visitor import Nobody
from app.config import Config


class Somebody(Nobody):
    """A visitor: only work that nobody waits for has no name."""

    name = "somebody"


class Watcher(Somebody):
    """A visitor who notes what it is told."""

    def __init__(self, leaves: bool = False):
        self.told: list[tuple[int, float]] = []
        self.leaves = leaves

    def waits(self, place: int, seconds: float) -> None:
        """Note it, and leave or stay."""
        self.told.append((place, seconds))
        if self.leaves:
            raise InterruptedError


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Work:
    """Threads that hold a place until they are let go."""

    def __init__(self, queue: Admission):
        self.queue, self.entered, self.failed = queue, [], {}
        self.release: dict[str, threading.Event] = {}
        self.threads: list[threading.Thread] = []

    def start(self, name: str, need: int, visitor: Nobody) -> None:
        """Ask for a place in a thread of its own."""
        self.release[name] = threading.Event()

        def hold() -> None:
            try:
                with self.queue.admitted(need, visitor):
                    self.entered.append(name)
                    self.release[name].wait(10)
            except (AnalysisError, InterruptedError) as error:
                self.failed[name] = error

        self.threads.append(threading.Thread(target=hold))
        self.threads[-1].start()

    def end(self) -> None:
        """Let all go."""
        for event in self.release.values():
            event.set()
        for thread in self.threads:
            thread.join(10)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "LOOK", 0.01)


def test_what_can_never_fit_is_refused_with_both_sizes_and_the_fix() -> None:
    sentence = "about 300 MB of memory; this server gives one request 200. Take fewer sequences"
    with (
        pytest.raises(AnalysisError, match=sentence),
        Admission(200 * 2**20, 4, 10).admitted(300 * 2**20, Somebody()),
    ):
        pass


def test_who_waits_sees_a_place_that_moves_up_and_enters_in_turn() -> None:
    work, second, third = Work(Admission(10, 1, 10)), Watcher(), Watcher()
    work.start("first", 1, Somebody())
    until(lambda: work.entered == ["first"])
    work.start("second", 1, second)
    until(lambda: second.told)
    work.start("third", 1, third)
    until(lambda: third.told)
    assert second.told[0][0] == 1
    assert third.told[0][0] == 2
    assert third.told[0][1] == pytest.approx(2 * second.told[0][1])
    work.release["first"].set()
    until(lambda: work.entered == ["first", "second"])
    until(lambda: third.told[-1][0] == 1)
    work.release["second"].set()
    until(lambda: work.entered == ["first", "second", "third"])
    work.end()
    assert not work.failed


def test_bytes_are_bounded_and_given_back() -> None:
    work, waiting = Work(Admission(10, 5, 10)), Watcher()
    work.start("large", 7, Somebody())
    until(lambda: work.entered == ["large"])
    work.start("other", 4, waiting)
    until(lambda: waiting.told)
    assert work.entered == ["large"]
    work.release["large"].set()
    until(lambda: work.entered == ["large", "other"])
    work.end()


def test_who_leaves_the_queue_does_not_hold_up_the_next() -> None:
    work, leaver, stayer = Work(Admission(10, 1, 10)), Watcher(leaves=True), Watcher()
    work.start("first", 1, Somebody())
    until(lambda: work.entered == ["first"])
    work.start("leaver", 1, leaver)
    until(lambda: "leaver" in work.failed)
    work.start("stayer", 1, stayer)
    until(lambda: stayer.told)
    assert stayer.told[0][0] == 1
    work.end()
    assert work.entered == ["first", "stayer"]


def test_a_full_queue_refuses() -> None:
    work, waiting = Work(Admission(10, 1, 1)), Watcher()
    work.start("first", 1, Somebody())
    until(lambda: work.entered)
    work.start("second", 1, waiting)
    until(lambda: waiting.told)
    with (
        pytest.raises(AnalysisError, match="1 requests are waiting"),
        work.queue.admitted(1, Somebody()),
    ):
        pass
    work.end()


def test_the_wait_is_told_by_what_computations_took() -> None:
    now = [0.0]
    queue = Admission(10, 1, 10, clock=lambda: now[0])
    for _ in range(40):
        with queue.admitted(1, Somebody()):
            now[0] += 30
    work, waiting = Work(queue), Watcher()
    work.start("first", 1, Somebody())
    until(lambda: work.entered)
    work.start("second", 1, waiting)
    until(lambda: waiting.told)
    assert waiting.told[0][1] == pytest.approx(30, rel=0.01)
    work.end()


def test_work_in_the_background_counts_its_bytes_and_takes_no_place() -> None:
    work, waiting = Work(Admission(10, 1, 10)), Watcher()
    with work.queue.admitted(6, Nobody()):
        work.start("small", 4, Somebody())
        until(lambda: work.entered == ["small"])
        work.start("large", 5, waiting)
        work.release["small"].set()
        until(lambda: waiting.told)
        assert work.entered == ["small"]
    until(lambda: work.entered == ["small", "large"])
    work.end()


def test_work_in_the_background_never_stands_in_front_of_a_visitor() -> None:
    work, sweep = Work(Admission(10, 2, 10)), threading.Event()

    class Sweep(Nobody):
        def waits(self, place: int, seconds: float) -> None:
            sweep.set()

    work.start("first", 4, Somebody())
    until(lambda: work.entered == ["first"])
    work.start("sweep", 7, Sweep())  # does not fit beside the first
    assert sweep.wait(10)
    work.start("visitor", 4, Somebody())
    until(lambda: work.entered == ["first", "visitor"])
    work.release["first"].set()
    work.release["visitor"].set()
    until(lambda: work.entered == ["first", "visitor", "sweep"])
    work.end()


def test_work_in_the_background_lets_everybody_in_who_came_before_it_could_begin() -> None:
    work, waiting = Work(Admission(10, 1, 10)), Watcher()
    work.start("first", 4, Somebody())
    until(lambda: work.entered == ["first"])
    work.start("visitor", 8, waiting)
    until(lambda: waiting.told)
    work.start("sweep", 3, Nobody())  # would fit now, and keep the visitor waiting for longer
    time.sleep(0.05)
    assert work.entered == ["first"]
    work.release["first"].set()
    until(lambda: "visitor" in work.entered)
    work.release["visitor"].set()
    until(lambda: work.entered == ["first", "visitor", "sweep"])
    work.end()


def test_who_leaves_in_the_instant_the_turn_comes_gives_the_place_back() -> None:
    """As Streamlit does where a message is taken away for a visitor who has gone."""

    class Gone(BaseException):
        pass

    class Leaver(Somebody):
        def enters(self) -> None:
            raise Gone

    queue = Admission(10, 2, 10)

    def leave() -> None:
        with pytest.raises(Gone), queue.admitted(6, Leaver()):
            raise AssertionError("who has left computes nothing")

    for _ in range(4):
        leave()
    leavers = [threading.Thread(target=leave) for _ in range(16)]
    for thread in leavers:
        thread.start()
    for thread in leavers:
        thread.join(10)
    work = Work(queue)
    for name in ("a", "b"):
        work.start(name, 5, Somebody())
    until(lambda: sorted(work.entered) == ["a", "b"])
    work.end()


def test_a_limit_of_0_is_none() -> None:
    limit = RateLimit(0, clock=lambda: 0.0)
    for _ in range(1000):
        limit.take("one")


def test_tabs_of_one_address_share_a_limit() -> None:
    class Tab(Nobody):
        def __init__(self, name: str, address: str | None):
            self.name, self.address = name, address

    info, same = list_models()[0], Question("tabs", lambda: lambda model, number: number)
    server = Server(Config())
    server.address_rate = RateLimit(2, "each network address")

    def asked(tab: Tab, number: int) -> object:
        server.visitor = lambda: tab
        with server.used():
            return ask(same, info, number)

    assert [asked(Tab("a", "192.0.2.1"), 1), asked(Tab("b", "192.0.2.1"), 2)] == [1, 2]
    with pytest.raises(TryAgain, match="each network address of this server"):
        asked(Tab("c", "192.0.2.1"), 3)
    # What is remembered costs nothing, another address has its own, and this machine has none.
    assert asked(Tab("c", "192.0.2.1"), 2) == 2
    assert [asked(Tab("d", "192.0.2.2"), 4), asked(Tab("e", None), 5)] == [4, 5]


def test_who_waits_is_told_what_is_done_and_not_of_what_is_remembered() -> None:
    events: list[str] = []

    class Reader(Nobody):
        def starts(self, what: str) -> None:
            events.append(what)

        def ends(self) -> None:
            events.append("end")

    class Models:
        def get(self, info: ModelInfo, visitor: Nobody) -> str:
            events.append("model")
            return "the model"

    def compute(model: str, part: object, progress: object = None) -> str:
        events.append("compute")
        return model

    server = Server(Config())
    server.models, server.visitor = Models(), Reader
    info, told = replace(list_models()[0], title="Alpha"), Question("told", lambda: compute)
    tokens = Tokens(np.zeros((10, 101), np.int64), (("a",) * 101,) * 10, 50, has_bos=True)

    def asked(part: object, **options: object) -> list[str]:
        events.clear()
        with server.used():
            assert ask(told, info, part, **options) == "the model"
        return list(events)

    assert asked(tokens) == ["model", "Running Alpha on 10 × 101 tokens…", "compute", "end"]
    assert asked(tokens) == ["end"]
    assert asked(1) == ["model", "Reading the weights of Alpha…", "compute", "end"]
    assert asked(2, progress=print) == ["model", "compute", "end"]
    # How far it is says nothing about the answer.
    assert asked(2) == ["end"]


def test_a_visitor_has_a_budget_that_fills_up_again() -> None:
    now = [0.0]
    limit = RateLimit(60, clock=lambda: now[0])
    for _ in range(60):
        limit.take("one")
    with pytest.raises(AnalysisError, match="More than 60 new results were asked for"):
        limit.take("one")
    limit.take("other")
    now[0] += 2
    limit.take("one")
    limit.take("one")
    with pytest.raises(AnalysisError):
        limit.take("one")


def test_only_so_many_visitors_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate, "MAX_VISITORS", 2)
    limit = RateLimit(1, clock=lambda: 0.0)
    for name in ("a", "b", "c"):
        limit.take(name)
    with pytest.raises(AnalysisError):
        limit.take("c")
    limit.take("a")
