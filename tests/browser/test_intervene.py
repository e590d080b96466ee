"""Edits by hand in real Chromium: as they are made, in a follower's browser, and by their link."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, wait_until_done
from tests.browser.test_present import _join, _open_room

pytestmark = pytest.mark.browser
PROMPT = "The+cat+sat.+The+cat+saw+the+dog"


def _loss(page: Page) -> str:
    shown = page.get_by_test_id("stMetric").filter(has_text="Loss with the recipe")
    return shown.get_by_test_id("stMetricValue").inner_text()


def test_a_recipe_is_made_by_hand_followed_in_a_room_and_kept_by_its_link(
    app: str, open_page: OpenPage
) -> None:
    presenter, follower = open_page(), open_page(viewport={"width": 390, "height": 844})
    presenter.goto(f"{app}/intervene?prompt={PROMPT}&recipe=none&layer=1&head=4")
    expect(presenter.get_by_text("No step yet")).to_be_visible(timeout=120_000)
    wait_until_done(presenter)
    letters = _open_room(presenter)
    follower.goto(f"{app}/join")
    wait_until_done(follower)
    _join(follower, letters)
    expect(follower.get_by_text("No step yet")).to_be_visible(timeout=120_000)
    clean = _loss(presenter)

    presenter.get_by_role("button", name="Look only here").click()
    looks = re.compile(r"1\. L1H4 looks from position")
    expect(presenter.get_by_text(looks)).to_be_visible(timeout=60_000)
    expect(follower.get_by_text(looks)).to_be_visible(timeout=60_000)
    wait_until_done(presenter)

    presenter.get_by_role("button", name="Add a step").click()
    presenter.get_by_role("button", name="Add", exact=True).click()
    expect(presenter.get_by_text("2. output of L1H4 times 0")).to_be_visible(timeout=60_000)
    presenter.keyboard.press("Escape")
    wait_until_done(presenter)
    silent = _loss(presenter)
    assert silent != clean
    presenter.get_by_role("slider", name="Times, step 2").press("End")
    expect(presenter.get_by_text("2. output of L1H4 times 2")).to_be_visible(timeout=60_000)
    wait_until_done(presenter)
    assert _loss(presenter) != silent
    expect(follower.get_by_text("2. output of L1H4 times 2")).to_be_visible(timeout=60_000)

    presenter.get_by_role("button", name="Write 20 tokens").click()
    ends = presenter.get_by_text(re.compile("They part at new token|Both texts are the same"))
    expect(ends).to_be_visible(timeout=60_000)
    wait_until_done(presenter)
    said, url = ends.inner_text(), presenter.url
    other = open_page()
    other.goto(url)
    expect(other.get_by_text(looks)).to_be_visible(timeout=120_000)
    expect(other.get_by_text(said)).to_be_visible(timeout=60_000)
    wait_until_done(other)
    assert _loss(other) == _loss(presenter)
