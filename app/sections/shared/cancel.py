"""Long work with a button that ends it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st

from app.components.progress import progress_bar
from app.links.parsers import Value
from app.links.session import choose


@contextmanager
def cancellable(what: str, **values: Value) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with a button that ends the work by choosing `values`."""
    place = st.empty()
    place.button(
        "Cancel",
        icon=":material/close:",
        key=f"cancel {what}",
        on_click=choose,
        kwargs=values,
    )
    with progress_bar(what) as progress:
        yield progress
    place.empty()
