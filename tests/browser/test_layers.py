"""A forward pass played in real Chromium: by mouse, by keys, and with heads switched off."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, wait_until_done

pytestmark = pytest.mark.browser
PATIENCE = 60_000
VIEW = "layers?model=gelu-4l&input=prompt&prompt=The+cat+sat+on+the+mat.+The+cat+sat+on+the"


def test_a_pass_is_played_and_a_head_switched_off_by_a_click(app: str, open_page: OpenPage) -> None:
    page = open_page(reduced_motion="reduce")
    page.goto(f"{app}/{VIEW}")
    root = page.locator(".fp")
    expect(root).to_have_attribute("data-depth", "4", timeout=120_000)  # its end
    wait_until_done(page)
    first = root.locator(".fp-guess[data-rank='0']")
    expect(first).to_be_visible()
    said = root.locator(".fp-guesses").inner_text()
    # Nothing moves for who asks for less motion, and play still goes on from layer to layer.
    assert first.evaluate("row => getComputedStyle(row).transitionDuration") == "0s"
    root.get_by_role("button", name="Play").click()
    expect(root.get_by_role("button", name="Pause")).to_be_visible()
    expect(root.get_by_role("button", name="Play")).to_be_visible(timeout=PATIENCE)
    expect(root).to_have_attribute("data-depth", "4")

    layer = root.get_by_role("slider", name="Layer")
    layer.press("Home")
    expect(root).to_have_attribute("data-depth", "0")
    expect(root.locator(".fp-note")).to_contain_text("no head has read anything")
    layer.press("ArrowRight")
    expect(root.locator(".fp-title").first).to_contain_text("After layer 0")
    expect(root.locator(".fp-heads button").first).to_have_text(re.compile("L0H0 · [0-9]+"))
    threshold = root.get_by_role("slider", name="Arcs from")
    threshold.press("Home")
    weak = root.locator(".fp-arcs path").count()
    threshold.press("End")
    assert root.locator(".fp-arcs path").count() < weak

    layer.press("End")
    head = root.locator("[data-head='L3H0']")
    head.press("Enter")
    expect(head).to_have_text("L3H0 off", timeout=PATIENCE)
    expect(page).to_have_url(re.compile("off=L3H0"))
    expect(page.get_by_text("without L3H0 it says")).to_be_visible(timeout=PATIENCE)
    expect(root).to_have_attribute("data-depth", "4")  # it stays where it was
    assert root.locator(".fp-guesses").inner_text() != said
    wait_until_done(page)
    page.get_by_role("button", name="Switch all on").click()
    expect(head).to_have_attribute("aria-pressed", "false", timeout=PATIENCE)
    expect(root.locator(".fp-guesses")).to_have_text(re.compile(re.escape(said.split("\n")[0])))
    wait_until_done(page)

    root.locator(".fp-word").nth(3).locator("rect").click()
    expect(page).to_have_url(re.compile("position=3"), timeout=PATIENCE)
    expect(root.locator(".fp-title").first).to_contain_text("after 3 ", timeout=PATIENCE)
