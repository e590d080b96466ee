"""Long work with a button that ends it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import streamlit as st

from app.components.progress import progress_bar
from app.links.parsers import Value
from app.links.session import choose


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
