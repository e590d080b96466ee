"""A server whose models live with workers, which are threads of the test's process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import analysis
from app.compute.calls.by_name import questions
from app.compute.server import Server
from app.compute.workers.crew import Crew
from app.compute.workers.office import OwnOffice
from app.compute.workers.workshop import Workshop
from app.config import Config


class Here:
    """A worker of this process: what an actor is, less the way to it."""

    def __init__(self, loaded: Callable[[str], None] = lambda name: None):
        def load(name: str) -> analysis.HeadModel:
            loaded(name)
            return analysis.load_model(name, device="cpu")

        self._workshop = Workshop(load, questions())

    def ask(self, data: bytes) -> bytes:
        """See `app.compute.workers.office.Worker`."""
        return self._workshop.answer(data)

    def look(self, data: bytes) -> bytes:
        """See `app.compute.workers.office.Worker`."""
        return self._workshop.look(data)

    def close(self) -> None:
        """Its models go with it."""


@contextmanager
def models_elsewhere(width: int = 2) -> Iterator[tuple[Server, list[tuple[str, str]]]]:
    """The server, and which worker's thread has loaded which model by now."""
    loaded: list[tuple[str, str]] = []

    def hire() -> Here:
        return Here(lambda name: loaded.append((threading.current_thread().name, name)))

    def never(*asked: object) -> NoReturn:
        raise AssertionError("weights were loaded where pages are drawn")

    server = Server(Config())
    crew = server.engine = Crew(OwnOffice(hire, width))
    server.holds_models = False
    server.models.get = never  # type: ignore[method-assign]
    try:
        yield server, loaded
    finally:
        crew.close()
