"""The office that several processes share: whose workers they are, and what becomes of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from analysis.models.catalog import find_model
from app.compute.workers.crew import Crew
from app.compute.workers.desk import Desk, SharedOffice
from app.compute.workers.office import Taken, Wanted, WorkerLost
from app.compute.workers.pieces import Asked
from tests.elsewhere import Here

INFO = find_model("attn-only-2l")
TEXTS = Asked("texts_of_ids", INFO, ((11,),), {}, ())


class Gone(Exception):
    """What a call of something that has ended comes out as."""


class Call:
    """One function of an actor, which runs in a thread of its own."""

    def __init__(self, actor: Actor, what: Callable[..., Any]):
        self._actor, self._what = actor, what

    def options(self, **options: str) -> Call:
        """In a group of calls."""
        return self

    def remote(self, *arguments: Any) -> Future[Any]:
        """What it comes out as."""
        out: Future[Any] = Future()

        def run() -> None:
            try:
                if self._actor.ended:
                    raise Gone
                found = self._what(*arguments)
            except Exception as error:
                out.set_exception(error)
                return
            if self._actor.ended:
                out.set_exception(Gone())
            else:
                out.set_result(found)

        threading.Thread(target=run, daemon=True).start()
        return out


class Actor:
    """As a cluster shows something that runs in it."""

    def __init__(self, inner: object):
        self.inner, self.ended = inner, False

    def __getattr__(self, name: str) -> Call:
        return Call(self, getattr(self.inner, name))


class Cluster:
    """A desk of so many workers, which are threads of this process."""

    def __init__(self, width: int, silent: float = 20.0, nobody: float = 120.0):
        self.width, self.silent, self.nobody = width, silent, nobody
        self.workers: dict[str, Here] = {}
        self.loaded: list[str] = []
        self.killed: list[str] = []
        self.desks: list[Actor] = []
        self.ended = threading.Event()

    def hire(self, name: str) -> Callable[[], None]:
        """Start one; what ends it."""
        self.workers[name] = Here(self.loaded.append)

        def kill() -> None:
            self.killed.append(name)
            self.workers.pop(name, None)

        return kill

    def desk(self) -> Actor:
        """The one that is there, or a new one."""
        if not self.desks or self.desks[-1].ended:
            desk = Desk(self.hire, self.width, self.ended.set, self.silent, self.nobody)
            self.desks.append(Actor(desk))
        return self.desks[-1]

    def worker(self, name: str) -> Here:
        """The one of that name."""
        if name not in self.workers:
            raise ValueError(name)
        return self.workers[name]

    def office(self) -> SharedOffice:
        """As one more process sees it."""
        return SharedOffice(self.width, self.desk, self.worker, Gone, lambda call: call.result(60))


@pytest.fixture(autouse=True)
def quick_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.compute.workers.desk.SIGN", 0.05)


@pytest.fixture
def offices() -> Iterator[Callable[[Cluster], SharedOffice]]:
    made = []

    def office(cluster: Cluster) -> SharedOffice:
        made.append(cluster.office())
        return made[-1]

    yield office
    for each in made:
        each.close()


Offices = Callable[[Cluster], SharedOffice]


def nothing(*told: object) -> None:
    """Goes on."""


def taken_from(office: SharedOffice, model: str) -> Taken:
    taken = office.take(Wanted(model, model))
    assert taken is not None
    return taken


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_processes_share_workers_and_their_models(offices: Offices) -> None:
    cluster = Cluster(2)
    crews = [Crew(offices(cluster)) for _ in range(3)]
    found = [crew.ask(TEXTS, nothing) for crew in crews]
    assert found[0] == found[1] == found[2]
    assert cluster.loaded == [INFO.name]
    assert len(cluster.workers) == 1
    assert [len(crew.met) for crew in crews] == [1, 1, 1]


def test_one_waits_for_what_another_has_taken_unless_it_drops_that(offices: Offices) -> None:
    cluster = Cluster(1)
    one, other = offices(cluster), offices(cluster)
    taken = taken_from(one, "one")
    found: list[Taken | None] = []
    for number in ("dropped", "waits"):
        wanted = Wanted(number, "one")
        threading.Thread(target=lambda wanted=wanted: found.append(other.take(wanted))).start()
    time.sleep(0.2)
    assert not found
    other.drop("dropped")
    until(lambda: found == [None])
    one.give_back(taken.number, "one")
    until(lambda: len(found) == 2)
    assert found[1] is not None
    assert (found[1].worker, found[1].has) == (taken.worker, "one")


def test_a_process_that_is_not_heard_from_loses_its_worker_which_may_be_at_work(
    offices: Offices,
) -> None:
    cluster = Cluster(1, silent=0.5)
    silent = cluster.office()
    lost = taken_from(silent, "one")
    silent._ended.set()  # as if it had been killed
    late = taken_from(offices(cluster), "one")
    assert late.worker is not lost.worker
    assert len(cluster.killed) == 1
    # It was not dead after all: what it gives back is no longer its own.
    silent.give_back(lost.number, "one")
    time.sleep(0.1)
    assert len(cluster.workers) == 1


def test_who_takes_leave_leaves_no_worker_at_work(offices: Offices) -> None:
    cluster = Cluster(1)
    one = cluster.office()
    taken_from(one, "one")
    one.close()
    assert len(cluster.killed) == 1
    assert taken_from(offices(cluster), "other").has == ""
    with pytest.raises(WorkerLost):
        taken_from(one, "one")


def test_a_desk_that_was_lost_is_opened_again(offices: Offices) -> None:
    cluster = Cluster(1)
    crew = Crew(offices(cluster))
    before = crew.ask(TEXTS, nothing)
    cluster.desks[0].ended = True
    cluster.workers.clear()
    assert crew.ask(TEXTS, nothing) == before
    assert len(cluster.desks) == 2


def test_what_a_lost_desk_gave_out_is_no_other_s_at_the_next(offices: Offices) -> None:
    cluster = Cluster(1)
    one, other = offices(cluster), offices(cluster)
    before = taken_from(one, "one")
    cluster.desks[0].ended = True
    with pytest.raises(WorkerLost):
        taken_from(one, "one")
    taken_from(other, "other")
    one._found()
    one.give_back(before.number, None)
    time.sleep(0.1)
    assert len(cluster.desks) == 2
    assert cluster.killed == []


def test_a_worker_that_is_known_no_more_is_given_back_and_another_hired(offices: Offices) -> None:
    cluster = Cluster(1)
    cluster.workers = Forgetful()
    crew = Crew(offices(cluster))
    assert len(crew.ask(TEXTS, nothing)) == 1
    assert len(cluster.killed) == 1


class Forgetful(dict[str, Here]):
    """Does not know the first that it is asked for."""

    asked = 0

    def __contains__(self, name: object) -> bool:
        self.asked += 1
        return self.asked > 1


def test_a_desk_ends_when_nobody_is_left() -> None:
    cluster = Cluster(1, silent=0.2, nobody=0.4)
    office = cluster.office()
    office.give_back(taken_from(office, "one").number, "one")
    office.close()
    assert cluster.ended.wait(30)
