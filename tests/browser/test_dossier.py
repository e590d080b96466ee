"""The head dossier and the finder, in real Chromium."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_app import go, heading

pytestmark = pytest.mark.browser


def click_in_plot(page: Page, index: int, across: float, down: float) -> None:
    """Click at a share of a figure's plotting area."""
    area = page.locator(".js-plotly-plot").nth(index).locator(".nsewdrag").first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * down)
    page.mouse.down()
    page.mouse.up()


def test_a_dossier_opens_from_its_address(app: str, page: Page) -> None:
    go(page, f"{app}/head?layer=1&head=4")
    for section in (
        "Where L1H4 looks",
        "Scores",
        "Why does it attend there?",
        "What it adds to the logits",
        "What breaks without it",
        "What it writes and what it looks for",
        "Who it works with",
    ):
        heading(page, section)
    expect(page.get_by_text("⚠")).to_have_count(0)
    expect(page.get_by_text("Something went wrong")).to_have_count(0)


def test_a_heat_map_leads_to_the_dossier(app: str, page: Page) -> None:
    go(page, f"{app}/ablation?length=20&batch=3")
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=60_000)
    click_in_plot(page, 0, 2.5 / 8, 0.75)
    page.get_by_role("link", name="Open L1H2").click()
    heading(page, "Where L1H2 looks")
    expect(page).to_have_url(re.compile("/head.*layer=1&head=2"))


def test_a_dot_of_the_finder_leads_to_the_dossier(app: str, page: Page) -> None:
    go(page, f"{app}/finder?x=previous&y=previous")
    expect(page.locator(".js-plotly-plot .point").first).to_be_visible(timeout=60_000)
    # The previous-token head is alone in the upper right corner; its dot comes last to be drawn.
    dots = page.locator(".js-plotly-plot .trace").first.locator(".point")
    boxes = [dots.nth(i).bounding_box() for i in range(dots.count())]
    top = min((box for box in boxes if box), key=lambda box: box["y"])
    page.mouse.move(top["x"] + top["width"] / 2, top["y"] + top["height"] / 2)
    page.mouse.down()
    page.mouse.up()
    heading(page, re.compile("Where L0H. looks"))
    expect(page).to_have_url(re.compile("/head.*input=repeated"))


def test_the_next_head_is_one_key_away(app: str, page: Page) -> None:
    go(page, f"{app}/head?layer=0&head=7")
    heading(page, "Where L0H7 looks")
    page.get_by_role("heading", name="Head", exact=True).click()
    page.keyboard.press("n")
    heading(page, "Where L1H0 looks")
    expect(page).to_have_url(re.compile("layer=1"))
    page.keyboard.press("p")
    heading(page, "Where L0H7 looks")


def test_a_click_on_the_pattern_splits_that_score(app: str, open_page: OpenPage) -> None:
    page = open_page()
    go(page, f"{app}/head?layer=1&head=4&prompt=the+cat+saw+the+dog")
    heading(page, "Why does it attend there?")
    click_in_plot(page, 0, 0.25, 0.75)
    expect(page).to_have_url(re.compile("dest=[0-9]+&src=[0-9]+"))
    expect(page.get_by_text("The bars on either side sum to that score")).to_be_visible()

    again = open_page()
    go(again, page.url)
    for label in ("Destination (query)", "Source (key)"):
        value = page.get_by_label(label).input_value()
        expect(again.get_by_label(label)).to_have_value(value)


def test_positions_can_be_typed(app: str, page: Page) -> None:
    go(page, f"{app}/head?layer=1&head=4&prompt=the+cat+saw+the+dog")
    page.get_by_label("Destination (query)").fill("3")
    page.get_by_label("Destination (query)").press("Enter")
    expect(page).to_have_url(re.compile("dest=3"))
    expect(page.get_by_text(re.compile("From 3 “"))).to_be_visible()
