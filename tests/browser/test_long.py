"""A long text in real Chromium: a head is picked, a token asked about, and its cells shown."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import wait_until_done
from tests.browser.test_app import go, heading

pytestmark = pytest.mark.browser


def test_from_all_heads_to_one_token_and_its_cells(app: str, page: Page) -> None:
    go(page, f"{app}/long?upto=200&layer=1&head=4")
    heading(page, "L1H4: exact cells")
    wait_until_done(page)
    dest = page.get_by_label("From (destination)")
    expect(dest).to_have_value("199")
    dest.fill("120")
    dest.press("Enter")
    expect(page).to_have_url(re.compile("dest=120"), timeout=60_000)
    expect(page.get_by_text(re.compile("looks from token 120"))).to_be_visible(timeout=60_000)
    heading(page, "L1H4: exact cells")
    expect(page.get_by_text(re.compile("Destinations 25 to 120"))).to_be_visible(timeout=60_000)
