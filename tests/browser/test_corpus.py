"""Windows of a text in a real browser: both directions of a strip, without a message."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import wait_until_done

pytestmark = pytest.mark.browser


def test_a_strip_shows_what_a_token_attends_to_and_what_attends_to_it(app: str, page: Page) -> None:
    frames: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: frames.append(frame)))
    page.goto(f"{app}/corpus?layer=1&head=4")
    wait_until_done(page)
    window = page.locator(".ws-window").first
    expect(window).to_be_visible(timeout=60_000)
    expect(page.locator(".ws-window")).to_have_count(22)
    status = window.locator(".hg-status")
    # The strongest query is active at first, and its key coloured.
    expect(status).to_contain_text("attends to")
    query = int(window.locator(".hg-token.is-active").get_attribute("data-token") or -1)
    coloured = window.locator(".hg-token[style*='rgb']")
    assert coloured.count() > 0
    before = len(frames)
    token = window.locator(f".hg-token[data-token='{query - 1}']")
    token.hover()
    expect(token).to_have_class("hg-token is-active")
    key = window.locator(".hg-note, .ws-note").first.inner_text()
    assert "Largest attention" in key
    window.get_by_role("button", name="source → destination").click()
    page.mouse.move(2, 2)
    expect(status).not_to_contain_text("attends to")
    expect(window.locator("button[aria-pressed=true]").first).to_contain_text("destination")
    assert len(frames) == before
