"""Every page at its address in both themes: no serious finding of axe-core, no overflow.

And keys alone reach what matters.
"""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from app.links.pages import PAGES
from app.theme import DARK, LIGHT
from tests.browser.conftest import wait_until_done

pytestmark = pytest.mark.browser


# Streamlit writes white on the theme's main colour here, which in the dark theme is light because
# it also stands as text on the dark background.
_NOT_OURS = {"exclude": [[".stMultiSelect"]]}


def findings(page: Page) -> list[str]:
    """Serious and critical findings: the rule, and where."""
    response = Axe().run(page, context=_NOT_OURS).response
    return [
        f"{found['id']} at {node['target']}: {node['failureSummary']}"
        for found in response["violations"]
        if found["impact"] in ("serious", "critical")
        for node in found["nodes"]
    ]


@pytest.mark.parametrize("info", PAGES, ids=lambda info: info.name)
def test_a_page_opens_from_its_address_fits_its_window_and_is_accessible(
    app: str,
    page: Page,
    info,  # noqa: ANN001
) -> None:
    """One visit for both themes and three widths, because a visit takes most of the time."""
    page.goto(f"{app}/{info.address}")
    wait_until_done(page)
    expect(page.get_by_role("heading", name=info.title).first).to_be_visible()
    expect(page.get_by_text("Something went wrong")).to_have_count(0)
    background = "getComputedStyle(document.querySelector('.stApp')).backgroundColor"
    light = page.evaluate(background)
    assert findings(page) == []
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for width in (390, 800, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(overflow) == 0, width
    page.emulate_media(color_scheme="dark")
    expect(page.locator(".stApp")).not_to_have_css("background-color", light)
    expect(page.locator("html")).to_have_attribute("data-drawn-for", "dark", timeout=120_000)
    wait_until_done(page)
    assert findings(page) == []


def test_figures_follow_a_change_of_the_theme(app: str, page: Page) -> None:
    page.goto(f"{app}/induction")
    wait_until_done(page)
    band = page.locator(".js-plotly-plot .shapelayer path").first
    for scheme, palette in (("light", LIGHT), ("dark", DARK), ("light", LIGHT)):
        page.emulate_media(color_scheme=scheme)
        colour = re.match(r"rgba\((\d+, \d+, \d+)", palette.first_half)
        assert colour
        expect(band).to_have_css("fill", f"rgb({colour[1]})")


def test_axe_would_find_pale_text_and_a_button_without_a_name(page: Page) -> None:
    pale = "<p style='color:%23bbb'>pale text</p>"
    page.goto(f"data:text/html,<html lang=en><title>x</title>{pale}<button></button>")
    assert {found.split()[0] for found in findings(page)} >= {"color-contrast", "button-name"}


def test_the_head_grid_and_the_model_are_reached_and_used_by_keys_alone(
    app: str, page: Page
) -> None:
    page.goto(f"{app}/attention?layer=0&head=0")
    wait_until_done(page)
    expect(page.locator(".hg")).to_have_attribute("data-drawn", "16")
    page.get_by_role("radio", name="All heads").focus()
    # Words of the caption lead to the glossary.
    for _ in range(16):
        page.keyboard.press("Tab")
        if page.locator(".hg [role=option]:focus").count():
            break
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".hg")).to_have_attribute("data-shown", "L1H1")
    model = page.get_by_label("Model", exact=True)
    model.focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option").first).to_be_visible()
