"""Roles in real Chromium: from a role to its heads, to one head, to a verdict."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import wait_until_done
from tests.browser.test_app import go, heading

pytestmark = pytest.mark.browser


def test_from_a_role_to_its_verdict(app: str, page: Page) -> None:
    go(page, f"{app}/roles?set=repeated-name&rows=8&role=induction-on-text")
    heading(page, "Induction on text: every head")
    wait_until_done(page)
    page.get_by_role("button", name="Does it matter?").click()
    expect(page.get_by_text(re.compile("random groups .* on average"))).to_be_visible(
        timeout=60_000
    )
    expect(page).to_have_url(re.compile("judge=1"))
    wait_until_done(page)
    expect(page.get_by_role("heading", name=re.compile("^(Cause|Correlate)$"))).to_be_visible()
    # A role that no head looks like has nothing to take out.
    go(page, f"{app}/roles?set=repeated-name&rows=8&role=successor&judge=1")
    heading(page, "Successor: every head")
    expect(page.get_by_role("heading", name="Null", exact=True)).to_be_visible()
