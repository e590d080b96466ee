"""What a page and a browser last said to each other about a view in a component."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import streamlit as st

View = TypeVar("View")


@dataclass(frozen=True)
class Exchange(Generic[View]):
    """What a page and a browser last said to each other about one component.

    A page that keeps the view in its link asks, one run later, for what the browser has just
    shown. Such an echo must not reach the browser: the visitor may have moved on, and a changed
    payload would be sent in full again.
    """

    asked: View
    returned: View
    command: View
    number: int = 0
    moved: bool = False

    @classmethod
    def after(
        cls, last: "Exchange[View] | None", asked: View, reported: View | None
    ) -> "Exchange[View]":
        """The next exchange; `command` and `number` change when the page asks for a new view.

        Args:
            last: The exchange of the run before, None in the first one.
            asked: The view that the page asks for now.
            reported: What the browser shows; None before it has said so.
        """
        if last is None:
            return cls(asked, reported or asked, asked, moved=reported is not None)
        if reported is None:
            # It is new on the page, or back on it: it opens with what the page asks for.
            same = asked == last.command and not last.moved
        else:
            same = asked in (last.asked, last.returned, reported)
        if same:
            return cls(asked, reported or asked, last.command, last.number, reported is not None)
        return cls(asked, asked, asked, last.number + 1, reported is not None)


def reported_view(key: str, read: Callable[[Any], View | None]) -> View | None:
    """What the browser shows in a component, as it says; None before it has said so.

    Args:
        key: The component's; its state has the report as `view`.
        read: The view that a report stands for; None unless it is well formed.
    """
    raw = (st.session_state.get(key) or {}).get("view") or {}
    view = read(raw)
    last: Exchange[View] | None = st.session_state.get(_memory(key))
    if view is not None and last and raw.get("number") in range(last.number):
        return last.returned  # what the browser was asked to show, it does not report
    return view


def exchange(key: str, asked: View, reported: View | None) -> Exchange[View]:
    """This run's exchange; remembered in the session next to the component's own state."""
    found = Exchange.after(st.session_state.get(_memory(key)), asked, reported)
    st.session_state[_memory(key)] = found
    return found


def _memory(key: str) -> str:
    return f"{key}:exchange"
