"""The head grid inside the app: what is looked at is in the link, and a link brings it back."""

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage, wait_until_done
from tests.hostile import HOSTILE

pytestmark = pytest.mark.browser


def go(page: Page, address: str, heads: int = 16) -> None:
    page.goto(address)
    wait_until_done(page)
    expect(page.locator(".hg")).to_have_attribute("data-drawn", str(heads), timeout=60_000)


def head(page: Page, label: str) -> Locator:
    layer, number = label[1:].split("H")
    heads = page.get_by_role("listbox", name="Attention heads").get_by_role("option")
    return heads.and_(page.get_by_label(re.compile(rf"Layer {layer} head {number}\b")))


def token(page: Page, position: int) -> Locator:
    return page.locator(f".hg-token[data-token='{position}']")


def in_link(page: Page, *parts: str) -> None:
    for part in parts:
        expect(page).to_have_url(re.compile(rf"[?&]{re.escape(part)}(&|$)"), timeout=30_000)


def leave(page: Page) -> None:
    """Take the mouse off the pictures, so that what is shown is what is in focus."""
    page.mouse.move(2, 2)


def test_what_is_looked_at_is_in_the_link_and_comes_back_in_a_fresh_browser(
    app: str, open_page: OpenPage
) -> None:
    first = open_page()
    go(first, f"{app}/attention")
    head(first, "L1H4").click()
    in_link(first, "layer=1", "head=4", "locked=L1H4")
    head(first, "L0H2").click(modifiers=["Shift"])
    in_link(first, "head=2", "locked=L1H4%2CL0H2")
    token(first, 9).click()
    in_link(first, "at=9")
    first.get_by_role("button", name="source → destination").click()
    in_link(first, "direction=src", "at=9", "locked=L1H4%2CL0H2", "head=2")
    wait_until_done(first)
    leave(first)
    expect(first.locator(".hg")).to_have_attribute("data-shown", "L1H4 L0H2")
    link, said = first.url, first.locator(".hg-status").inner_text()

    second = open_page()
    go(second, link)
    expect(second.locator(".hg")).to_have_attribute("data-shown", "L1H4 L0H2")
    expect(token(second, 9)).to_have_attribute("aria-pressed", "true")
    expect(second.locator(".hg-status")).to_have_text(said)
    expect(head(second, "L0H2")).to_have_attribute("aria-selected", "true")
    assert second.url == link


def test_paging_with_the_arrow_keys_ends_in_the_link(app: str, page: Page) -> None:
    go(page, f"{app}/attention?layer=0&head=0")
    head(page, "L0H0").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    in_link(page, "layer=1", "head=3")
    expect(page.locator(".hg")).to_have_attribute("data-shown", "L1H3")


def test_circuitsvis_and_back_keeps_the_head_in_focus(app: str, page: Page) -> None:
    go(page, f"{app}/attention")
    head(page, "L1H5").click()
    in_link(page, "layer=1", "head=5")
    wait_until_done(page)
    page.get_by_role("radio", name="One layer in CircuitsVis").click()
    expect(page.get_by_role("heading", name="L1H5 in full")).to_be_visible(timeout=60_000)
    wait_until_done(page)
    page.get_by_label("Head in full").click()
    page.get_by_role("option", name="6").click()
    expect(page.get_by_role("heading", name="L1H6 in full")).to_be_visible(timeout=60_000)
    wait_until_done(page)
    page.get_by_role("radio", name="All heads").click()
    expect(page.locator(".hg")).to_have_attribute("data-drawn", "16", timeout=60_000)
    in_link(page, "layer=1", "head=6")
    leave(page)
    # The head that was locked stays on show only while the focus is one of the locked ones.
    expect(page.locator(".hg")).to_have_attribute("data-shown", "L1H6")


def test_the_view_is_kept_when_the_prompt_changes(app: str, page: Page) -> None:
    go(page, f"{app}/attention")
    head(page, "L1H4").click()
    in_link(page, "layer=1", "head=4", "locked=L1H4")
    wait_until_done(page)
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("Alice saw Alice")
    prompt.press("Control+Enter")
    expect(page).to_have_url(re.compile("prompt=Alice"))
    expect(page.locator(".hg-tokens:not([hidden])")).to_contain_text("·saw")
    expect(page.locator(".hg")).to_have_attribute("data-drawn", "16")
    leave(page)
    expect(page.locator(".hg")).to_have_attribute("data-shown", "L1H4")
    in_link(page, "layer=1", "head=4", "locked=L1H4")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_hostile_tokens_in_the_grid_are_only_text(
    app: str, open_page: OpenPage, theme: str
) -> None:
    page = open_page(color_scheme=theme)
    go(page, f"{app}/attention?layer=1&head=4&prompt={quote(' '.join(HOSTILE))}")
    token(page, 3).click()
    in_link(page, "at=3")
    expect(page.locator(".hg-status")).to_contain_text("at 3 attends to")
    page.locator(".hg-picture").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".hg-live")).not_to_be_empty()
    expect(page.locator(".hg img, .hg script, .hg svg, .hg-tokens b")).to_have_count(0)
    assert page.evaluate("window.canary") is None


def test_a_pattern_is_weighted_by_the_answer_and_stays_so_on_the_heads_own_page(
    app: str, page: Page
) -> None:
    go(page, f"{app}/attention?layer=1&head=4")
    page.get_by_role("radio", name="answer-weighted").click()
    in_link(page, "weighting=answer")
    picture = page.locator(".hg-picture")
    expect(picture).to_have_attribute("aria-label", re.compile("^Answer-weighted"), timeout=60_000)
    expect(page.locator(".hg-scale")).to_contain_text("logits")
    # L1H4 copies the second half of "Alice": from " Al" it looks at the earlier "ice".
    token(page, 30).click()
    leave(page)
    expect(page.locator(".hg-status")).to_contain_text(re.compile(r"reads from ice at 13 \(\+5\."))
    wait_until_done(page)
    page.get_by_role("link", name="Open L1H4").click()
    in_link(page, "weighting=answer")
    weights = page.get_by_role("radio", name="answer-weighted")
    expect(weights).to_be_checked(timeout=60_000)


def test_cells_are_weighted_by_what_comes_of_them_and_the_link_says_so(
    app: str, open_page: OpenPage
) -> None:
    first = open_page()
    go(first, f"{app}/attention")
    head(first, "L1H4").click()
    said = first.locator(".hg-status")
    token(first, 9).click()
    in_link(first, "at=9", "locked=L1H4")
    wait_until_done(first)
    attention = said.inner_text()
    first.get_by_role("radio", name="value-weighted").click()
    in_link(first, "weighting=value", "at=9", "locked=L1H4")
    wait_until_done(first)
    expect(said).not_to_have_text(attention)
    by_value = said.inner_text()

    second = open_page()
    go(second, first.url)
    expect(second.locator(".hg-status")).to_have_text(by_value)
    second.get_by_role("radio", name="attention", exact=True).click()
    expect(second).not_to_have_url(re.compile("weighting="), timeout=30_000)
    expect(second.locator(".hg-status")).to_have_text(attention)
