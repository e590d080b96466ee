"""The first minute in real Chromium: a person's own prompt, presets, and what a page asks for."""

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocketRoute, expect

from app.links.pages import page_info
from app.links.parameters import DEFAULT_PROMPT, PLAYED_PROMPT
from tests.browser.conftest import OpenPage, open_from_menu, wait_until_done
from tests.browser.test_app import go, heading

pytestmark = pytest.mark.browser

OWN = "Mr. Darcy met Mr. Bingley, and Mr. Bingley met Jane."


def prompt_box(page: Page) -> Locator:
    return page.get_by_label("Prompt", exact=True).and_(page.locator("textarea"))


def test_the_first_page_plays_a_text_until_somebody_types(app: str, open_page: OpenPage) -> None:
    page = open_page()
    go(page, app)
    expect(page.locator("#first-picture")).to_have_count(0, timeout=60_000)
    grid = page.locator(".hg")
    # Token by token, from the middle of the 25; then from there again.
    for upto in ("14", "25", "14"):
        expect(grid).to_have_attribute("data-upto", upto, timeout=60_000)
    expect(page.locator(".hg-token.is-ahead").first).to_be_visible()
    prompt_box(page).press("End")
    prompt_box(page).press_sequentially(" Grey horse")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect(page.locator(".hg-token.is-ahead")).to_have_count(0)
    # A pause is enough; nothing has to be pressed.
    expect(page.locator(".hg-token")).to_have_count(28, timeout=60_000)
    expect(page).to_have_url(re.compile("Grey"))
    prompt_box(page).press_sequentially(" ran.")
    expect(page.locator(".hg-token")).to_have_count(30, timeout=60_000)
    assert prompt_box(page).input_value() == f"{PLAYED_PROMPT} Grey horse ran."
    word = page.get_by_role("button", name=re.compile("^induction: "))
    word.hover()
    expect(page.locator(".hg-thumb.is-lit").first).to_be_visible()
    lit = page.locator(".hg-thumb.is-lit").count()
    assert lit + page.locator(".hg-thumb.is-dim").count() == 16
    expect(word).to_have_attribute("aria-label", re.compile(f"{lit} heads above"))
    expect(grid).to_have_attribute("data-shown", "L1H1")


def test_nothing_moves_by_itself_for_who_asks_for_less_motion(
    app: str, open_page: OpenPage
) -> None:
    page = open_page(reduced_motion="reduce")
    go(page, app)
    play = page.get_by_role("button", name="Play")
    expect(play).to_be_visible(timeout=60_000)
    expect(page.locator(".hg-token.is-ahead")).to_have_count(0)
    play.click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()


def type_prompt(page: Page, text: str) -> None:
    prompt_box(page).fill(text)
    prompt_box(page).press("Control+Enter")
    wait_until_done(page)


def test_a_typed_prompt_goes_along_and_a_preset_opens_what_it_says(app: str, page: Page) -> None:
    go(page, f"{app}/attention")
    type_prompt(page, OWN)
    for name, title in (("finder", "Finder"), ("compare", "Compare"), ("attention", "Attention")):
        open_from_menu(page, name)
        heading(page, title)
        wait_until_done(page)
        expect(prompt_box(page)).to_have_value(OWN)
    open_from_menu(page, "induction")
    heading(page, "Induction")
    page.get_by_role("button", name="See it on repeated tokens").click()
    heading(page, "Second half: seen before, so predicted")
    # A preset whose values are all defaults: its link was the menu's.
    open_from_menu(page, "start")
    page.get_by_role("link", name="A story").click()
    heading(page, "Attention")
    wait_until_done(page)
    expect(prompt_box(page)).to_have_value(DEFAULT_PROMPT)
    expect(page).to_have_url(re.compile("/attention$"))


def test_a_prompt_too_long_for_a_link_goes_along_to_a_head(app: str, page: Page) -> None:
    go(page, f"{app}/attention")
    long = "another morning together " * 65
    type_prompt(page, long)
    expect(page.get_by_text("too long for a link")).to_be_visible()
    wait_until_done(page)
    page.get_by_role("button", name=re.compile("^Open L")).click()
    heading(page, re.compile("^Where L"))
    expect(prompt_box(page)).to_have_value(long)


def test_a_change_right_behind_a_click_that_leaves_does_not_bring_the_page_back(
    app: str, page: Page
) -> None:
    """On a slow line the browser sends it before it has heard of the other page."""
    held: list[str | bytes] | None = None

    def slow(line: WebSocketRoute) -> None:
        def pass_on(message: str | bytes) -> None:
            if held is None:
                line.send(message)
            else:
                held.append(message)

        server = line.connect_to_server()
        server.on_message(pass_on)
        line.on_message(server.send)
        lines.append(line)

    lines: list[WebSocketRoute] = []
    page.route_web_socket(re.compile("stream"), slow)
    go(page, f"{app}/attention")
    long = "another morning together " * 65
    type_prompt(page, long)
    expect(page.get_by_text("too long for a link")).to_be_visible()
    wait_until_done(page)
    held = []
    page.get_by_role("button", name=re.compile("^Open L")).click()
    while len(held) < 20:  # of the other page
        page.wait_for_timeout(50)
    page.get_by_role("radio", name="value-weighted").click()
    page.wait_for_timeout(200)
    late, held = held, None
    for message in late:
        lines[-1].send(message)
    heading(page, re.compile("^Where L"))
    expect(prompt_box(page)).to_have_value(long)


def test_the_sidebar_is_away_where_nothing_is_asked(app: str, page: Page) -> None:
    go(page, f"{app}/glossary")
    expect(page.get_by_test_id("stSidebar")).to_have_count(0)
    expect(page.get_by_role("button", name="Present")).to_be_visible()
    open_from_menu(page, "tokens")
    expect(page.get_by_role("combobox", name="Model")).to_be_visible()
    open_from_menu(page, "circuits")
    heading(page, "Circuits")
    expect(page.get_by_role("combobox", name="Model")).to_be_visible()
    expect(prompt_box(page)).to_have_count(0)


def test_each_number_of_a_passport_leads_to_its_figure_on_the_page(app: str, page: Page) -> None:
    go(page, f"{app}/head?layer=1&head=4&input=repeated&length=20&batch=3")
    sentence = page.get_by_text("an induction head")
    expect(sentence).to_be_visible(timeout=120_000)
    links = sentence.get_by_role("link")
    expect(links).to_have_count(5)
    for link in links.all():
        anchor = link.get_attribute("href") or ""
        link.click()
        expect(page.locator(f"h3{anchor}")).to_be_in_viewport()
    expect(page.get_by_alt_text("Pattern of L1H4, small")).to_have_count(1)


def test_the_menu_leads_home_says_what_pages_are_for_and_marks_the_one_shown(
    app: str, page: Page
) -> None:
    go(page, f"{app}/finder")
    marked = page.get_by_test_id("stTopNavSection").filter(has_text="Find")
    expect(marked).not_to_have_css("box-shadow", "none")
    others = page.get_by_test_id("stTopNavSection").filter(has_text="Look")
    expect(others).to_have_css("box-shadow", "none")
    marked.click()
    links = page.get_by_test_id("stTopNavDropdownLink")
    expect(links.get_by_text("Finder", exact=True)).to_be_visible()
    expect(links.filter(has_text="Finder")).to_have_attribute("aria-current", "page")
    links.filter(has_text="Induction").hover()
    question = page_info("induction").question
    expect(page.get_by_text(question)).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_test_id("stTopNavLink").get_by_text("Headscope").click()
    heading(page, "Headscope")
    for width in (800, 390):
        page.set_viewport_size({"width": width, "height": 844})
        if width == 390:
            page.get_by_test_id("stExpandSidebarButton").click()
        home = page.get_by_role("link", name="Headscope", exact=True)
        expect(home).to_be_visible()


def test_an_unknown_page_guesses_the_nearest(app: str, browser: Browser) -> None:
    page = browser.new_page()  # Streamlit logs an error on the console for it
    go(page, f"{app}/findr")
    expect(page.get_by_text("There is no page “findr”. Did you mean this one?")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_test_id("stMain").get_by_role("link", name="Finder").click()
    heading(page, "Finder")
    expect(page.get_by_text("There is no page")).to_have_count(0)
    page.close()
