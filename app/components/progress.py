"""What takes long: a progress bar, and a question before much work begins."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import streamlit as st

from analysis.models.info import ModelInfo

# Seconds after which a visitor wonders whether anything is happening.
PATIENCE = 1.0
# Seconds of work that a page begins without being asked.
UNASKED = 20
# Floating-point operations a second of two older cores: an estimate of time that errs on the long
# side.
SPEED = 2e10


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


def wanted(info: ModelInfo, ids: np.ndarray, button: str, passes: float) -> bool:
    """Whether to go ahead with so many forward passes: if that is short, or once asked."""
    seconds = passes * 2 * info.n_params * ids.size / SPEED
    if seconds < UNASKED:
        return True
    shown = f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
    return asked_for(info, ids, button, f"about {shown}")


def asked_for(info: ModelInfo, ids: np.ndarray, button: str, price: str) -> bool:
    """Whether somebody has pressed the button, which says the price; it is drawn until then."""
    # For this model and input only: the next may be another matter.
    subject = (info.name, ids.tobytes())
    key = f"asked: {button}"

    def ask() -> None:
        st.session_state[key] = subject

    if st.session_state.get(key) == subject:
        return True
    st.button(f"{button} ({price})", on_click=ask)
    return False
