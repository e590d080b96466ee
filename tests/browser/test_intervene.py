"""Edits by hand in real Chromium: made, followed, kept by their link, and found for an answer."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, wait_until_done
from tests.browser.test_app import go, heading
from tests.browser.test_present import _join, _open_room

pytestmark = pytest.mark.browser
PATIENCE = 60_000
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


def test_heads_that_an_answer_rests_on_are_found_and_become_the_recipe(
    app: str, page: Page
) -> None:
    go(page, f"{app}/intervene?recipe=none&answer=+She&foil=+But")
    wait_until_done(page)
    page.get_by_role("button", name="Remove heads until the foil wins").click()
    found = page.get_by_text("the model prefers")
    expect(found).to_be_visible(timeout=PATIENCE)
    heading(page, "Is each of these heads needed?")
    wait_until_done(page)
    expect(page).to_have_url(re.compile("flip=1"))
    heads = re.findall(r"L\d+H\d+", found.inner_text())
    page.get_by_role("button", name="Make these the recipe").click()
    recipe = "_".join(f"{head}x0" for head in heads)
    expect(page).to_have_url(re.compile(f"recipe={recipe}"), timeout=PATIENCE)
    wait_until_done(page)
    for head in heads:
        expect(page.get_by_text(f"output of {head} times 0")).to_be_visible(timeout=PATIENCE)
    after = page.get_by_test_id("stMetric").filter(has_text="With the recipe").first
    expect(after.get_by_test_id("stMetricValue")).to_have_text(re.compile("^-"), timeout=PATIENCE)
