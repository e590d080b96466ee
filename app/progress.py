"""A progress bar for what takes long enough to wonder about."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st

# Seconds after which a visitor wonders whether anything is happening.
PATIENCE = 1.0


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """`progress(done, total)` that shows a bar from the first second on; it is gone at the end.

    Streamlit ends the script in there when the visitor has left, which cancels the work.
    """
    place, started = st.empty(), time.monotonic()

    def show(done: int, total: int) -> None:
        elapsed = time.monotonic() - started
        if elapsed > PATIENCE:
            left = f", about {elapsed / done * (total - done):.0f} s left" if done else ""
            place.progress(done / total, f"{what}{left}")

    yield show
    place.empty()
