"""The mosaic in a real browser: a cell opens its head, on its model."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import wait_until_done

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("shown", "place", "cell", "label"),
    [
        ("", 1, (2, 3), "L2H3"),
        # The default model from a view of another one.
        ("?model=gelu-4l", 0, (0, 0), "L0H0"),
    ],
)
def test_a_click_on_a_cell_opens_that_head_of_that_model(
    app: str, page: Page, shown: str, place: int, cell: tuple[int, int], label: str
) -> None:
    page.goto(f"{app}/mosaic{shown}")
    wait_until_done(page)
    chart = page.get_by_test_id("stPlotlyChart").nth(place)
    chart.scroll_into_view_if_needed()
    n_heads = (8, 6)[place]
    chart.locator(".scatterlayer .point").nth(cell[0] * n_heads + cell[1]).click(force=True)
    expect(page).to_have_url(re.compile(r"/head"))
    wait_until_done(page)
    expect(page.get_by_role("heading", name=re.compile(label)).first).to_be_visible()
    picker = page.get_by_test_id("stSidebar").get_by_role("combobox", name="Model")
    title = ("Attention-only, 2 layers", "GELU, 4 layers")[place]
    expect(picker).to_have_value(title)
