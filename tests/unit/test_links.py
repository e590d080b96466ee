"""Over a thousand generated links: what comes through is allowed, what does not is one sentence."""

import random
import re
import unicodedata
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import pytest

from app.links import session as selection
from app.links.link import link_parameters, parse_link
from app.links.pages import PAGES, page_info
from app.links.parameters import PARAMETERS, TYPED, Parameter
from app.links.parsers import Refused, Value
from app.shell.prepared import prepared_views
from tests.links import hostile_query

EACH = 120
BY_KEY = {parameter.key: parameter for parameter in PARAMETERS}


def well_typed(key: str, page: str, value: Value) -> bool:
    """Whether a value has its parameter's type; None only where nothing may be chosen."""
    parameter = BY_KEY[key]
    if value is None:
        return parameter.unset is not None or parameter.default_on(page) is None
    ways = [parameter.default_on(each) for each in (page, *parameter.begins)]
    types = {type(each) for each in ways if each is not None}
    # What the page picks has no default to tell a type from: a whole number or a text.
    return type(value) in (types or {int, str})


@pytest.mark.parametrize("page", [page.name for page in PAGES])
def test_generated_links_are_checked_and_what_passes_passes_again(page: str) -> None:
    draw = random.Random(page)
    refused = passed = 0
    for _ in range(EACH):
        link = parse_qs(hostile_query(draw), keep_blank_values=True)
        values, notes = parse_link(page, link)
        assert values.keys() <= BY_KEY.keys() & link.keys()
        for key, value in values.items():
            assert well_typed(key, page, value)
        for note in notes:
            assert note.endswith(".")
            assert len(note) < 300
            # Nothing that hides, reorders or breaks the line.
            assert not [c for c in note if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")]
        again = {key: [text] for key, text in link_parameters(page, values).items()}
        assert parse_link(page, again)[1] == []
        refused += len(notes)
        passed += len(values)
    assert refused > EACH
    assert passed > EACH / 4


@pytest.mark.parametrize("page", [page.name for page in PAGES])
def test_the_same_links_in_a_list_of_prepared_views_lead_to_no_other_page(page: str) -> None:
    draw = random.Random(page)
    address = page_info(page).address
    for _ in range(EACH):
        views, notes = prepared_views(f"/{address}?{hostile_query(draw)}")
        assert [target for target, _ in views] in ([], [page])
        assert bool(views) != bool(notes)
        for target, view in views:
            values, _ = parse_link(target, {key: [text] for key, text in view.items()})
            again = {key: [text] for key, text in link_parameters(page, values).items()}
            assert parse_link(page, again)[1] == []


@pytest.mark.parametrize("page", [page.name for page in PAGES])
def test_the_same_values_from_widgets_and_clicks_are_checked_as_in_a_link(
    page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a browser reports may be of any type, whatever the widget is."""
    draw = random.Random(page)
    refused = 0
    for _ in range(EACH):
        state = selection._State(page=page)
        monkeypatch.setattr(selection, "own_state", lambda state=state: state)
        monkeypatch.setattr(selection, "forget_widgets", lambda keys: None)
        for key, texts in parse_qs(hostile_query(draw), keep_blank_values=True).items():
            # A key that is not of the table comes from no widget.
            if key in BY_KEY:
                selection.choose(**{key: _as_reported(draw, texts[-1])})
        link = {key: [text] for key, text in link_parameters(page, state.chosen).items()}
        assert parse_link(page, link)[1] == []
        for key, value in state.chosen.items():
            assert well_typed(key, page, value)
        assert all(note.isprintable() and len(note) < 300 for note in state.remarks)
        refused += len(state.remarks)
    assert refused > EACH


def _as_reported(draw: random.Random, text: str) -> Any:
    as_number = [float(text)] if re.fullmatch(r"[-+]?[0-9.]{1,9}", text) else []
    return draw.choice([text, text, *as_number, [text], {text: text}, None, len(text), -1, True])


def test_there_are_more_than_a_thousand_of_them() -> None:
    assert EACH * len(PAGES) >= 1000


def test_all_that_takes_any_text_counts_as_typed() -> None:
    """Else an embedded view would tell it to the site that frames it."""

    def takes_any_text(parameter: Parameter) -> bool:
        try:
            return parameter.parse("my secret thought") == "my secret thought"
        except Refused:
            return False

    # What is chosen from a list, and checked against it where it is used.
    chosen = {"point", "model", "model2"}
    assert {p.key for p in PARAMETERS if takes_any_text(p)} - chosen == TYPED


def test_an_address_in_a_frame_holds_nothing_that_was_typed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = SimpleNamespace(framed=False)
    monkeypatch.setattr(selection, "own_state", lambda: state)
    values = {"input": "prompt", "prompt": "my secret", "prompt2": "another", "layer": 1}
    assert selection.own_link("compare", values) == link_parameters("compare", values)
    state.framed = True
    assert selection.own_link("compare", values) == {
        key: text
        for key, text in link_parameters("compare", values).items()
        if key not in ("prompt", "prompt2")
    }
