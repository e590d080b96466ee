"""The head dossier and the finder, in real Chromium."""

import re

import pytest
from playwright.sync_api import Locator, Page, Position, TimeoutError, expect

from tests.browser.conftest import wait_until_done
from tests.browser.test_app import go, heading

pytestmark = pytest.mark.browser


def plot_area(page: Page, index: int) -> Locator:
    """The part of a figure that takes the mouse, on a page that no longer moves."""
    area = page.locator(".js-plotly-plot").nth(index).locator(".nsewdrag").first
    expect(area).to_be_attached(timeout=120_000)
    wait_until_done(page)
    return area


def click_area(area: Locator, across: float, down: float) -> None:
    """Click what lies there, once its label is shown: Plotly takes no click before."""
    position: Position = {"x": across, "y": down}
    try:
        area.hover(position=position, timeout=10_000)
    except TimeoutError:
        # Under load Streamlit may leave the text below a chart where the chart was before.
        area.page.evaluate("window.dispatchEvent(new Event('resize'))")
        area.hover(position=position)
    label = area.page.locator(".hoverlayer .hovertext").first
    try:
        expect(label).to_be_visible(timeout=5_000)
    except AssertionError:
        # The chart was drawn anew under the pointer, which has to come again to be noticed.
        area.page.mouse.move(0, 0)
        area.hover(position=position)
        expect(label).to_be_visible()
    area.click(position=position)


def click_in_plot(page: Page, index: int, across: float, down: float) -> None:
    """Click at a share of a figure's plotting area."""
    area = plot_area(page, index)
    box = area.bounding_box()
    assert box
    click_area(area, box["width"] * across, box["height"] * down)


def click_dot(page: Page, index: int, dot: int) -> None:
    """Click a dot of a scatter, by its place among the dots."""
    area = plot_area(page, index)
    outer = area.bounding_box()
    inner = page.locator(".js-plotly-plot").nth(index).locator(".point").nth(dot).bounding_box()
    assert outer
    assert inner
    across = inner["x"] + inner["width"] / 2 - outer["x"]
    click_area(area, across, inner["y"] + inner["height"] / 2 - outer["y"])


def test_a_dossier_opens_from_its_address(app: str, page: Page) -> None:
    go(page, f"{app}/head?layer=1&head=4")
    for section in (
        "Where L1H4 looks",
        "Scores",
        "Why does it attend there?",
        "What it adds to the logits",
        "What breaks without it",
        "What it writes and what it looks for",
        "Who it works with",
    ):
        heading(page, section)
    wait_until_done(page)
    contents = page.locator(".st-key-contents")
    links = contents.get_by_role("link")
    expect(links).to_have_count(8)
    for link in links.all():
        link.click()
        expect(page.locator(f"h3{link.get_attribute('href')}")).to_be_in_viewport()
        expect(contents).to_be_in_viewport()
    expect(page.get_by_text("⚠")).to_have_count(0)
    expect(page.get_by_text("Something went wrong")).to_have_count(0)


def test_a_heat_map_leads_to_the_dossier(app: str, page: Page) -> None:
    go(page, f"{app}/ablation?length=20&batch=3")
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=60_000)
    click_in_plot(page, 0, 2.5 / 8, 0.75)
    page.get_by_role("link", name="Open L1H2").click()
    heading(page, "Where L1H2 looks")
    expect(page).to_have_url(re.compile("/head.*layer=1&head=2"))


def test_a_click_on_the_induction_map_shows_that_head(app: str, page: Page) -> None:
    go(page, f"{app}/induction?length=20&batch=3")
    expect(page.locator(".js-plotly-plot").nth(2)).to_be_visible(timeout=120_000)
    click_in_plot(page, 1, 4.5 / 8, 0.75)
    heading(page, "Pattern of L1H4")
    expect(page).to_have_url(re.compile("layer=1&head=4"))
    expect(page.get_by_role("link", name="Open L1H4")).to_be_visible()


def test_a_dot_of_the_finder_opens_the_dossier_and_back_leads_to_the_finder(
    app: str, page: Page
) -> None:
    go(page, f"{app}/finder?length=20&batch=3")
    # Dots stand in the order of the heads: 10 is L1H2.
    click_dot(page, 0, 10)
    heading(page, "Where L1H2 looks")
    expect(page).to_have_url(re.compile("/head.*layer=1&head=2"))
    page.go_back()
    heading(page, "Two scores against each other")
    wait_until_done(page)
    expect(page).to_have_url(re.compile("/finder"))
    heading(page, "Heads like L1H2")


def test_a_row_of_the_finder_opens_the_dossier(app: str, page: Page) -> None:
    go(page, f"{app}/finder?length=20&batch=3&rank=previous")
    heading(page, re.compile("^Heads like"))
    wait_until_done(page)
    table = page.get_by_test_id("stDataFrame").first
    # The tick box of the first row: the previous-token head.
    table.click(position={"x": 18, "y": 52}, timeout=120_000)
    heading(page, "Where L0H0 looks")
    expect(page).to_have_url(re.compile("/head"))


def test_n_and_p_turn_the_pages_of_the_dossier(app: str, page: Page) -> None:
    go(page, f"{app}/head?input=repeated&length=5&batch=2&head=7")
    heading(page, "Where L0H7 looks")
    # The headings are there before the buttons listen.
    expect(page.get_by_role("button", name="Next head")).to_be_visible()
    expect(page.get_by_role("button", name="Previous head")).to_be_visible()
    page.keyboard.press("n")
    heading(page, "Where L1H0 looks")
    expect(page).to_have_url(re.compile(r"layer=1(&|$)"))
    page.keyboard.press("p")
    heading(page, "Where L0H7 looks")


def test_a_click_on_a_cell_of_the_pattern_explains_that_cell(app: str, page: Page) -> None:
    go(page, f"{app}/head?layer=1&head=4&input=repeated&length=5&batch=2")
    heading(page, "Who it works with")
    # 11 tokens: destination 7, source 3.
    click_in_plot(page, 0, 3.5 / 11, 7.5 / 11)
    expect(page).to_have_url(re.compile("dest=7&src=3"))
    expect(page.get_by_text(re.compile("^From 7 .* to 3 "))).to_be_visible()
