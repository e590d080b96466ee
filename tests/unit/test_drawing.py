"""Pages are drawn in turn: who waits for something else makes way meanwhile."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from analysis.models.catalog import list_models
from app.compute.admission import Admission
from app.compute.ask import ask
from app.compute.question import Question
from app.compute.server import Server
from app.config import Config
from app.shell import visitors
from app.shell.visitors import AHEAD, PageVisitor, draw_in_turn, show_picture_first

INFO = list_models()[0]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """One whose visitors are threads, and which needs no model."""
    monkeypatch.setattr(visitors, "visitor_name", lambda: str(threading.get_ident()))
    monkeypatch.setattr(visitors, "visitor_address", lambda: None)
    made = Server(Config())
    made.models.get = lambda info, visitor: None  # type: ignore[method-assign]
    made.visitor = PageVisitor
    with made.used():
        yield made


def test_a_picture_is_ahead_of_the_rest_once_a_page_is_opened(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = SimpleNamespace(opened=True)
    monkeypatch.setattr(visitors, "own_state", lambda: state)
    pauses: list[tuple[float, int]] = []

    def sleep(seconds: float) -> None:
        pauses.append((seconds, len(server.drawing._running)))

    monkeypatch.setattr(visitors.time, "sleep", sleep)
    draw_in_turn(lambda: (show_picture_first(), show_picture_first()))
    assert pauses == [(AHEAD, 0)]  # and others have the turn meanwhile


def test_a_page_has_a_turn_while_it_is_drawn_and_none_while_it_waits(server: Server) -> None:
    taken: list[int] = []

    def look() -> int:
        taken.append(len(server.drawing._running))
        return 7

    def draw() -> None:
        look()
        assert ask(Question("look", lambda: lambda model: look()), INFO) == 7
        look()
        # What is remembered interrupts nothing.
        assert ask(Question("look", lambda: lambda model: look()), INFO) == 7
        look()

    draw_in_turn(draw)
    look()
    assert taken == [1, 0, 1, 1, 0]


def test_a_page_that_fails_gives_its_turn_back(server: Server) -> None:
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            draw_in_turn(lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    assert not server.drawing._running


def test_no_more_pages_are_drawn_at_once_than_there_are_turns(server: Server) -> None:
    server.drawing = Admission(0, 2, 100)
    most, drawn, lock = [0], [], threading.Lock()
    now = set[int]()

    def draw() -> None:
        with lock:
            now.add(threading.get_ident())
            most.append(len(now))
        threading.Event().wait(0.01)
        with lock:
            now.remove(threading.get_ident())
            drawn.append(1)

    def visit() -> None:
        with server.used():
            draw_in_turn(draw)

    threads = [threading.Thread(target=visit) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (len(drawn), max(most)) == (20, 2)
