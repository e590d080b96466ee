"""The page of roles: screens on a set of prompts, one role, one head, and the verdict."""

import pytest
from streamlit.testing.v1 import AppTest

from analysis.definitions import ROLES
from tests.pages.test_pages import Open, address, expect_well, open_at, text_of

__all__ = ["open_at"]

FEW = {"rows": "6"}


def words(app: AppTest) -> str:
    return " ".join(each.value for each in app.markdown)


def test_every_role_has_a_row_and_says_what_it_lacks(open_at: Open) -> None:
    app = open_at("roles", set="successor", **FEW)
    expect_well(app)
    table = app.dataframe[0].value
    assert list(table["Role"]) == [role.name for role in ROLES.values()]
    remarks = dict(zip(table["Role"], table["Remark"], strict=True))
    assert remarks["Name mover"].startswith("needs an answer that stands in the prompt")
    assert remarks["Sink"] == ""


def test_a_role_of_the_link_is_drawn_with_its_heads(open_at: Open) -> None:
    app = open_at("roles", role="induction-on-text", set="repeated-name", **FEW)
    expect_well(app)
    titles = [text_of(each.value) for each in app.subheader]
    assert "Induction on text: every head" in titles
    assert any(title.startswith("What L") for title in titles)


def test_a_verdict_runs_when_asked_for_and_stays_in_the_link(open_at: Open) -> None:
    app = open_at("roles", group="L1H3,L1H4", role="induction-on-text", **FEW)
    expect_well(app)
    assert "random groups" not in words(app)
    next(button for button in app.button if button.label == "Does it matter?").click().run()
    expect_well(app)
    assert address(app)["judge"] == "1"
    assert "random groups" in words(app)
    assert any(word in words(app) for word in ("### Cause", "### Correlate", "### Interferer"))


def test_a_role_that_no_head_looks_like_has_a_verdict_of_null(open_at: Open) -> None:
    app = open_at("roles", role="successor", judge="1", **FEW)
    expect_well(app)
    assert "### Null" in words(app)


@pytest.mark.parametrize("key", ["capital-of", "brackets"])
def test_a_set_that_the_tokenizer_splits_is_refused_in_a_sentence(open_at: Open, key: str) -> None:
    app = open_at("roles", set=key)
    expect_well(app)
    assert any("one token each" in text.value for text in app.text)
