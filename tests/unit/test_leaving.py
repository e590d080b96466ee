"""Whoever leaves, fails or cancels at whatever instant: nothing of the server stays taken."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import wait

import pytest

from analysis.errors import AnalysisError
from analysis.models.catalog import list_models
from analysis.models.info import ModelInfo
from app.compute import admission, loaded_models, shared_cache
from app.compute.ask import ask
from app.compute.loaded_models import LoadedModels
from app.compute.question import Question
from app.compute.server import Server
from app.compute.visitor import Nobody
from app.config import Config

INFOS = tuple(list_models()[:2])
VISITORS, VISITS = 12, 20


class _Left(BaseException):
    """As Streamlit ends the script of a visitor who has gone."""


class Model:
    """A model that takes no memory, and can be let go of."""

    is_current = True

    def __init__(self, nbytes: int):
        self.nbytes = nbytes


class Fickle(Nobody):
    """A visitor who may leave wherever it is told anything."""

    def __init__(self, name: str, address: str | None, draw: random.Random):
        self.name, self.address, self._draw = name, address, draw

    def may_leave(self) -> None:
        """Leave, perhaps."""
        if self._draw.random() < 0.06:
            raise _Left

    def check(self) -> None:
        """Leave, perhaps, as in all that follows."""
        self.may_leave()

    def waits(self, place: int, seconds: float) -> None:
        """See `check`."""
        self.may_leave()

    def enters(self) -> None:
        """See `check`."""
        self.may_leave()

    def starts(self, what: str) -> None:
        """See `check`."""
        self.may_leave()

    def loads(self, title: str, nbytes: int) -> None:
        """See `check`."""
        self.may_leave()

    def ends(self) -> None:
        """See `check`."""
        self.may_leave()

    def steps_aside(self) -> None:
        """See `check`."""
        self.may_leave()

    def comes_back(self) -> None:
        """See `check`."""
        self.may_leave()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, little_garbage: None) -> Server:
    """A small one, whose models may fail to load, and do not both fit."""
    for module in (admission, loaded_models, shared_cache):
        monkeypatch.setattr(module, "LOOK", 0.0005)
    draw = random.Random(0)

    def load(info: ModelInfo) -> Model:
        time.sleep(0.002)
        if draw.random() < 0.1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return Model(info.weight_bytes)

    made = Server(Config(computations_at_once=2, max_waiting=6, computations_per_minute=1_000_000))
    size = max(info.weight_bytes for info in INFOS)
    made.models = LoadedModels(1, size, load, patience=0.02)
    return made


def work(fickle: Fickle, draw: random.Random) -> Callable[..., int]:
    """What a question runs: in pieces, to its end or not."""

    def pieces(model: object, number: int, progress: Callable[[int, int], None]) -> int:
        for piece in range(3):
            time.sleep(draw.random() / 1000)
            progress(piece, 3)
            fickle.may_leave()
            if draw.random() < 0.1:
                draw.choice([_fail, _refuse, _no_memory, _cancel])()
        return number

    return pieces


def _fail() -> None:
    raise ZeroDivisionError


def _refuse() -> None:
    raise AnalysisError("no")


def _no_memory() -> None:
    raise MemoryError


def _cancel() -> None:
    raise InterruptedError


@pytest.mark.parametrize("seed", range(3))
def test_nothing_of_the_server_stays_taken(server: Server, seed: int) -> None:
    ended: list[str] = []
    tabs: dict[int, Fickle] = {}  # each thread is one
    server.visitor = lambda: tabs[threading.get_ident()]

    def visit(number: int) -> None:
        draw = random.Random(f"{seed} {number}")
        address = draw.choice([None, "192.0.2.1", "192.0.2.2"])
        fickle = tabs[threading.get_ident()] = Fickle(f"tab {number}", address, draw)
        question = Question("leaving", lambda: work(fickle, draw))
        for _ in range(VISITS):
            try:
                with server.used():
                    # Few numbers: some ask what another is working out.
                    ask(question, draw.choice(INFOS), draw.randrange(8), progress=_told)
                ended.append("done")
            except (ArithmeticError, AnalysisError, InterruptedError, RuntimeError, _Left) as error:
                ended.append(type(error).__name__)
            server.results._values.clear()

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(VISITORS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert len(ended) == VISITORS * VISITS
    assert {"done", "_Left"} <= set(ended)
    assert len(set(ended)) >= 4  # and some of what fails and is refused
    turns = server.admission
    assert (turns._bytes, turns._running, turns._line, turns._by_key) == (0, set(), [], {})
    assert server.results._in_flight == server.models._loads._in_flight == {}
    # A load goes on when its visitors have left.
    wait(list(server.models._coming.values()), 60)
    assert server.models._arriving == server.models._coming == {}
    server.visitor = Nobody
    server.models._load = lambda info: Model(1)
    with server.used():
        fine = Question("fine", lambda: lambda model, number: number)
        assert [ask(fine, info, 1) for info in INFOS] == [1, 1]


def _told(done: int, total: int) -> None:
    """A page draws a bar here."""
