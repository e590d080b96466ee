"""Patching in real Chromium: a preset, estimates that become exact, the circuit."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage, wait_until_done
from tests.browser.test_app import go, heading
from tests.browser.test_dossier import click_in_plot

pytestmark = pytest.mark.browser
# Order of the figures while no path is patched.
BY_POSITION, BY_HEAD, EXACT, GRAPH = range(4)


def metric(page: Page, label: str) -> Locator:
    card = page.get_by_test_id("stMetric").filter(has_text=label)
    return card.get_by_test_id("stMetricValue")


def open_patching(page: Page, app: str, query: str = "") -> None:
    go(page, f"{app}/patching{query}")
    expect(page.get_by_text("An edge that is cut")).to_be_visible(timeout=240_000)
    wait_until_done(page)


def test_a_preset_is_looked_at_quickly_and_then_exactly(app: str, page: Page) -> None:
    open_patching(page, app)
    page.get_by_role("button", name="A name that comes back").click()
    expect(page.get_by_label("Corrupt prompt")).to_have_value(re.compile("Mr. Weston"))
    expect(metric(page, "Logit difference, clean")).to_have_text("+6.73")
    wait_until_done(page)
    cells = page.locator(".js-plotly-plot").nth(EXACT).locator(".heatmap-label")
    expect(cells.filter(has_text="≈")).to_have_count(15)
    page.get_by_role("radio", name="All 16").click()
    expect(page.get_by_text("16 exact patches")).to_be_visible()
    expect(cells.filter(has_text="≈")).to_have_count(0)
    expect(cells).to_have_count(16)
    expect(page).to_have_url(re.compile("exact=all"))


def test_a_cell_of_the_quick_look_chooses_what_is_patched(app: str, page: Page) -> None:
    open_patching(page, app)
    # By position: resid_pre above the attention output; layer 0 of it at position 2.
    click_in_plot(page, BY_POSITION, 2.5 / 19, 0.25)
    heading(page, "Patching resid_pre, exactly")
    expect(page.get_by_text("layer 0, position 2 “·red”", exact=True)).to_be_visible()
    expect(page).to_have_url(re.compile("patch=resid_pre"))


def test_the_circuit_of_the_pair_is_found_and_a_node_opens_its_head(app: str, page: Page) -> None:
    open_patching(page, app)
    expect(metric(page, "Edges kept")).to_have_text("8 of 208")
    page.get_by_text("All 8 edges").click()
    graph = page.locator(".js-plotly-plot").nth(GRAPH)
    for name in ("L0H0", "L0H3", "L1H1", "L1H4", "L1H6"):
        expect(graph.get_by_text(name, exact=True)).to_be_visible()
    expect(graph.get_by_text(re.compile("^L[01]H"))).to_have_count(5)
    wait_until_done(page)
    # Layers 0 and 1 and the logits over -0.35 .. 2.25; heads over -0.6 .. 7.6.
    click_in_plot(page, GRAPH, 4.6 / 8.2, 1.25 / 2.6)
    heading(page, "Where L1H4 looks")
    expect(page).to_have_url(re.compile("/head.*layer=1&head=4"))


def test_no_number_is_cut_off(app: str, open_page: OpenPage) -> None:
    page = open_page(viewport={"width": 800, "height": 900})
    open_patching(page, app, "?paths=1")
    numbers = page.get_by_test_id("stMetricValue")
    expect(numbers).to_have_count(8)
    for number in numbers.all():
        assert number.evaluate("n => n.scrollWidth <= n.clientWidth")
    expect(page.get_by_text("Run 8 patches")).to_be_visible()
