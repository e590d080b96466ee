"""Downloads that several processes ask for: one transfers the model, and the others see it come.

Processes that keep their models in one folder find it there then; on another machine the next one
transfers it for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from analysis.errors import AnalysisError
from analysis.models.catalog import find_model, refresh
from analysis.models.download import Progress, download_model
from app.compute.replicas import checked
from app.compute.replicas.checked import Forged
from app.compute.replicas.wire import Wire

# Told to all processes once a model has come.
CHANNEL = "models"
# Seconds of the lease of who transfers, and between two words of how far it is.
LEASE, TELL_EVERY = 20.0, 1.0
_LOOK = 0.25
_MOST = 2**53


class SharedFetch:
    """What brings models, once for all processes.

    Args:
        wire: Over which they tell each other; while it is down each brings its own.
        fetch: Brings one.
        is_here: Whether a model is here by now.
    """

    def __init__(
        self,
        wire: Wire,
        fetch: Callable[[str, Progress], Any] = download_model,
        is_here: Callable[[str], bool] | None = None,
    ):
        self._wire, self._fetch, self._is_here = wire, fetch, is_here or _is_here

    def __call__(self, name: str, progress: Progress) -> None:
        """Bring a model, or wait until another process has; `progress` may raise to leave.

        Raises:
            AnalysisError: It cannot be had.
        """
        key, waited = f"download:{name}", False
        while self._wire.lease(f"{key}:lease", LEASE) is False:
            waited = True
            progress(*self._told(key))
            time.sleep(_LOOK)
        told = 0.0

        def tell(done: int, total: int) -> None:
            nonlocal told
            progress(done, total)
            if time.monotonic() - told >= TELL_EVERY:
                told = time.monotonic()
                self._wire.lease(f"{key}:lease", LEASE)
                self._wire.put(key, checked.written({"done": done, "total": total}), LEASE)

        try:
            if not (waited and self._is_here(name)):
                self._fetch(name, tell)
                self._wire.say(CHANNEL, b"{}")
        finally:
            self._wire.drop(key, f"{key}:lease")

    def _told(self, key: str) -> tuple[int, int]:
        """How far the other process is, as it says."""
        try:
            message = checked.read(self._wire.get(key, 1000) or b"")
            total = checked.whole(message.get("total"), 0, _MOST)
            return checked.whole(message.get("done"), 0, total), total
        except Forged:
            return 0, 0


def _is_here(name: str) -> bool:
    refresh()
    try:
        find_model(name)
    except AnalysisError:
        return False
    return True
