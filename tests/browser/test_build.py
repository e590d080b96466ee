"""A circuit by hand in real Chromium: heads put in and taken out on the graph, kept and shared."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import wait_until_done
from tests.browser.test_app import go, heading
from tests.browser.test_dossier import click_in_plot

pytestmark = pytest.mark.browser
# Layers 0 and 1 and the logits over -0.35 .. 2.25; heads over -0.6 .. 7.6.
L1H2 = (2.6 / 8.2, 1.25 / 2.6)


def test_a_head_is_clicked_into_the_circuit_and_out_again(app: str, page: Page) -> None:
    go(page, f"{app}/build?rows=6&circuit=L0H0,L1H4")
    heading(page, "Circuits side by side")
    wait_until_done(page)
    share = page.get_by_test_id("stMetricValue").first
    before = share.inner_text()
    click_in_plot(page, 0, *L1H2)
    expect(page).to_have_url(re.compile("circuit=L0H0%2CL1H2%2CL1H4"), timeout=60_000)
    wait_until_done(page)
    expect(page.get_by_test_id("stMultiSelect").get_by_text("L1H2")).to_be_visible()
    expect(share).not_to_have_text(before, timeout=60_000)
    heading(page, "Circuits side by side")
    page.get_by_role("button", name="Keep this circuit").click()
    expect(page).to_have_url(re.compile("beside=L0H0%2CL1H2%2CL1H4"), timeout=60_000)
    wait_until_done(page)
    # The same dot again: a choice of its own.
    click_in_plot(page, 0, *L1H2)
    expect(page).to_have_url(re.compile("circuit=L0H0%2CL1H4(&|$)"), timeout=60_000)
    expect(share).to_have_text(before, timeout=60_000)
    expect(page).to_have_url(re.compile("beside=L0H0%2CL1H2%2CL1H4"))
