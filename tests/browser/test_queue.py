"""A busy server: who waits sees a place, and a closed tab makes room."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, Serve

pytestmark = pytest.mark.browser
APP = Path(__file__).parent / "apps" / "queue_app.py"


def test_a_busy_server_shows_a_place_and_a_closed_tab_stops_its_work(
    serve: Serve, open_page: OpenPage
) -> None:
    """The work takes two minutes: the second tab gets its turn long before only if it is ended."""
    address = serve(APP)
    first, second = open_page(), open_page()
    first.goto(address)
    expect(first.get_by_text("Working")).to_be_visible()
    second.goto(address)
    expect(second.get_by_text("Your place in the queue: 1")).to_be_visible()
    expect(second.get_by_text("Working")).to_have_count(0)
    first.close()
    expect(second.get_by_text("Working")).to_be_visible()
    expect(second.get_by_text("Your place in the queue")).to_have_count(0)


def test_a_page_says_what_it_does_while_it_does_it(serve: Serve, open_page: OpenPage) -> None:
    page = open_page()
    page.goto(serve(APP.with_name("slow_app.py")))
    # As it is written: a title is no markdown.
    line = page.get_by_text("Running *Alpha* on 10 × 101 tokens…")
    expect(line).to_be_visible()
    expect(page.get_by_text("Done")).to_be_visible()
    expect(line).to_have_count(0)


def test_work_that_begins_by_itself_can_be_cancelled_at_once_and_taken_up_again(
    serve: Serve, open_page: OpenPage
) -> None:
    page = open_page()
    page.goto(serve(APP.with_name("cancel_app.py")))
    bar, cancel = page.get_by_text("Every head, about"), page.get_by_role("button", name="Cancel")
    expect(bar).to_be_visible(timeout=60_000)
    cancel.click()
    expect(page.get_by_text("“Every head” was cancelled, so it is not shown.")).to_be_visible()
    expect(page.get_by_text("The rest of the page")).to_be_visible()
    expect(cancel).to_have_count(0)
    expect(bar).to_have_count(0)
    page.get_by_role("button", name="Continue").click()
    expect(bar).to_be_visible(timeout=60_000)
