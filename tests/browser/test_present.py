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
    wait_until_done(page)
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("2 of 2")).to_be_visible()
    # A step beyond the last does nothing; an arrow in a choice moves the choice.
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("/learn"))
    wait_until_done(page)
    page.get_by_role("radio").first.focus()
    page.keyboard.press("ArrowLeft")
    wait_until_done(page)
    expect(page).to_have_url(re.compile("/learn.*answers="))
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("1 of 2")).to_be_visible()
    expect(page).to_have_url(re.compile("/tokens"))
    page.get_by_role("button", name="End presenter mode").click()
    expect(page.get_by_test_id("stSidebar")).to_be_visible()


def test_a_presenter_who_reloads_goes_on_presenting(app: str, open_page: OpenPage) -> None:
    presenter, follower = open_page(), open_page()
    presenter.goto(f"{app}/glossary")
    wait_until_done(presenter)
    _present(presenter)
    with presenter.expect_response(re.compile("/room-key")) as kept:
        presenter.get_by_role("button", name="Open a room").click()
    assert kept.value.status == 204
    follower.goto(presenter.get_by_text(re.compile(r"\?room=")).first.inner_text().strip())
    expect(follower).to_have_url(re.compile("/glossary"))
    presenter.reload()
    wait_until_done(presenter)
    assert "headscope_room" not in presenter.evaluate("document.cookie")
    with presenter.expect_response(re.compile("/room-key")):
        presenter.get_by_role("button", name="Go on presenting").click()
    open_from_menu(presenter, "learn")
    expect(follower).to_have_url(re.compile("/learn"))
    # Nobody else is offered the room.
    expect(follower.get_by_role("button", name="Go on presenting")).to_have_count(0)
    wait_until_done(follower)
    follower.get_by_role("button", name="Leave the room").click()
    expect(follower.get_by_text("Following the presenter.")).to_have_count(0)
    _present(presenter)
    presenter.get_by_role("button", name="Close the room").click()
    expect(presenter.get_by_role("button", name="Open a room")).to_be_visible()


def test_a_file_that_is_no_list_is_refused_in_a_sentence(app: str, page: Page) -> None:
    page.goto(f"{app}/glossary")
    wait_until_done(page)
    _present(page)
    chooser = page.locator("input[type=file]").last

    def give(name: str, data: bytes) -> None:
        chooser.set_input_files({"name": name, "mimeType": "text/plain", "buffer": data})

    give("list.txt", b"\x89PNG\r\n\x1a\n\xff\xfe\x00<script>")
    expect(page.get_by_text("The file is not text, so it holds no list.")).to_be_visible()
    give("long.txt", b"/head\n" * 20_000)
    expect(page.get_by_text("The list is longer than 100,000 characters.")).to_be_visible()
    give("huge.txt", b"/head\n" * 1_700_000)
    expect(page.get_by_text("File must be 1.0MB or smaller.")).to_be_visible()
    give("picture.png", b"/head")
    expect(page.get_by_text(re.compile("files are not allowed"))).to_be_visible()
    expect(page.get_by_role("button", name="Start presenting")).to_be_visible()
