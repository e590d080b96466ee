"""What takes long: a progress bar, and a question before much work begins."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import streamlit as st

from analysis.errors import AnalysisError
from analysis.models.info import ModelInfo

# Seconds after which a visitor wonders whether anything is happening; as in `app/shell/page.css`.
PATIENCE = 0.5
# Seconds of work that a page begins without being asked.
UNASKED = 20
# Floating-point operations a second of two older cores: an estimate of time that errs on the long
# side.
SPEED = 2e10


@contextmanager
def progress_bar(
    what: str, cancel: Callable[[], None] | None = None, name: str = ""
) -> Iterator[Callable[[int, int], None]]:
    """`progress(done, total)` that moves a bar, which is gone at the end.

    The bar is there from the start, since work may be long before it first says how far it is; the
    style sheet of pages keeps it out of sight for a moment, so that short work shows none.
    Streamlit ends the script in `progress` when the visitor has left or has pressed Cancel, which
    `cancel` is told then: that ends the work. `name` tells bars of one page apart that say the
    same.
    """
    place, started = st.empty(), time.monotonic()
    around = place.container(key=f"wait {what} {name}")
    bar = around.empty()
    bar.progress(0.0, what)
    if cancel:
        around.button(
            "Cancel", icon=":material/close:", key=f"cancel {what} {name}", on_click=cancel
        )

    def show(done: int, total: int) -> None:
        elapsed = time.monotonic() - started
        if elapsed > PATIENCE:
            left = f", about {elapsed / done * (total - done):.0f} s left" if done else ""
            bar.progress(done / total, f"{what}{left}")

    try:
        yield show
    except AnalysisError:
        place.empty()
        raise
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
