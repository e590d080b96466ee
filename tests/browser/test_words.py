"""Words that lead to the glossary, by mouse, by keys and by finger."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_app import go, heading

pytestmark = pytest.mark.browser


def test_a_word_is_explained_where_it_stands_and_opens_in_the_same_tab(
    app: str, page: Page
) -> None:
    go(page, f"{app}/tokens?prompt=The+cat+sat")
    word, card = (
        page.get_by_role("link", name="tokens", exact=True).first,
        page.get_by_role("tooltip"),
    )
    word.hover()
    expect(card).to_contain_text("A piece of text that the model sees as one number.")
    page.get_by_role("heading", name="Tokens", exact=True).hover()
    expect(card).to_be_hidden()
    page.keyboard.press("Tab")
    word.focus()
    expect(card).to_be_visible()
    expect(word).to_have_attribute("aria-describedby", "hs-word")
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    word.click()
    heading(page, "Glossary")
    expect(page).to_have_url(re.compile("/glossary.*term=token"))
    expect(page.get_by_label("Find a word")).to_have_value("token")
    assert len(page.context.pages) == 1
    page.go_back()
    heading(page, "Tokens")


def test_the_letters_of_the_glossary_are_whole(app: str, page: Page) -> None:
    go(page, f"{app}/glossary")
    row, letter = page.locator(".st-key-contents"), page.locator(".st-key-contents li").first
    for each in (row, letter):
        expect(each).to_be_visible()
    # Both at one moment: what stands above them may still come and move them.
    (top, bottom), (letter_top, letter_bottom) = row.evaluate(
        """(row) => [row, row.querySelector("li")].map((each) => {
          const box = each.getBoundingClientRect();
          return [box.top, box.bottom];
        })"""
    )
    assert top <= letter_top < letter_bottom <= bottom


def test_a_finger_reads_first_and_then_opens(app: str, open_page: OpenPage) -> None:
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    go(page, f"{app}/tokens")
    word = page.get_by_role("link", name="tokens", exact=True).first
    word.tap()
    expect(page.get_by_role("tooltip")).to_be_visible()
    box = page.get_by_role("tooltip").bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    word.tap()
    heading(page, "Glossary")
