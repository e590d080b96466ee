"""Findings in a real browser: kept there, over a reload and a new session, and handed on."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from headscope.command import main
from tests.browser.conftest import WINDOW, OpenPage, wait_until_done
from tests.hostile import PAYLOADS

pytestmark = pytest.mark.browser

PATIENCE = 60_000
_STORED = "localStorage.getItem('headscope.findings')"
_CLAIM = f"It copies {PAYLOADS[2]}"


def test_a_finding_is_kept_in_the_browser_checked_and_opened_by_another_visitor(
    open_page: OpenPage, app: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Visitors of their own: what their browsers keep is in nobody else's way.
    page, other = (open_page(viewport=WINDOW) for _ in range(2))
    page.goto(f"{app}/head?layer=1&head=4&input=repeated&length=9&batch=2")
    wait_until_done(page)
    page.locator(".st-key-Keep-of-Scores").get_by_role("button").click()
    claim = page.get_by_label("What you claim")
    expect(claim).to_have_value("Scores", timeout=PATIENCE)
    claim.fill(_CLAIM)
    page.get_by_label("Your name for L1H4").fill("Echo")
    page.get_by_role("button", name="Keep as a finding").click()
    page.wait_for_function(f"() => ({_STORED} ?? '').includes('Echo')", timeout=PATIENCE)

    page.goto(f"{app}/findings")
    _expect_checked(page)
    expect(page.get_by_text("L1H4 of attn-only-2l is called “Echo”.")).to_be_visible()
    # As a file it is checked without a screen, too.
    page.get_by_role("button", name="Take along").click()
    with page.expect_download(timeout=PATIENCE) as saved:
        page.get_by_role("button", name="File", exact=True).click(timeout=PATIENCE)
    page.keyboard.press("Escape")
    assert main(["check", str(saved.value.path())]) == 0
    said = capsys.readouterr().out
    assert said.startswith(_CLAIM) and "  holds " in said and "differs" not in said
    page.get_by_role("button", name="Share it").click()
    link = page.locator("code", has_text="/findings?finding=")
    expect(link).to_be_visible(timeout=PATIENCE)
    address = link.inner_text()
    assert parse_qs(urlsplit(address).query)["finding"]

    other.goto(address)
    expect(other.get_by_text("Shared with you")).to_be_visible(timeout=PATIENCE)
    _expect_checked(other)
    assert other.evaluate(_STORED) is None
    other.get_by_role("button", name="Keep it with yours").click()
    other.wait_for_function(f"() => {_STORED} !== null", timeout=PATIENCE)
    there, here = (json.loads(each.evaluate(_STORED)) for each in (page, other))
    assert here["findings"] == there["findings"]
    for each in (page, other):
        assert each.evaluate("window.canary") is None


def _expect_checked(page: Page) -> None:
    expect(page.get_by_text("being checked")).to_have_count(0, timeout=PATIENCE)
    expect(page.get_by_text("holds", exact=True).first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("differs: now")).to_have_count(0)
    expect(page.get_by_role("heading", name=_CLAIM)).to_be_visible()
