"""The page of training in a real browser: a checkpoint is chosen and opened on another page."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import wait_until_done

pytestmark = pytest.mark.browser


def test_a_checkpoint_is_chosen_and_opened_on_another_page(app: str, page: Page) -> None:
    page.goto(f"{app}/training")
    wait_until_done(page)
    slider = page.get_by_role("slider", name="Checkpoint")
    slider.focus()
    slider.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"step=1693"))
    expect(page.get_by_role("heading", name="at step 1,693")).to_be_visible()
    wait_until_done(page)
    page.get_by_role("link", name="Open in Attention").click()
    expect(page).to_have_url(re.compile(r"/attention\?.*model=attn-only-2l(@|%40)1693"))
    wait_until_done(page)
    expect(page.get_by_role("heading", name="Attention", exact=True)).to_be_visible()
    picker = page.get_by_test_id("stSidebar").get_by_role("combobox", name="Model")
    expect(picker).to_have_value("Attention-only, 2 layers, step 1,693")


def test_a_click_on_a_line_puts_its_head_in_focus(app: str, page: Page) -> None:
    page.goto(f"{app}/training?layer=0&head=0")
    wait_until_done(page)
    chart = page.get_by_test_id("stPlotlyChart").nth(1)
    chart.scroll_into_view_if_needed()
    # The last trace is the head in focus; the one before it is another head.
    point = chart.locator(".scatterlayer .trace").nth(-2).locator(".point").last
    point.click(force=True)
    expect(page).to_have_url(re.compile(r"(layer=1|head=[1-7])"))
