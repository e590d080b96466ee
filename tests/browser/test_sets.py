"""The questions of a study, answered on screen over a set of prompts of one's own."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import open_from_menu, wait_until_done
from tests.browser.test_app import go, heading

pytestmark = pytest.mark.browser

THINGS = ("cat", "dog", "house", "horse", "book", "car", "tree", "boat")
PAIRS = tuple(zip(THINGS, (*THINGS[1:], THINGS[0]), strict=True))
OWN = "prompt,corrupt,place:it,place:antecedent\n" + "\n".join(
    f"The {a} was by the {b} when it,The {b} was by the {a} when it,it,{a}" for a, b in PAIRS
)


def pick(page: Page, box: Locator, option: str) -> None:
    box.click()
    page.get_by_role("option", name=option, exact=True).click()
    wait_until_done(page)


def test_the_questions_of_a_study_are_answered_over_rows_of_ones_own(app: str, page: Page) -> None:
    go(page, f"{app}/finder")
    main, side = page.get_by_test_id("stMain"), page.get_by_test_id("stSidebar")
    side.get_by_role("radio", name="Set of prompts").click()
    heading(page, "Induction score: every head")
    wait_until_done(page)
    pick(page, side.get_by_role("combobox", name="Set of prompts"), "Your own rows")
    expect(main.get_by_text("There are no rows yet")).to_be_visible()
    rows = side.get_by_role("textbox", name="Rows")
    rows.fill(OWN)
    rows.press("Control+Enter")
    # The mean of a head's score, and how sure it is.
    means = re.compile(rf"Mean over {len(PAIRS)} prompts.*: L\dH\d \.?\S+ \[\S+, \S+\]")
    wait_until_done(page)
    pick(page, main.get_by_role("combobox", name="Score"), "Previous-token score")
    heading(page, "Previous-token score: every head")
    expect(main.get_by_text(means)).to_be_visible(timeout=60_000)
    # Which head attends most from “it” to what it stands for.
    open_from_menu(page, "attention")
    expect(main.get_by_text("no row has “end” with “answer”")).to_be_visible(timeout=60_000)
    wait_until_done(page)
    pick(page, main.get_by_role("combobox", name="From (destination)"), "it")
    pick(page, main.get_by_role("combobox", name="To (source)"), "antecedent")
    heading(page, "Attention from “it” to “antecedent”: every head")
    expect(main.get_by_text(means)).to_contain_text("Highest mean")
    heading(page, "Highest means")
    # Which heads changed most between two conditions.
    open_from_menu(page, "compare")
    wait_until_done(page)
    main.get_by_role("radio", name="Prompts and corrupt prompts").click()
    heading(page, "Attention from “it” to “antecedent”, prompts less corrupt ones: every head")
    expect(main.get_by_text(means)).to_contain_text("Largest difference")
    heading(page, "Largest differences")
    # And what the loss of a head changes in the others.
    wait_until_done(page)
    main.get_by_role("radio", name="With and without a head").click()
    heading(page, re.compile("without L0H. less with it: every head"))
