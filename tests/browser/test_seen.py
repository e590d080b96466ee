"""What is seen on other screens than a desk's: fingers, paper, high contrast, many layers."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, wait_until_done
from tests.browser.test_share import save

pytestmark = pytest.mark.browser
PROMPT = "input=prompt&prompt=one+two+three+one+two"


def test_what_a_finger_points_at_stays_to_be_read(app: str, open_page: OpenPage) -> None:
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True)
    page.goto(f"{app}/attention?{PROMPT}")
    wait_until_done(page)
    picture = page.locator("canvas.hg-picture")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    assert box
    page.touchscreen.tap(box["x"] + 0.1 * box["width"], box["y"] + 0.9 * box["height"])
    readout = page.locator(".hg-readout")
    expect(readout).to_contain_text("dest")
    page.wait_for_timeout(500)
    expect(readout).to_contain_text("src")


def test_an_exported_map_is_whole_and_dark_on_light_on_paper(
    app: str, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page(color_scheme="dark")
    page.goto(f"{app}/induction?length=12&batch=2&embed=true&embed_options=dark_theme")
    wait_until_done(page)
    alone = open_page(offline=True, viewport={"width": 1280, "height": 900})
    alone.goto(save(page, "HTML", tmp_path).as_uri())
    width = "document.querySelector('.js-plotly-plot .main-svg').getBoundingClientRect().width"
    assert alone.evaluate(width) > 900
    # What a browser does for paper; A4 between margins of a centimetre is 718 pixels wide.
    alone.emulate_media(media="print")
    alone.evaluate("dispatchEvent(new Event('beforeprint'))")
    alone.wait_for_function(f"{width} <= 718")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert alone.evaluate(ground) == "rgb(255, 255, 255)"
    assert alone.evaluate("document.querySelector('.js-plotly-plot').layout.font.color") == "#000"
    alone.emulate_media(media="screen")
    alone.evaluate("dispatchEvent(new Event('afterprint'))")
    alone.wait_for_function(f"{width} > 900")


def test_high_contrast_shows_what_is_switched_on_and_chosen(app: str, open_page: OpenPage) -> None:
    page = open_page(forced_colors="active")
    page.goto(f"{app}/attention?{PROMPT}")
    wait_until_done(page)
    colours = """(element) => {
        const found = getComputedStyle(element);
        return [found.backgroundColor, found.borderTopWidth];
    }"""

    def seen(selector: str) -> list[str]:
        return page.locator(selector).first.evaluate(colours)

    option = "[data-variant=segmented_control]"
    chosen, other = seen(f"{option}[aria-checked=true]"), seen(f"{option}[aria-checked=false]")
    assert chosen[0] != other[0]
    switch = "[data-testid=stCheckbox] label > div:not([data-testid])"
    track, border = seen(switch)
    assert border == "1px"
    assert seen(f"{switch} > div")[0] != track
    ramp = page.locator(".hg-ramp").first
    assert ramp.evaluate("bar => getComputedStyle(bar).forcedColorAdjust") == "none"


def test_no_bar_of_plotlys_lies_over_a_figure(app: str, open_page: OpenPage) -> None:
    page = open_page()
    page.goto(f"{app}/induction?length=12&batch=2")
    wait_until_done(page)
    chart = page.locator(".js-plotly-plot").first
    chart.hover()
    expect(chart.locator(".main-svg").first).to_be_visible()
    expect(page.locator(".modebar-btn").first).to_be_hidden()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_pattern_of_plotly_is_square_too(app: str, open_page: OpenPage, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 900})
    n = 21  # tokens: BOS and two halves
    small = "input=repeated&length=10&batch=2&layer=1&head=2"
    for key, address in (
        ("slice", f"activations?point=pattern&{small}"),
        ("pattern", f"induction?{small}"),
        ("pattern", f"head?{small}"),
    ):
        page.goto(f"{app}/{address}")
        drawn = page.locator(f".st-key-{key} .heatmaplayer image").first
        expect(drawn).to_be_visible(timeout=60_000)
        wait_until_done(page)
        drawn.scroll_into_view_if_needed()
        box = drawn.bounding_box()
        assert box
        assert box["width"] / n == pytest.approx(box["height"] / n, rel=0.03)
        assert box["width"] / n > 6  # pixels, so that a finger finds a stripe
        # Tokens on both axes, as many as there is room for.
        for axis in ("xaxislayer", "yaxislayer"):
            ticks = page.locator(f".st-key-{key} .{axis}-above text").all_text_contents()
            assert len(ticks) >= 5
            assert not any(tick.isdigit() for tick in ticks)
