"""The same question to many models, in the background; no Streamlit.

A page looks every now and then (`OneByOne.watch`), which also says that its models are still
wanted. Nothing that is found is kept here: that is for whoever answers the question.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from analysis.errors import AnalysisError
from app.compute.refusals import TryAgain

if TYPE_CHECKING:
    from analysis.models.info import ModelInfo

Result = TypeVar("Result")
# Seconds without a look after which a model is no longer wanted.
PATIENCE = 10.0
# Seconds after a refusal that holds for a while only.
PAUSE = 1.0
_log = logging.getLogger("headscope")


class OneByOne:
    """Work on models, one at a time or a few, for as long as somebody looks.

    Args:
        what: What is worked out, for the sentence about a failure.
        patience: See `PATIENCE`.
        pause: See `PAUSE`.
        at_once: How many models are worked on at once.
    """

    def __init__(
        self, what: str, patience: float = PATIENCE, pause: float = PAUSE, at_once: int = 1
    ):
        self._what, self._patience, self._pause = what, patience, pause
        self._lock = threading.Lock()
        # By name, as is all that follows: what is wanted, and when somebody last looked.
        self._wanted: dict[str, tuple[ModelInfo, float]] = {}
        self._refused: dict[str, str] = {}
        self._put_off: dict[str, float] = {}  # when it was last too busy for these
        self._at_once, self._working = at_once, 0
        self._under_way: set[str] = set()

    def watch(
        self,
        infos: Sequence[ModelInfo],
        known: Callable[[ModelInfo], Result | None],
        compute: Callable[[ModelInfo], object],
    ) -> dict[str, Result | str | None]:
        """By name: what is known, or a sentence about why it never will be, or None for not yet.

        Args:
            infos: The models.
            known: The result of one if there is one already; called here.
            compute: Sees to it that there is one; called in the background.
        """
        with self._lock:
            # Asked under the lock: what is found meanwhile would be wanted once more.
            found: dict[str, Result | str | None] = {info.name: known(info) for info in infos}
            for info in infos:
                if found[info.name] is None:
                    found[info.name] = self._refused.get(info.name)
                if found[info.name] is None:
                    self._wanted[info.name] = (info, time.monotonic())
                else:
                    self._wanted.pop(info.name, None)
            while self._working < min(self._at_once, len(self._wanted)):
                self._working += 1
                # A daemon: it must not keep a server from ending.
                thread = threading.Thread(
                    target=self._work, args=(compute,), daemon=True, name="one by one"
                )
                thread.start()
        return found

    def _work(self, compute: Callable[[ModelInfo], object]) -> None:
        while info := self._next():
            refusal = None
            try:
                compute(info)
            except TryAgain:
                with self._lock:
                    self._put_off[info.name] = time.monotonic()
                    self._under_way.discard(info.name)
                time.sleep(self._pause)
                continue
            except AnalysisError as error:
                refusal = str(error)
            # Also what is no `Exception`: who looks would wait for ever.
            except BaseException:
                _log.exception("%s of %s failed", self._what, info.name)
                refusal = f"{self._what.capitalize()} of {info.name} could not be computed."
            with self._lock:
                self._wanted.pop(info.name, None)
                self._under_way.discard(info.name)
                self._put_off.pop(info.name, None)
                if refusal:
                    self._refused[info.name] = refusal

    def _next(self) -> ModelInfo | None:
        """The next model that is still wanted, those put off last; with none the work ends."""
        since = time.monotonic() - self._patience
        with self._lock:
            self._wanted = {
                name: (info, looked)
                for name, (info, looked) in self._wanted.items()
                if looked >= since
            }
            if left := [name for name in self._wanted if name not in self._under_way]:
                name = min(left, key=lambda name: self._put_off.get(name, 0.0))
                self._under_way.add(name)
                return self._wanted[name][0]
            self._working -= 1
            return None
