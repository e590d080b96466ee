"""What comes back from a browser is checked; a page that keeps the view in its link is no echo."""

import json

import numpy as np
import pytest

from analysis.head import Head
from app.components.exchange import Exchange
from app.components.head_grid.component import head_grid
from app.components.head_grid.view import MAX_LOCKED, MAX_LOCKED_TOKENS, HeadGridState

HEADS = [Head(layer, head) for layer in range(2) for head in range(8)]


def at(layer: int, head: int) -> HeadGridState:
    return HeadGridState(focus=Head(layer, head))


def test_a_view_survives_the_way_to_the_browser_and_back() -> None:
    view = HeadGridState(Head(1, 4), (Head(1, 4), Head(0, 2)), (3, 0), "src")
    assert HeadGridState.from_browser(json.loads(json.dumps(view.to_json()))) == view


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        "L0H0",
        {},
        {"focus": "L0H0"},
        {"focus": "<b>", "locked": [], "tokens": [], "direction": "dest"},
        {"focus": "L0H0", "locked": [[]], "tokens": [], "direction": "dest"},
        {"focus": "L0H0", "locked": [], "tokens": [], "direction": "up"},
        {"focus": None, "locked": [], "tokens": [], "direction": "dest"},
    ],
)
def test_a_malformed_report_is_no_view(raw: object) -> None:
    assert HeadGridState.from_browser(raw) is None


def test_positions_that_are_no_integers_are_dropped() -> None:
    raw = {"focus": "L0H0", "locked": [], "tokens": [1, True, 2.5, "3"], "direction": "dest"}
    view = HeadGridState.from_browser(raw)
    assert view is not None and view.tokens == (1,)


def test_a_view_is_cut_to_the_heads_and_tokens_that_there_are() -> None:
    view = HeadGridState(Head(9, 9), (Head(0, 1), Head(9, 9), Head(0, 1)), (-1, 2, 2, 99))
    assert view.within(HEADS, 10) == HeadGridState(Head(0, 0), (Head(0, 1),), (2,))


def test_locks_are_bounded() -> None:
    view = HeadGridState(None, tuple(HEADS), tuple(range(100))).within(HEADS, 100)
    assert len(view.locked) == MAX_LOCKED
    assert len(view.tokens) == MAX_LOCKED_TOKENS


def test_the_first_view_is_what_the_page_asks_for() -> None:
    first = Exchange.after(None, at(1, 4), None)
    assert first.command == first.returned == at(1, 4)


def test_a_page_that_asks_for_what_was_returned_does_not_move_the_browser() -> None:
    """Else the visitor would be thrown back to where they were a moment ago."""
    first = Exchange.after(None, at(0, 0), None)
    moved = Exchange.after(first, at(0, 0), at(1, 1))
    assert moved.returned == at(1, 1)
    late = Exchange.after(moved, at(1, 1), at(1, 2))
    assert late.returned == at(1, 2)
    settled = Exchange.after(late, at(1, 2), at(1, 2))
    assert (settled.command, settled.number) == (first.command, first.number)


def test_a_page_that_asks_for_something_new_moves_the_browser() -> None:
    first = Exchange.after(None, at(0, 0), None)
    moved = Exchange.after(first, at(0, 0), at(1, 1))
    asked = Exchange.after(moved, at(0, 5), at(1, 1))
    assert (asked.command, asked.returned) == (at(0, 5), at(0, 5))
    assert asked.number > first.number


def test_a_page_can_go_back_to_what_it_asked_at_first() -> None:
    exchange = Exchange.after(None, at(0, 0), None)
    exchange = Exchange.after(exchange, at(0, 0), at(1, 1))
    exchange = Exchange.after(exchange, at(1, 1), at(1, 1))
    back = Exchange.after(exchange, at(0, 0), at(1, 1))
    assert back.command == at(0, 0)
    assert back.number == exchange.number + 1


def test_a_grid_that_returns_to_the_page_opens_with_what_the_page_asks_for() -> None:
    """Streamlit forgets the component's state when another page was open in between."""
    first = Exchange.after(None, at(0, 0), None)
    moved = Exchange.after(first, at(0, 0), at(1, 1))
    for asked in (at(0, 0), at(1, 1)):
        again = Exchange.after(moved, asked, None)
        assert (again.command, again.returned) == (asked, asked)
        assert again.number == moved.number + 1


PATTERNS = np.broadcast_to(np.eye(3, dtype=np.float32), (2, 8, 3, 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["a"]}, r"\(2, 8, 3, 3\) for 1 labels"),
        ({"layers": [0]}, "1 layer numbers for 2 layers"),
        ({"heads": []}, "nothing to show: 0 heads"),
        ({"heads": [Head(5, 0)]}, "no pattern of L5H0"),
        ({"scores": {"induction": np.zeros(3)}}, r"induction: \(3,\) scores"),
        ({"marks": {"induction": 0.4}}, "marks without scores: induction"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change: dict, message: str) -> None:
    arguments = {"patterns": PATTERNS, "labels": ["a", "b", "c"], "key": "k", **change}
    with pytest.raises(ValueError, match=message):
        head_grid(**arguments)
