"""A presenter and a follower in two browsers, and views stepped through by key."""

import re
import time

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, open_from_menu, wait_until_done

pytestmark = pytest.mark.browser


def _present(page: Page) -> None:
    page.get_by_role("button", name="Present", exact=False).first.click()


def test_a_follower_is_moved_breaks_away_and_comes_back(app: str, open_page: OpenPage) -> None:
    presenter, follower = open_page(), open_page()
    presenter.goto(f"{app}/tokens?seed=3")
    wait_until_done(presenter)
    _present(presenter)
    presenter.get_by_role("button", name="Open a room").click()
    code = presenter.get_by_text(re.compile(r"\?room=")).first
    expect(code).to_be_visible()
    link = code.inner_text().strip()
    assert presenter.locator("img, svg").count()
    follower.goto(link)
    expect(follower).to_have_url(re.compile(r"/tokens\?.*seed=3"))
    presenter.keyboard.press("Escape")

    open_from_menu(presenter, "induction")
    expect(presenter).to_have_url(re.compile("/induction"))
    start = time.monotonic()
    expect(follower).to_have_url(re.compile("/induction"))
    print(f"follower moved {time.monotonic() - start:.2f} s after the presenter's address")

    # A menu that is open while the page changes shuts.
    expect(follower.locator(".js-plotly-plot").first).to_be_visible(timeout=60_000)
    wait_until_done(follower)
    open_from_menu(follower, "head")
    expect(follower.get_by_text("Exploring on your own.")).to_be_visible()
    open_from_menu(presenter, "tokens")
    expect(presenter).to_have_url(re.compile("/tokens"))
    follower.wait_for_timeout(2500)
    assert "/head" in follower.url
    assert "/tokens" in presenter.url
    follower.get_by_role("button", name="Back to the presenter").click()
    expect(follower).to_have_url(re.compile("/tokens"))
    follower.get_by_role("button", name="Leave the room").click()
    expect(follower.get_by_text("Following the presenter.")).to_have_count(0)


def test_prepared_views_are_stepped_through_by_key(app: str, page: Page) -> None:
    page.goto(f"{app}/glossary")
    wait_until_done(page)
    _present(page)
    field = page.get_by_label("Prepared views, one link a line")
    field.fill("/tokens?seed=3\n/learn?lesson=3")
    page.get_by_role("button", name="Start presenting").click()
    expect(page).to_have_url(re.compile(r"/tokens\?seed=3"))
    expect(page.get_by_test_id("stSidebar")).to_be_hidden()
    expect(page.get_by_text("1 of 2")).to_be_visible()
    page.keyboard.press("PageDown")
    expect(page).to_have_url(re.compile(r"/learn\?lesson=3"))
    expect(page.get_by_text("2 of 2")).to_be_visible()
    page.keyboard.press("PageUp")
    expect(page).to_have_url(re.compile("/tokens"))
    expect(page.get_by_text("1 of 2")).to_be_visible()
    page.get_by_role("button", name="End presenter mode").click()
    expect(page.get_by_test_id("stSidebar")).to_be_visible()
