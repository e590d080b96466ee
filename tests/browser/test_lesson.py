"""The whole lesson as a learner goes through it, in real Chromium."""

import re

import pytest
from playwright.sync_api import Page, expect

from app.sections.lesson.induction.steps import STEPS
from app.sections.lesson.lesson import Step
from tests.browser.conftest import wait_until_done

pytestmark = pytest.mark.browser
RIGHT = ("second", "L1H2", "high", "layer0", "L0H0", "fades", "high", "circuit")


def _answer(page: Page, step: Step, answer: str) -> None:
    choices = page.get_by_test_id("stRadio").or_(page.get_by_test_id("stButtonGroup"))
    choices.get_by_text(dict(step.options)[answer], exact=True).click()


def test_a_learner_goes_through_every_step(app: str, page: Page) -> None:
    page.goto(f"{app}/learn")
    said_right = page.get_by_test_id("stAlertContentSuccess")
    for number, (step, answer) in enumerate(zip(STEPS, RIGHT, strict=True), start=1):
        expect(page.get_by_role("heading", name=step.title, exact=True)).to_be_visible()
        expect(page.get_by_text(f"Step {number} of {len(STEPS)}")).to_be_visible()
        if number == 2:
            _answer(page, step, "L1H0")
            expect(page.get_by_text("L1H0 has no line 24 positions below")).to_be_visible()
        wait_until_done(page)
        _answer(page, step, answer)
        expect(said_right).to_be_visible()
        expect(page.locator(".js-plotly-plot").first).to_be_visible()
        wait_until_done(page)
        if number == 4:
            page.reload()
            expect(page.get_by_text("Step 4 of 8 · 4 answered")).to_be_visible()
            expect(said_right).to_be_visible()
        if number < len(STEPS):
            page.get_by_role("button", name="Next step").click()
            expect(page).to_have_url(re.compile(f"lesson={number + 1}"))
    expect(page.get_by_text("Go on with L1H2 on your own")).to_be_visible()
    assert "answers=second%2CL1H2%2Chigh%2Clayer0%2CL0H0%2Cfades%2Chigh%2Ccircuit" in page.url
    page.get_by_role("link", name="Open L1H2", exact=False).first.click()
    expect(page).to_have_url(re.compile("/head"))
