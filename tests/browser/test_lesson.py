"""The whole lesson as a learner goes through it, in real Chromium."""

import re

import pytest
from playwright.sync_api import Page, expect

from app.sections.lesson.induction.steps import SETTINGS, Evidence, steps_of
from app.sections.lesson.lesson import Step
from tests.browser.conftest import OpenPage, wait_until_done

pytestmark = pytest.mark.browser
STEPS = steps_of(SETTINGS[0])
RIGHT = ("second", "L1H2", "high", "layer0", "L0H0", "fades", "high", "circuit")


def _answer(page: Page, step: Step[Evidence], answer: str) -> None:
    choices = page.get_by_test_id("stRadio").or_(page.get_by_test_id("stButtonGroup"))
    choices.get_by_text(dict(step.options)[answer], exact=True).click()


def _expect_on_one_screen(page: Page) -> None:
    """What is asked, its button and the whole picture, in a window of 900 pixels."""
    for part in (
        page.get_by_text("Step ", exact=False).first,
        page.get_by_role("button", name="Next step"),
        page.locator(".js-plotly-plot").first,
    ):
        box = part.bounding_box()
        assert box and box["y"] >= 0 and box["y"] + box["height"] <= 900, box


def test_a_learner_goes_through_every_step(app: str, page: Page) -> None:
    page.goto(f"{app}/learn")
    said_right = page.get_by_test_id("stAlertContentSuccess")
    go_on = page.get_by_role("button", name="Next step")
    for number, (step, answer) in enumerate(zip(STEPS, RIGHT, strict=True), start=1):
        expect(page.get_by_role("heading", name=step.title, exact=True)).to_be_visible()
        expect(page.get_by_text(f"Step {number} of {len(STEPS)}")).to_be_visible()
        wait_until_done(page)
        if number < len(STEPS):
            expect(go_on).to_be_disabled()
        if number == 2:
            _answer(page, step, "L1H0")
            expect(page.get_by_text("L1H0 has no line 24 positions below")).to_be_visible()
            wait_until_done(page)
            expect(go_on).to_be_disabled()
        if number == 3:
            page.get_by_role("button", name="Show me").click()
            expect(page.get_by_text("over 50 %.")).to_be_visible()
            expect(said_right).to_have_count(0)
        else:
            _answer(page, step, answer)
            expect(said_right).to_be_visible()
        expect(page.locator(".js-plotly-plot").first).to_be_visible()
        wait_until_done(page)
        if number == 4:
            page.reload()
            expect(said_right).to_be_visible()
            wait_until_done(page)
        if number < len(STEPS):
            if number in (2, 4):
                _expect_on_one_screen(page)
            go_on.click()
            expect(page).to_have_url(re.compile(f"lesson={number + 1}"))
    expect(page.get_by_role("heading", name="What you have found")).to_be_visible()
    expect(page.get_by_text("7 of 8 by yourself, 1 shown.")).to_be_visible()
    assert "answers=second%2CL1H2%2Cshown%2Clayer0%2CL0H0%2Cfades%2Chigh%2Ccircuit" in page.url
    page.get_by_role("button", name="The same lesson on", exact=False).click()
    expect(page).to_have_url(re.compile("/learn.*model=gelu-4l"), timeout=60_000)
    expect(page.get_by_text("Step 1 of 8")).to_be_visible(timeout=60_000)


def test_a_class_votes_and_the_presenter_sees_for_what(app: str, open_page: OpenPage) -> None:
    presenter, follower = open_page(), open_page(viewport={"width": 390, "height": 844})
    presenter.goto(f"{app}/learn")
    wait_until_done(presenter)
    presenter.get_by_role("button", name="Present").click()
    presenter.get_by_role("button", name="Open a room").click()
    button = presenter.locator(".st-key-room-bar").get_by_role("button", name="following")
    expect(button).to_be_visible()
    found = re.search("[B-Z]{5}", button.inner_text())
    assert found
    presenter.keyboard.press("Escape")
    follower.goto(f"{app}/join")
    wait_until_done(follower)
    follower.get_by_label("Code of a room").fill(found[0])
    follower.get_by_role("button", name="Join", exact=True).click()
    expect(follower).to_have_url(re.compile("/learn"), timeout=60_000)
    expect(follower.get_by_text("Vote.", exact=True)).to_be_visible(timeout=60_000)
    wait_until_done(follower)
    for vote in ("In the first half", "In the second half"):
        follower.get_by_text(vote, exact=True).click()
        expect(follower.get_by_text("Your vote is counted.")).to_be_visible(timeout=60_000)
        bar = presenter.locator(".hs-poll > div").filter(has_text=vote)
        expect(bar.locator("b")).to_have_text("1", timeout=60_000)
    expect(presenter.get_by_text("1 of 1 have voted.")).to_be_visible()
    # A vote leads nobody away, and what the presenter answers is told to all.
    expect(follower.get_by_text("Following the presenter.")).to_be_visible()
    presenter.get_by_test_id("stRadio").get_by_text("In the second half", exact=True).click()
    solved = follower.get_by_test_id("stAlertContentSuccess")
    expect(solved).to_be_visible(timeout=60_000)
    expect(follower.get_by_text("Following the presenter.")).to_be_visible()
    wait_until_done(follower)
    follower.get_by_role("button", name="Leave the room").click()
    expect(follower.get_by_text("Following the presenter.")).to_have_count(0)
