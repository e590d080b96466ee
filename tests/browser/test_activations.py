"""The pages of activations and neurons, in real Chromium."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, wait_until_done
from tests.browser.test_app import go, heading

pytestmark = pytest.mark.browser
GELU = "model=gelu-4l"


def click_name(page: Page, name: str) -> None:
    """Click the point of the picture that stands to the left of its name."""
    # Plotly draws once more when its place on the page is settled.
    expect(page.locator(".js-plotly-plot")).to_have_count(3)
    label = page.locator(".js-plotly-plot").first.locator("text", has_text=re.compile(f"^{name}$"))
    label.scroll_into_view_if_needed()
    box = label.bounding_box()
    assert box
    page.mouse.move(box["x"] - 12, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.up()


@pytest.mark.parametrize("width", [1280, 800])
def test_a_click_on_the_picture_shows_that_activation(
    app: str, open_page: OpenPage, width: int
) -> None:
    page = open_page(viewport={"width": width, "height": 900})
    go(page, f"{app}/activations?{GELU}&layer=2")
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=60_000)
    click_name(page, "mlp_out")
    heading(page, "mlp_out · layer 2")
    expect(page).to_have_url(re.compile("point=mlp_out"))
    wait_until_done(page)
    click_name(page, "q")
    heading(page, re.compile("^q · layer 2"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_circuitsvis_shows_neurons_and_their_tokens(
    app: str, open_page: OpenPage, theme: str
) -> None:
    page = open_page(color_scheme=theme, viewport={"width": 800, "height": 900})
    go(page, f"{app}/neurons?{GELU}&layer=1&neuron=17&input=prompt&prompt=%3Cb%3E%20cat%20%26lt%3B")
    text = page.frame_locator("iframe[title^='Activations of L1N17']")
    expect(text.locator("#neuron-selector option").first).to_have_text("17", timeout=60_000)
    expect(text.locator(".colored-tokens")).to_contain_text("cat")
    expect(text.locator(".colored-tokens b")).to_have_count(0)
    table = page.frame_locator("iframe[title^='Tokens that neurons']")
    expect(table.locator("tbody tr").first.locator("td")).to_have_count(6)
    background = "body => getComputedStyle(body.parentElement).filter"
    assert (text.locator("body").evaluate(background) != "none") == (theme == "dark")


def test_without_neurons_one_click_opens_a_model_that_has_them(app: str, page: Page) -> None:
    go(page, f"{app}/neurons?prompt=The+cat")
    heading(page, "Attention-only, 2 layers has no neurons")
    page.get_by_role("button", name="Open the neurons of GELU").click()
    heading(page, "Strongest neurons on this text")
    expect(page).to_have_url(re.compile(f"{GELU}.*prompt=The"))
