"""The head dossier and the finder, in real Chromium."""

import re

import pytest
from playwright.sync_api import Page, expect

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
