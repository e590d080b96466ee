"""Circuits and Composition, in real Chromium: what a click on a figure does."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import wait_until_done
from tests.browser.test_app import go, heading
from tests.browser.test_dossier import click_in_plot

pytestmark = pytest.mark.browser
# Order of the figures on the two pages.
EIGENVALUES = 2
PAIRS, BASELINE, GRAPH, TARGETED, QUERIES, KEYS, COMPONENTS = range(7)


def open_composition(page: Page, app: str) -> None:
    go(page, f"{app}/composition?length=20&batch=3")
    expect(page.get_by_text("Scores of queries from Embedding with keys from L0H0")).to_be_visible(
        timeout=240_000
    )
    wait_until_done(page)


def test_a_cell_of_the_eigenvalue_map_puts_its_head_in_focus(app: str, page: Page) -> None:
    go(page, f"{app}/circuits")
    expect(page.get_by_text("times less memory")).to_be_visible(timeout=240_000)
    wait_until_done(page)
    click_in_plot(page, EIGENVALUES, 4.5 / 8, 0.75)
    heading(page, "One token through L1H4")
    expect(page).to_have_url(re.compile("layer=1&head=4"))


def test_a_cell_of_the_pair_map_chooses_writer_and_reader(app: str, page: Page) -> None:
    open_composition(page, app)
    click_in_plot(page, PAIRS, 4.5 / 8, 2.5 / 8)
    expect(page.get_by_text("L0H2 to L1H4", exact=True)).to_be_visible()
    heading(page, "Which earlier head does the stripe of L1H4 rest on?")
    expect(page).to_have_url(re.compile("layer=1&head=4&layer2=0&head2=2"))


def test_an_edge_of_the_graph_chooses_its_pair_and_a_node_opens_its_dossier(
    app: str, page: Page
) -> None:
    open_composition(page, app)
    # The middle of the edge from L0H0 to L1H6; the axis runs over -0.6 .. 7.6.
    click_in_plot(page, GRAPH, 3.6 / 8.2, 0.5)
    expect(page.get_by_text("L0H0 to L1H6", exact=True)).to_be_visible()
    expect(page).to_have_url(re.compile("layer=1&head=6"))
    wait_until_done(page)
    # Two layers over -0.35 .. 1.35, the first at the bottom.
    click_in_plot(page, GRAPH, 4.6 / 8.2, 0.35 / 1.7)
    heading(page, "Where L1H4 looks")
    expect(page).to_have_url(re.compile("/head.*layer=1&head=4"))


def test_a_cell_of_the_component_map_shows_its_scores(app: str, page: Page) -> None:
    open_composition(page, app)
    click_in_plot(page, COMPONENTS, 0.5 / 10, 1.5 / 10)
    expect(
        page.get_by_text("Scores of queries from Positions with keys from Embedding")
    ).to_be_visible()
    expect(page).to_have_url(re.compile("qpart=1&kpart=0"))
