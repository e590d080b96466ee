"""Which sweeps this visitor watches: all that a page shows, but for the one that was cancelled."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import streamlit as st

from app.shell.visitors import visitor_address, visitor_name

if TYPE_CHECKING:
    from app.compute.sweeps import SharedSweep, Snapshot

_CANCELLED = "headscope.cancelled"


def watch(sweep: SharedSweep, patience: float = 0.0) -> Snapshot:
    """How far a sweep is; it goes on unless this visitor has cancelled it.

    Args:
        sweep: The sweep.
        patience: Seconds to wait for its end.
    """
    if cancelled(sweep):
        return sweep.look()
    until = time.monotonic() + patience
    who, where = visitor_name(), visitor_address()
    while (now := sweep.watch(who, where)).active and time.monotonic() < until:
        time.sleep(0.02)
    return now


def cancel(sweep: SharedSweep) -> None:
    """Watch it no more; without other watchers it stops."""
    st.session_state[_CANCELLED] = sweep.key
    sweep.leave(visitor_name())


def go_on() -> None:
    """Take the cancelling back."""
    st.session_state.pop(_CANCELLED, None)


def cancelled(sweep: SharedSweep) -> bool:
    """Whether this visitor has cancelled it."""
    return bool(st.session_state.get(_CANCELLED) == sweep.key)


def is_awaited(sweep: SharedSweep, now: Snapshot) -> bool:
    """Whether more of it will be known and this visitor wants to."""
    return now.active and not cancelled(sweep)


def forget_failure(sweep: SharedSweep) -> None:
    """The next look tries again."""
    sweep.leave(visitor_name())
