"""Downloads of models for all visitors: one after the other, each for everybody who asked for it.

No Streamlit in here: a page asks, and looks now and then how far it is. Nothing reaches out before
somebody has asked. Who has gone is not waited for: a closed tab does not end a download, its last
asker does.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from analysis.errors import AnalysisError
from analysis.models.download import Progress, download_model

_log = logging.getLogger("headscope")

State = Literal["waiting", "running", "done", "failed"]


class _Cancelled(BaseException):
    """Nobody wants the download any more."""


@dataclass(frozen=True, slots=True)
class Download:
    """How far the download of a model is, in bytes; `refusal` says why it has failed."""

    name: str
    state: State
    done: int = 0
    total: int = 0
    refusal: str = ""

    @property
    def active(self) -> bool:
        """Whether it is under way or waits for its turn."""
        return self.state in ("waiting", "running")


@dataclass(eq=False)
class _Job:
    now: Download
    askers: set[Hashable] = field(default_factory=set)


class Downloads:
    """A line of downloads; `fetch` brings one model."""

    def __init__(self, fetch: Callable[[str, Progress], Any] = download_model):
        self._fetch = fetch
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}
        self._working = False

    def ask(self, name: str, visitor: Hashable) -> None:
        """Download a model, or share in the download that is under way."""
        with self._lock:
            job = self._jobs.get(name)
            if job is None or not job.now.active:
                # At the end of the line, also when it was tried before.
                self._jobs.pop(name, None)
                job = self._jobs[name] = _Job(Download(name, "waiting"))
            job.askers.add(visitor)
            if not self._working:
                self._working = True
                threading.Thread(target=self._work, daemon=True, name="downloads").start()

    def leave(self, name: str, visitor: Hashable) -> None:
        """Want it no more, or have seen how it ended; without askers a download stops."""
        with self._lock:
            if job := self._jobs.get(name):
                job.askers.discard(visitor)
                if not job.askers and job.now.state != "running":
                    del self._jobs[name]

    def look(self, visitor: Hashable) -> tuple[Download, ...]:
        """What is under way, and how this visitor's downloads have ended."""
        with self._lock:
            return tuple(
                job.now for job in self._jobs.values() if job.now.active or visitor in job.askers
            )

    def _work(self) -> None:
        while job := self._next():
            state: State = "failed"
            refusal = "The download has failed."
            try:
                self._fetch(job.now.name, self._progress_of(job))
                state, refusal = "done", ""
            except _Cancelled:
                pass
            except AnalysisError as error:
                refusal = str(error)
            except OSError as error:  # the store's folder cannot be made or written
                refusal = f"The model cannot be stored: {error.strerror}."
            except Exception:
                _log.exception("the download of %s failed", job.now.name)
            with self._lock:
                job.now = replace(job.now, state=state, refusal=refusal)
                if not job.askers and self._jobs.get(job.now.name) is job:
                    del self._jobs[job.now.name]

    def _next(self) -> _Job | None:
        with self._lock:
            for job in self._jobs.values():
                if job.now.state == "waiting":
                    job.now = replace(job.now, state="running")
                    return job
            self._working = False
            return None

    def _progress_of(self, job: _Job) -> Progress:
        def progress(done: int, total: int) -> None:
            with self._lock:
                job.now = replace(job.now, done=done, total=total)
                if not job.askers:
                    raise _Cancelled

        return progress
