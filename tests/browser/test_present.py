"""A presenter and a follower in two browsers, and views stepped through by key."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, open_from_menu, wait_until_done

pytestmark = pytest.mark.browser


def _present(page: Page) -> None:
    page.get_by_role("button", name="Present", exact=True).click()


def _open_room(page: Page) -> str:
    """A room at the page that is shown; its letters."""
    _present(page)
    with page.expect_response(re.compile("/room-key")) as kept:
        page.get_by_role("button", name="Open a room").click()
    assert kept.value.status == 204
    button = page.locator(".st-key-room-bar").get_by_role("button", name="following")
    expect(button).to_be_visible()
    found = re.search("[B-Z]{5}", button.inner_text())
    assert found
    page.keyboard.press("Escape")
    wait_until_done(page)
    return found[0]


def _join(page: Page, typed: str) -> None:
    field = page.get_by_label("Code of a room")
    field.fill(typed)
    expect(field).to_have_value(typed)
    page.get_by_role("button", name="Join", exact=True).click()


def test_a_follower_joins_by_letters_breaks_away_and_comes_back(
    app: str, open_page: OpenPage
) -> None:
    presenter, follower = open_page(), open_page(viewport={"width": 390, "height": 844})
    presenter.goto(f"{app}/tokens?seed=3")
    wait_until_done(presenter)
    letters = _open_room(presenter)
    follower.goto(f"{app}/join")
    wait_until_done(follower)
    _join(follower, "bcdfg")
    expect(follower.get_by_text("No room has that code.")).to_be_visible()
    wait_until_done(follower)
    _join(follower, letters.lower())
    expect(follower).to_have_url(re.compile(r"/tokens\?.*seed=3"), timeout=60_000)
    following = follower.get_by_text("Following the presenter.")
    expect(following).to_be_in_viewport(timeout=60_000)

    open_from_menu(presenter, "glossary")
    expect(follower).to_have_url(re.compile("/glossary"), timeout=60_000)
    wait_until_done(follower)
    # Far down the bar is still there, and a tap on something else is told.
    follower.get_by_test_id("stMarkdown").last.scroll_into_view_if_needed()
    expect(following).to_be_in_viewport()
    follower.get_by_label("Find a word").fill("stripe")
    follower.get_by_label("Find a word").press("Enter")
    expect(follower.get_by_text("You are on your own.")).to_be_in_viewport(timeout=60_000)
    open_from_menu(presenter, "learn")
    expect(presenter).to_have_url(re.compile("/learn"))
    wait_until_done(presenter)
    assert "/glossary" in follower.url
    follower.get_by_role("button", name="Back to the presenter").click()
    expect(follower).to_have_url(re.compile("/learn"), timeout=60_000)
    expect(following).to_be_in_viewport(timeout=60_000)
    wait_until_done(follower)
    follower.get_by_role("button", name="Leave the room").click()
    expect(following).to_have_count(0)


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


def test_a_presenter_who_reloads_or_opens_an_address_is_followed(
    app: str, open_page: OpenPage
) -> None:
    presenter, follower = open_page(), open_page()
    presenter.goto(f"{app}/glossary")
    wait_until_done(presenter)
    _open_room(presenter)
    _present(presenter)
    follower.goto(presenter.get_by_text(re.compile(r"\?room=")).first.inner_text().strip())
    expect(follower).to_have_url(re.compile("/glossary"))
    expect(follower.get_by_text("Following the presenter.")).to_be_visible()
    with presenter.expect_response(re.compile("/room-key")):
        presenter.reload()
    assert "headscope_room" not in presenter.evaluate("document.cookie")
    presenter.goto(f"{app}/learn?lesson=2")
    expect(follower).to_have_url(re.compile("/learn.*lesson=2"), timeout=60_000)
    # Of two tabs only one is followed, and it says which.
    wait_until_done(presenter)
    second = presenter.context.new_page()
    second.goto(f"{app}/glossary")
    expect(second.get_by_text("Another tab presents your room.")).to_be_visible(timeout=60_000)
    second.close()
    # Nobody else is offered the room.
    expect(follower.get_by_role("button", name="Go on presenting")).to_have_count(0)
    wait_until_done(follower)
    follower.get_by_role("button", name="Leave the room").click()
    expect(follower.get_by_text("Following the presenter.")).to_have_count(0)
    presenter.get_by_role("button", name="Close the room").click()
    expect(presenter.locator(".st-key-room-bar")).to_have_count(0)


def test_the_code_is_shown_to_the_last_row_and_a_view_is_added(app: str, page: Page) -> None:
    page.goto(f"{app}/glossary")
    wait_until_done(page)
    letters = _open_room(page)
    page.locator(".st-key-room-bar").get_by_role("button", name="following").click()
    shown = page.locator(".st-key-room-code")
    expect(shown.get_by_text(letters)).to_be_visible()
    box = shown.bounding_box()
    assert box == {"x": 0, "y": 0, **(page.viewport_size or {})}
    expect(shown.get_by_alt_text("The room's QR code")).to_be_visible()
    page.keyboard.press("Escape")
    expect(shown).to_have_count(0)
    wait_until_done(page)
    page.get_by_role("button", name="Add this view").click()
    expect(page.get_by_text("View 1 of the list")).to_be_visible()
    open_from_menu(page, "learn")
    wait_until_done(page)
    page.get_by_role("button", name="Add this view").click()
    expect(page.get_by_text("View 2 of the list")).to_be_visible()
    wait_until_done(page)
    page.get_by_role("button", name="Presenter mode").click()
    expect(page).to_have_url(re.compile("/glossary"), timeout=60_000)
    expect(page.get_by_text("1 of 2")).to_be_visible()
    wait_until_done(page)
    page.keyboard.press("PageDown")
    expect(page).to_have_url(re.compile("/learn"), timeout=60_000)
    expect(page.get_by_text("2 of 2")).to_be_visible()


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


# Texts on the screen that are smaller than so many pixels: nobody in the last row could read them.
_SMALL = """least => {
  const found = [];
  const look = root => {
    for (const element of root.querySelectorAll("*")) {
      if (element.shadowRoot) look(element.shadowRoot);
      const own = [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
      const box = element.getBoundingClientRect();
      const style = getComputedStyle(element);
      const seen = box.width && box.height && box.bottom > 0 && box.top < innerHeight
        && style.visibility !== "hidden" && style.display !== "none" && style.opacity !== "0";
      if (own && seen && !element.closest("style, script, [aria-live], [role=status]")
          && parseFloat(style.fontSize) < least)
        found.push(`${element.textContent.slice(0, 40)} ${style.fontSize}`);
    }
  };
  look(document.querySelector("[data-testid=stMain]"));
  return found;
}"""


def test_presenter_mode_fills_a_screen_and_shows_what_is_pointed_at(
    app: str, open_page: OpenPage
) -> None:
    presenter = open_page(viewport={"width": 1920, "height": 1080})
    follower = open_page(viewport={"width": 390, "height": 844})
    presenter.goto(f"{app}/attention")
    picture = presenter.locator(".hg-picture")
    expect(picture).to_be_visible(timeout=60_000)
    wait_until_done(presenter)
    letters = _open_room(presenter)
    follower.goto(f"{app}/join")
    wait_until_done(follower)
    _join(follower, letters)
    expect(follower).to_have_url(re.compile("/attention"), timeout=60_000)
    presenter.get_by_role("button", name="Presenter mode").click()
    foot = presenter.locator(".st-key-stage")
    expect(foot).to_be_visible()
    expect(presenter.get_by_role("button", name="Export").first).to_be_hidden()
    wait_until_done(presenter)
    # Once the grid has taken its new height.
    expect(presenter.locator(".hg-rows span").first).to_have_css("font-size", "24px")
    wide, low = picture.bounding_box(), foot.bounding_box()
    assert wide and low
    assert wide["y"] >= 0 and wide["y"] + wide["height"] <= low["y"]
    assert wide["height"] >= 600
    frame = presenter.locator("[data-testid=stMainBlockContainer]").bounding_box()
    assert frame and frame["width"] == 1920
    assert presenter.evaluate(_SMALL, 24) == []

    expect(follower.locator(".hg-picture")).to_be_visible(timeout=60_000)
    expect(follower.get_by_text("Following the presenter.")).to_be_visible()
    wait_until_done(follower)
    picture.hover(position={"x": wide["width"] // 4, "y": wide["height"] * 3 // 4})
    read = presenter.locator(".hg-readout")
    expect(read).to_contain_text("dest")
    expect(follower.locator(".hs-pointed")).to_be_visible(timeout=60_000)
    row = int(re.findall(r"\d+", read.locator("p").first.inner_text())[0])
    # What is sent is a place in the picture; a phone's cells are half as large.
    near = "|".join(str(row + i) for i in (-1, 0, 1))
    expect(follower.locator(".hg-readout p").first).to_have_text(re.compile(rf"dest\s*({near})\D"))
    foot.hover()
    expect(follower.locator(".hs-pointed")).to_be_hidden(timeout=60_000)
    presenter.get_by_role("button", name="End presenter mode").click()
    expect(presenter.get_by_test_id("stSidebar")).to_be_visible()
