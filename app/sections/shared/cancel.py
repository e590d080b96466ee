"""Long work with a button that ends it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import streamlit as st

from analysis.errors import AnalysisError
from app.components.progress import progress_bar
from app.links.parsers import Value
from app.links.session import choose, own_state


@contextmanager
def cancellable(
    what: str,
    label: str = "Cancel",
    choosing: Callable[[], Mapping[str, Value]] | None = None,
    **values: Value,
) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with a button that ends the work by choosing `values`.

    `choosing` says at the click what is chosen besides.
    """
    place = st.empty()
    place.button(
        label,
        icon=":material/close:",
        key=f"cancel {what}",
        on_click=lambda: choose(**values, **(choosing() if choosing else {})),
    )
    with progress_bar(what) as progress:
        yield progress
    place.empty()


@contextmanager
def stoppable(what: str, name: str = "") -> Iterator[Callable[[int, int], None]]:
    """A progress bar, with Cancel beside it, for work that begins by itself.

    Once cancelled it does not begin again before the view changes or its visitor says so. `name`
    tells works of one page apart that are called the same.

    Raises:
        AnalysisError: It was cancelled.
    """
    key, view = f"stopped: {what} {name}".rstrip(), tuple(own_state().shown.items())

    def stop() -> None:
        st.session_state[key] = view

    def go_on() -> None:
        del st.session_state[key]

    if st.session_state.get(key) == view:
        st.button("Continue", key=f"continue {what} {name}", on_click=go_on)
        raise AnalysisError(f"“{what}” was cancelled, so it is not shown.")
    with progress_bar(what, stop, name) as progress:
        yield progress
