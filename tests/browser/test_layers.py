"""A forward pass played in real Chromium: by mouse, by keys, and with heads switched off."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, open_from_menu, wait_until_done
from tests.browser.test_present import _join, _open_room

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


def test_the_layer_and_the_arcs_are_in_the_link_and_followed_in_a_room(
    app: str, open_page: OpenPage
) -> None:
    presenter, follower = open_page(), open_page()
    presenter.goto(f"{app}/{VIEW}&depth=1&arcs=0.2&tofirst=1")
    root, seen = presenter.locator(".fp"), follower.locator(".fp")
    expect(root).to_have_attribute("data-depth", "1", timeout=120_000)
    expect(root.locator(".fp-note")).to_contain_text("from attention of 0.20.")
    expect(root.get_by_role("checkbox")).to_be_checked()
    wait_until_done(presenter)
    letters = _open_room(presenter)
    follower.goto(f"{app}/join")
    wait_until_done(follower)
    _join(follower, letters)
    expect(seen).to_have_attribute("data-depth", "1", timeout=120_000)

    root.get_by_role("slider", name="Layer").press("ArrowRight")
    root.get_by_role("slider", name="Arcs from").press("End")
    root.get_by_role("checkbox").uncheck()
    expect(presenter).to_have_url(re.compile("depth=2&arcs=1(?!.*tofirst)"), timeout=PATIENCE)
    expect(seen).to_have_attribute("data-depth", "2", timeout=PATIENCE)
    expect(seen.locator(".fp-note")).to_contain_text("from attention of 1.00", timeout=PATIENCE)
    expect(seen.get_by_role("checkbox")).not_to_be_checked()
    # Played to its end, it is there for followers too; and what was shown to them is no choice of
    # theirs: they still follow.
    wait_until_done(presenter)
    root.get_by_role("button", name="Play").click()
    expect(presenter).to_have_url(re.compile("/layers(?!.*depth=)"), timeout=PATIENCE)
    expect(seen).to_have_attribute("data-depth", "4", timeout=PATIENCE)
    expect(follower.get_by_text("Following the presenter.")).to_be_visible()

    # A click that leaves the page is not undone by what was looked at just before.
    wait_until_done(presenter)
    root.get_by_role("slider", name="Layer").press("Home")
    open_from_menu(presenter, "glossary")
    expect(presenter).to_have_url(re.compile("/glossary"), timeout=PATIENCE)
    wait_until_done(presenter)
    expect(presenter).to_have_url(re.compile("/glossary"))
    expect(follower).to_have_url(re.compile("/glossary"), timeout=PATIENCE)
