"""Playing with heads and distances on the ablation page, and the lens, in real Chromium."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage, wait_until_done
from tests.browser.test_app import go, heading
from tests.browser.test_dossier import click_in_plot

pytestmark = pytest.mark.browser
SMALL = "length=12&batch=3"


def loss(page: Page) -> Locator:
    """The number that says what the loss with only the ticked heads is."""
    card = page.get_by_test_id("stMetric").filter(has_text="Loss with only")
    return card.get_by_test_id("stMetricValue")


def tick(page: Page, layer: int, head: int) -> None:
    row = page.get_by_role("toolbar", name=f"Heads kept in layer {layer}")
    row.get_by_role("button", name=f"H{head}", exact=True).click()


def test_exact_values_replace_estimates_until_cancelled_and_go_on(app: str, page: Page) -> None:
    """So much work that a person can press Cancel long before its end."""
    go(page, f"{app}/ablation?model=gelu-4l&batch=30&length=100")
    heading(page, "Loss increase without each head")
    heat = page.locator(".js-plotly-plot").first
    estimates = heat.get_by_text("≈")
    # Not waited for until it stands still: it is drawn anew while heads come in.
    page.get_by_role("button", name="Cancel").dispatch_event("click")
    cancelled = page.get_by_text(re.compile(r"Cancelled: \d+ of 24 heads are exact"))
    expect(cancelled).to_be_visible()
    wait_until_done(page)
    # Heads that were in work when Cancel was pressed may still come, and drawing takes a moment.
    said = ""
    while said != cancelled.inner_text():
        said = cancelled.inner_text()
        page.wait_for_timeout(4000)
    left = 24 - int(said.split()[1])
    assert 0 < left <= 24
    expect(estimates).to_have_count(left)
    expect(heat.locator(".legendtext")).to_have_text("estimate")
    page.wait_for_timeout(1500)
    assert cancelled.inner_text() == said
    assert estimates.count() == left
    click_in_plot(page, 0, 2.5 / 6, 1 / 8)
    expect(page).to_have_url(re.compile("layer=0&head=2"))
    heading(page, "Which tokens need L0H2")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    expect(heat.locator("text", has_text="≈").nth(left - 1)).to_have_count(0)


def test_ticking_heads_moves_the_loss_and_the_link(app: str, page: Page) -> None:
    go(page, f"{app}/ablation?{SMALL}")
    heading(page, "Only these heads")
    expect(loss(page)).to_be_visible()
    with_previous = float(loss(page).inner_text())
    tick(page, 0, 0)
    expect(page).to_have_url(re.compile("keep=L1H1%2CL1H2%2CL1H4%2CL1H6"))
    expect(loss(page)).not_to_have_text(f"{with_previous:.3f}")
    wait_until_done(page)
    assert float(loss(page).inner_text()) > with_previous + 3
    page.get_by_role("button", name="Induction circuit").click()
    expect(loss(page)).to_have_text(f"{with_previous:.3f}")
    expect(page).not_to_have_url(re.compile("keep="))


def test_a_link_brings_the_ticks_back(app: str, page: Page) -> None:
    go(page, f"{app}/ablation?{SMALL}&keep=L0H0,L1H4&offsets=1,2,3,4")
    expect(page.get_by_text("Loss with only 2 of 16 heads")).to_be_visible()
    row = page.get_by_role("toolbar", name="One more row with these distances")
    row.get_by_role("button", name="2", exact=True).click()
    expect(page).to_have_url(re.compile("offsets=1%2C3%2C4"))
    expect(page).to_have_url(re.compile("keep=L0H0%2CL1H4"))


def test_a_bar_of_the_pairs_puts_its_head_in_focus(app: str, page: Page) -> None:
    go(page, f"{app}/ablation?{SMALL}")
    heading(page, "Heads that look for longer matches")
    pairs = page.locator(".js-plotly-plot").nth(5)
    expect(pairs).to_be_visible(timeout=60_000)
    # The bar of the last head that is needed here, in the middle of its lower half.
    bars = pairs.locator(".barlayer .point path").count()
    click_in_plot(page, 5, 1 - 0.5 / bars, 0.7)
    expect(page).to_have_url(re.compile("layer=1"))
    heading(page, re.compile("Which tokens need L1H"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_of_the_new_sections_is_cut_off(app: str, open_page: OpenPage, theme: str) -> None:
    page = open_page(viewport={"width": 800, "height": 900}, color_scheme=theme)
    go(page, f"{app}/ablation?{SMALL}")
    for number in page.get_by_test_id("stMetricValue").all():
        assert "…" not in number.inner_text()
        assert number.evaluate("n => n.scrollWidth <= n.clientWidth")
    heads = page.get_by_role("toolbar", name="Heads kept in layer 1").get_by_role("button")
    expect(heads).to_have_count(8)
    for head in heads.all():
        head.scroll_into_view_if_needed()
        expect(head).to_be_in_viewport(ratio=1)


def test_the_lens_shows_tokens_with_their_guesses(app: str, page: Page) -> None:
    go(page, f"{app}/attribution?prompt=The+cat+sat.+The+cat")
    heading(page, "Logit lens: the top guess after each layer")
    lens = page.locator(".js-plotly-plot").filter(has_text="after L1")
    lens.scroll_into_view_if_needed()
    expect(lens.get_by_text("after L1")).to_be_visible()
    rows = lens.locator(".ytick text").count()
    assert rows > 5
    expect(lens.locator(".textpoint text")).to_have_count(3 * rows)
