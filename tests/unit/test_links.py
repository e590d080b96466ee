"""Over a thousand generated links: what comes through is allowed, what does not is one sentence."""

import random
import unicodedata
from urllib.parse import parse_qs

import pytest

from app.navigation import PAGES
from app.selection import PARAMETERS, link_parameters, parse_link
from tests.links import hostile_query

EACH = 120
BY_KEY = {parameter.key: parameter for parameter in PARAMETERS}


@pytest.mark.parametrize("page", [page.name for page in PAGES])
def test_generated_links_are_checked_and_what_passes_passes_again(page: str) -> None:
    draw = random.Random(page)
    refused = passed = 0
    for _ in range(EACH):
        link = parse_qs(hostile_query(draw), keep_blank_values=True)
        values, notes = parse_link(page, link)
        assert values.keys() <= BY_KEY.keys() & link.keys()
        for key, value in values.items():
            assert type(value) is type(BY_KEY[key].default)
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


def test_there_are_more_than_a_thousand_of_them() -> None:
    assert EACH * len(PAGES) >= 1000
