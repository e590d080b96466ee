"""Pieces of work that wait for a worker, and which of them a free one takes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.models.info import ModelInfo
    from app.compute.workers.crew import Worker

# Seconds that a piece waits at most for a worker that has its model already.
PATIENT = 1.0


@dataclass(eq=False)
class Piece:
    """One piece of work; what is not given is guarded by the lock of its `Line`.

    Args:
        info: The model that it is of.
        data: The message that asks for it.
        begin: The message before it, to a worker that does not know the job it belongs to.
        result: What a piece of a job comes out as; a question's answer is a tuple with it alone.
        first: Whether it goes before pieces that are not: a page waits for it alone.
        number: What it is known by while it is watched; empty for one that nobody watches.
    """

    info: ModelInfo
    data: bytes
    begin: bytes | None = None
    result: type | None = None
    first: bool = False
    number: str = ""
    since: float = field(default_factory=time.monotonic)
    worker: Worker | None = None  # that is at it now
    lost: int = 0
    done: bool = False
    value: Any = None
    failure: Exception | None = None
    dropped: bool = False  # nobody wants it any more


class Line:
    """What waits, for so many workers.

    A worker keeps one model: a piece goes to one that has its model, or else to one that has none,
    as long as one of those has nothing to do. One worker is kept free of pieces that are watched,
    which are long.
    """

    def __init__(self, width: int):
        self.width, self.closed = width, False
        self.changed = threading.Condition()
        self._first: deque[Piece] = deque()
        self._then: deque[Piece] = deque()
        self._idle: list[str] = []  # the models that workers without work have
        self._watched = 0  # pieces that are watched, and worked on

    def put(self, piece: Piece) -> None:
        """Let a piece wait at the end."""
        with self.changed:
            (self._first if piece.first else self._then).append(piece)
            self.changed.notify_all()

    def put_back(self, piece: Piece) -> None:
        """Let a piece whose worker was lost be the next one."""
        with self.changed:
            (self._first if piece.first else self._then).appendleft(piece)
            self.changed.notify_all()

    def drop(self, pieces: Iterable[Piece]) -> None:
        """Take back what nobody has begun; what is being worked on is not waited for."""
        with self.changed:
            for piece in pieces:
                piece.dropped = True
            for waiting in (self._first, self._then):
                kept = [piece for piece in waiting if not piece.dropped]
                waiting.clear()
                waiting.extend(kept)

    def close(self) -> None:
        """Let workers go."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def __len__(self) -> int:
        with self.changed:
            return len(self._first) + len(self._then)

    def next(self, has: str) -> Piece | None:
        """The next piece for a worker that has a model, or none yet; None when all is over."""
        with self.changed:
            self._idle.append(has)
            # Others have to think anew of what they leave to this one.
            self.changed.notify_all()
            try:
                while not self.closed:
                    if (piece := self._take(has)) is not None:
                        self._watched += bool(piece.number)
                        return piece
                    self.changed.wait(PATIENT)
                return None
            finally:
                self._idle.remove(has)

    def finished(self, piece: Piece) -> None:
        """A piece that `next` gave out is no longer worked on, one way or the other."""
        with self.changed:
            piece.worker = None
            self._watched -= bool(piece.number)
            piece.done = piece.failure is not None or piece.value is not None
            self.changed.notify_all()

    def is_done(self, piece: Piece, seconds: float) -> bool:
        """Wait so long for a piece."""
        with self.changed:
            return self.changed.wait_for(lambda: piece.done, seconds)

    def _take(self, has: str) -> Piece | None:
        full = self.width > 1 and self._watched >= self.width - 1
        for waiting in (self._first, self._then):
            for piece in waiting:
                if piece.number and full:
                    continue
                if self._is_left_to_another(piece, has):
                    continue
                waiting.remove(piece)
                return piece
        return None

    def _is_left_to_another(self, piece: Piece, has: str) -> bool:
        name = piece.info.name
        if name == has or time.monotonic() - piece.since > PATIENT:
            return False
        # One that has no model yet need not let go of one.
        return name in self._idle or (has != "" and "" in self._idle)
