"""Which jobs this visitor watches: all that a page shows, but for the one that was cancelled."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Protocol, TypeVar

import streamlit as st

from app.compute.background import Active
from app.shell.visitors import visitor_address, visitor_name

S_co = TypeVar("S_co", bound=Active, covariant=True)


class Watched(Protocol[S_co]):
    """A job in the background, such as a sweep."""

    @property
    def key(self) -> Hashable:
        """What tells it from others."""

    def watch(self, visitor: Hashable, address: str | None = None) -> S_co:
        """How far it is; `visitor` wants it to go on."""

    def look(self) -> S_co:
        """How far it is, without wanting it."""

    def leave(self, visitor: Hashable) -> None:
        """`visitor` no longer wants it."""


_CANCELLED = "headscope.cancelled"


def watch(job: Watched[S_co], patience: float = 0.0) -> S_co:
    """How far a job is; it goes on unless this visitor has cancelled it.

    Args:
        job: The job.
        patience: Seconds to wait for its end.
    """
    if cancelled(job):
        return job.look()
    until = time.monotonic() + patience
    who, where = visitor_name(), visitor_address()
    while (now := job.watch(who, where)).active and time.monotonic() < until:
        time.sleep(0.02)
    return now


def cancel(job: Watched[Active]) -> None:
    """Watch it no more; without other watchers it stops."""
    st.session_state[_CANCELLED] = job.key
    job.leave(visitor_name())


def go_on() -> None:
    """Take the cancelling back."""
    st.session_state.pop(_CANCELLED, None)


def cancelled(job: Watched[Active]) -> bool:
    """Whether this visitor has cancelled it."""
    return bool(st.session_state.get(_CANCELLED) == job.key)


def time_left(seconds: float | None) -> str:
    """How long a job may still take, as the end of a clause; empty where nothing tells it."""
    return "" if seconds is None else f", about {max(seconds, 1):.0f} s left"


def draw_status(job: Watched[Active], share: float, said: str, stopped: str) -> None:
    """A bar with Cancel; for who has cancelled the job, a sentence with Continue.

    Args:
        job: The job.
        share: How much of it is done, 0 to 1.
        said: What stands on the bar.
        stopped: The sentence.
    """
    bar = st.container(horizontal=True, vertical_alignment="center")
    if cancelled(job):
        bar.markdown(stopped)
        bar.button("Continue", on_click=go_on)
        return
    bar.progress(share, said, width="stretch")
    bar.button("Cancel", on_click=cancel, args=(job,))


def is_awaited(job: Watched[Active], now: Active) -> bool:
    """Whether more of it will be known and this visitor wants to."""
    return now.active and not cancelled(job)


def forget_failure(job: Watched[Active]) -> None:
    """The next look tries again."""
    job.leave(visitor_name())
