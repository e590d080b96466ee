"""A circuit by hand in real Chromium: heads put in and taken out on the graph, kept and shared."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage, wait_until_done
from tests.browser.test_app import go, heading
from tests.browser.test_dossier import click_in_plot
from tests.browser.test_present import _join, _open_room

pytestmark = pytest.mark.browser
# Layers 0 and 1 and the logits over -0.35 .. 2.25; heads over -0.6 .. 7.6.
L1H2 = (2.6 / 8.2, 1.25 / 2.6)


def _share(page: Page) -> Locator:
    return page.get_by_test_id("stMetricValue").first


def test_a_circuit_is_followed_in_a_room_as_it_is_made(app: str, open_page: OpenPage) -> None:
    page, follower = open_page(), open_page()
    go(page, f"{app}/build?rows=6&circuit=L0H0,L1H4")
    heading(page, "Circuits side by side")
    wait_until_done(page)
    before = _share(page).inner_text()
    letters = _open_room(page)
    follower.goto(f"{app}/join")
    wait_until_done(follower)
    _join(follower, letters)
    chosen = follower.get_by_test_id("stMultiSelect")
    expect(chosen.get_by_text("L1H4")).to_be_visible(timeout=120_000)
    heading(follower, "Circuits side by side")
    heads = page.get_by_role("combobox", name="Heads of the circuit")
    heads.fill("L1H2")
    page.get_by_role("option", name="L1H2", exact=True).click()
    expect(page).to_have_url(re.compile("circuit=L0H0%2CL1H2%2CL1H4"), timeout=60_000)
    expect(chosen.get_by_text("L1H2")).to_be_visible(timeout=60_000)
    page.keyboard.press("Escape")
    heading(page, "Circuits side by side")
    wait_until_done(page)
    page.get_by_role("radio", name="Only chosen ones").click()
    some = re.compile(r"\d+ edges are chosen")
    expect(page.get_by_text(some)).to_be_visible(timeout=60_000)
    expect(follower.get_by_text(some)).to_be_visible(timeout=60_000)
    wait_until_done(page)
    now = _share(page).inner_text()
    assert now != before
    expect(_share(follower)).to_have_text(now, timeout=60_000)
    expect(follower.get_by_text("Following the presenter.")).to_be_visible()
    # And whoever opens the link has the same circuit.
    other = open_page()
    go(other, page.url)
    expect(other.get_by_text(some)).to_be_visible(timeout=60_000)
    expect(_share(other)).to_have_text(now, timeout=60_000)


def test_a_head_is_clicked_into_the_circuit_and_out_again(app: str, page: Page) -> None:
    go(page, f"{app}/build?rows=6&circuit=L0H0,L1H4")
    heading(page, "Circuits side by side")
    wait_until_done(page)
    share = _share(page)
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
