"""The head grid in a real browser: looking, locking, keys, themes, hostile text, the result."""

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.apps.head_grid_app import HOSTILE, example_patterns
from tests.browser.conftest import OpenPage, Serve, wait_until_done

pytestmark = pytest.mark.browser
APP = Path(__file__).parent / "apps" / "head_grid_app.py"


# ---------------------------------------------------------------- verbs


def open_grid(page: Page, address: str, **parameters: object) -> Locator:
    """Open the example and wait until every head is drawn."""
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    page.goto(f"{address}/?{query}")
    grid = page.locator(".hg")
    heads = int(str(parameters.get("layers", 2))) * int(str(parameters.get("heads", 8)))
    expect(grid).to_have_attribute("data-drawn", str(heads), timeout=60_000)
    expect(page.locator("[data-test-script-state=notRunning]")).to_be_visible()
    return grid


def heads(page: Page) -> Locator:
    return page.get_by_role("listbox", name="Attention heads").get_by_role("option")


def head(page: Page, label: str) -> Locator:
    layer, number = label[1:].split("H")
    return heads(page).and_(page.get_by_label(re.compile(rf"Layer {layer} head {number}\b")))


def token(page: Page, position: int) -> Locator:
    return page.locator(f".hg-token[data-token='{position}']")


def expect_shown(page: Page, *labels: str) -> None:
    expect(page.locator(".hg")).to_have_attribute("data-shown", " ".join(labels))


def expect_python(page: Page, text: str) -> None:
    expect(page.get_by_text("focus=")).to_have_text(text)


def picture(page: Page) -> str:
    """The large picture, as a string that changes with any pixel."""
    return str(page.locator(".hg-picture").evaluate("canvas => canvas.toDataURL()"))


def pixels(page: Page) -> np.ndarray:
    """The large picture as drawn: [dest, src, rgba]."""
    flat = page.locator(".hg-picture").evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    side = int(np.sqrt(len(flat) // 4))
    return np.array(flat).reshape(side, side, 4)


def next_frame(page: Page) -> None:
    """Wait until what was asked for has been drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


def sent_frames(page: Page) -> list[object]:
    """A list that grows with every websocket frame the page sends from its next visit on."""
    frames: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: frames.append(frame)))
    return frames


# ---------------------------------------------------------------- tests


def test_all_heads_are_drawn_and_one_is_large(page: Page, serve: Serve) -> None:
    open_grid(page, serve(APP))
    expect(heads(page)).to_have_count(16)
    expect_shown(page, "L0H0")
    expect_python(page, "focus=L0H0 locked= tokens= direction=dest")


def test_pixels_follow_the_pattern(page: Page, serve: Serve) -> None:
    """More attention is a darker pixel, equal attention an equal one, and nothing lies ahead."""
    open_grid(page, serve(APP))
    head(page, "L0H4").hover()
    expect_shown(page, "L0H4")
    drawn = pixels(page)
    levels = np.rint(example_patterns(2, 8, 30)[0, 4] * 255)
    rows, columns = np.tril_indices(30)
    order = np.argsort(levels[rows, columns], kind="stable")
    brightness = drawn[rows, columns, :3].sum(-1)[order]
    assert np.all(np.diff(brightness) <= 0)
    assert len(np.unique(levels)) > 50
    assert not drawn[..., 3][np.triu_indices(30, 1)].any()


def test_pointing_at_a_head_shows_it_until_the_mouse_leaves(page: Page, serve: Serve) -> None:
    open_grid(page, serve(APP))
    first = picture(page)
    head(page, "L1H2").hover()
    expect_shown(page, "L1H2")
    assert picture(page) != first
    page.mouse.move(5, 5)
    expect_shown(page, "L0H0")
    assert picture(page) == first


def test_focusing_needs_no_message_to_the_server(page: Page, serve: Serve) -> None:
    frames = sent_frames(page)
    open_grid(page, serve(APP), report=0)
    before = len(frames)
    head(page, "L1H2").hover()
    expect_shown(page, "L1H2")
    head(page, "L0H5").click()
    page.mouse.move(5, 5)
    expect_shown(page, "L0H5")
    page.keyboard.press("ArrowRight")
    expect_shown(page, "L0H6")
    token(page, 4).hover()
    page.wait_for_timeout(500)
    assert len(frames) == before


def test_the_picture_is_painted_before_python_hears_of_it(page: Page, serve: Serve) -> None:
    frames = sent_frames(page)
    open_grid(page, serve(APP))
    before = len(frames)
    # Key presses in one task, so that no report can go out between them.
    shown = page.locator(".hg-grid").evaluate(
        """async (grid) => {
            const root = grid.closest(".hg");
            for (let i = 0; i < 5; i++) {
                grid.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
            }
            await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
            return root.dataset.shown;
        }"""
    )
    assert shown == "L0H5"
    expect_python(page, "focus=L0H5 locked= tokens= direction=dest")
    assert len(frames) == before + 1, "paging through five heads is one report"


def test_a_click_locks_a_head_and_another_click_lets_it_go(page: Page, serve: Serve) -> None:
    open_grid(page, serve(APP))
    head(page, "L1H4").click()
    expect(head(page, "L1H4")).to_have_attribute("aria-selected", "true")
    expect_python(page, "focus=L1H4 locked=L1H4 tokens= direction=dest")
    page.mouse.move(5, 5)
    expect_shown(page, "L1H4")
    head(page, "L1H4").click()
    expect_python(page, "focus=L1H4 locked= tokens= direction=dest")


def test_several_heads_are_overlaid_in_colours_of_their_own(page: Page, serve: Serve) -> None:
    open_grid(page, serve(APP))
    head(page, "L0H2").click()
    page.mouse.move(5, 5)
    alone = picture(page)
    page.get_by_role("button", name="Overlay").click()
    head(page, "L1H2").click()
    page.mouse.move(5, 5)
    expect_shown(page, "L0H2", "L1H2")
    assert picture(page) != alone
    hues = [
        dot.evaluate("dot => dot.style.background")
        for dot in page.locator(".hg-title .hg-dot").all()
    ]
    assert len(set(hues)) == 2
    expect_python(page, "focus=L1H2 locked=L0H2,L1H2 tokens= direction=dest")
    page.get_by_role("button", name="Unlock all").click()
    expect_python(page, "focus=L1H2 locked= tokens= direction=dest")


def test_shift_click_overlays_without_the_switch(page: Page, serve: Serve) -> None:
    open_grid(page, serve(APP))
    head(page, "L0H1").click()
    head(page, "L0H3").click(modifiers=["Shift"])
    expect_python(page, "focus=L0H3 locked=L0H1,L0H3 tokens= direction=dest")


def test_keys_move_between_heads_lock_and_unlock(page: Page, serve: Serve) -> None:
    open_grid(page, serve(APP))
    head(page, "L0H0").focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowDown"):
        page.keyboard.press(key)
    expect(head(page, "L1H0")).to_be_focused()
    expect_shown(page, "L1H0")
    page.keyboard.press("End")
    expect_shown(page, "L1H7")
    page.keyboard.press("Enter")
    expect_python(page, "focus=L1H7 locked=L1H7 tokens= direction=dest")
    page.keyboard.press("Escape")
    expect_python(page, "focus=L1H7 locked= tokens= direction=dest")
    page.keyboard.press("Home")
    expect_shown(page, "L0H0")


def test_tab_visits_the_grid_once_then_picture_direction_and_text(page: Page, serve: Serve) -> None:
    open_grid(page, serve(APP))
    head(page, "L0H0").focus()
    page.keyboard.press("Tab")
    for word in page.locator(".hg-word").all():
        expect(word).to_be_focused()
        page.keyboard.press("Tab")
    expect(page.locator(".hg-picture")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="destination → source")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(token(page, 0)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(token(page, 1)).to_be_focused()
    expect(page.locator(".hg-live")).to_contain_text("at 1 attends to")


def test_exact_value_tokens_and_positions_are_read_out(page: Page, serve: Serve) -> None:
    open_grid(page, serve(APP))
    head(page, "L0H4").click()
    canvas = page.locator(".hg-picture")
    box = canvas.bounding_box()
    assert box is not None
    cell = box["width"] / 30
    page.mouse.move(box["x"] + 3.5 * cell, box["y"] + 20.5 * cell)
    value = example_patterns(2, 8, 30)[0, 4, 20, 3]
    readout = page.locator(".hg-readout")
    expect(readout).to_contain_text("dest 20·jumps")
    expect(readout).to_contain_text("src 3·fox")
    expect(readout).to_contain_text(f"L0H4{value:.4f}")
    canvas.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    above = example_patterns(2, 8, 30)[0, 4, 19, 2]
    expect(page.locator(".hg-live")).to_have_text(f"·fox at 19 to ·brown at 2: {above:.4f}")


def test_pointing_at_a_token_colours_what_it_attends_to(page: Page, serve: Serve) -> None:
    open_grid(page, serve(APP))
    token(page, 9).hover()
    expect(page.locator(".hg-status")).to_contain_text("L0H0: ·quick at 9 attends to The at 8")
    assert token(page, 8).evaluate("node => node.style.background")
    assert not token(page, 12).evaluate("node => node.style.background")
    page.mouse.move(5, 5)
    expect(page.locator(".hg-status")).to_contain_text("Point at a token")


def test_direction_switches_from_sources_to_destinations(page: Page, serve: Serve) -> None:
    open_grid(page, serve(APP))
    token(page, 9).click()
    expect_python(page, "focus=L0H0 locked= tokens=9 direction=dest")
    page.get_by_role("button", name="source → destination").click()
    expect(page.locator(".hg-status")).to_contain_text("·quick at 9 is attended to by ·brown at 10")
    expect_python(page, "focus=L0H0 locked= tokens=9 direction=src")
    page.mouse.move(5, 5)
    assert token(page, 10).evaluate("node => node.style.background")
    assert not token(page, 8).evaluate("node => node.style.background")


def test_the_first_token_can_be_hidden_or_discounted(page: Page, serve: Serve) -> None:
    open_grid(page, serve(APP))
    pattern = example_patterns(2, 8, 30)[0, 4]
    head(page, "L0H4").click()
    token(page, 5).click()
    first = page.get_by_label("First token")
    first.select_option("hidden")
    page.mouse.move(5, 5)
    nothing = pixels(page)[29, 0]
    assert tuple(nothing) == tuple(pixels(page)[0, 0])
    assert not token(page, 0).evaluate("node => node.style.background")
    first.select_option("discounted")
    strongest = int(pattern[5, 1:6].argmax()) + 1
    rest = pattern[5, strongest] / (1 - pattern[5, 0])
    expect(page.locator(".hg-status")).to_contain_text(f"at {strongest} ({rest:.2f})")


@pytest.mark.parametrize(
    ("field", "option"), [("Scale", "square root"), ("Colours", "a hue per head")]
)
def test_scale_and_colours_change_every_picture(
    page: Page, serve: Serve, field: str, option: str
) -> None:
    open_grid(page, serve(APP))
    head(page, "L1H2").click()
    page.mouse.move(5, 5)
    before = picture(page)
    page.get_by_label(field).select_option(option)
    next_frame(page)
    assert picture(page) != before


def test_heads_have_one_colour_until_they_are_laid_over_each_other(
    page: Page, serve: Serve
) -> None:
    """A hue for each head said nothing: it was that of its place."""
    open_grid(page, serve(APP))

    def colours() -> list[str]:
        return [
            str(each.evaluate("node => node.style.getPropertyValue('--hg-hue')"))
            for each in heads(page).all()
        ]

    assert len(set(colours())) == 1
    page.get_by_role("button", name="Overlay").click()
    for label in ("L0H1", "L1H2"):
        head(page, label).click()
    next_frame(page)
    assert len(set(colours())) == 2


def test_sorting_by_a_score_puts_the_highest_first_and_says_it(page: Page, serve: Serve) -> None:
    open_grid(page, serve(APP))
    page.get_by_label("Sort").select_option("by induction")
    scores = example_patterns(2, 8, 30).diagonal(-14, axis1=-2, axis2=-1).mean(-1)
    layer, number = np.unravel_index(scores.argmax(), scores.shape)
    first = heads(page).first
    expect(first).to_have_attribute("data-name", f"L{layer}H{number} {scores.max():.2f}")
    assert "marked induction" in str(first.get_attribute("aria-label"))


def test_the_page_can_move_the_view_and_the_browser_then_owns_it(page: Page, serve: Serve) -> None:
    open_grid(page, serve(APP))
    head(page, "L0H6").click()
    expect_python(page, "focus=L0H6 locked=L0H6 tokens= direction=dest")
    page.get_by_role("button", name="Ask for L1H3").click()
    expect_python(page, "focus=L1H3 locked= tokens=2 direction=dest")
    expect_shown(page, "L1H3")
    expect(token(page, 2)).to_have_attribute("aria-pressed", "true")


def test_a_view_that_the_page_asked_for_is_not_reported_and_outlives_the_report_before_it(
    page: Page, serve: Serve
) -> None:
    """Such a report, on its way while a click left for another page, brought this one back."""
    frames = sent_frames(page)
    open_grid(page, serve(APP), feedback=1)
    head(page, "L0H6").click()
    expect_python(page, "focus=L0H6 locked=L0H6 tokens= direction=dest")
    sent = len(frames)
    page.get_by_role("button", name="Ask for L1H3").click()
    expect_python(page, "focus=L1H3 locked= tokens=2 direction=dest")
    page.wait_for_timeout(600)
    assert len(frames) == sent + 1
    page.keyboard.press("r")  # the script runs once more
    wait_until_done(page)
    assert len(frames) == sent + 2
    expect_python(page, "focus=L1H3 locked= tokens=2 direction=dest")
    expect_shown(page, "L1H3")


def test_what_is_looked_at_is_told_ahead_of_a_click_elsewhere(page: Page, serve: Serve) -> None:
    frames = sent_frames(page)
    open_grid(page, serve(APP), feedback=1)
    box = page.get_by_role("button", name="Ask for L1H3").bounding_box()
    assert box
    sent = len(frames)
    head(page, "L0H6").click()
    page.mouse.click(box["x"] + 5, box["y"] + 5)
    expect_python(page, "focus=L1H3 locked= tokens=2 direction=dest")
    page.wait_for_timeout(600)
    # With the click or before it, and not once more after it.
    assert 1 <= len(frames[sent:]) <= 2
    assert all(b"L0H6" in frame for frame in frames[sent:] if isinstance(frame, bytes))
    expect_python(page, "focus=L1H3 locked= tokens=2 direction=dest")


def test_a_page_that_feeds_the_view_back_never_throws_the_visitor_back(
    page: Page, serve: Serve
) -> None:
    open_grid(page, serve(APP), feedback=1)
    for label in ("L0H1", "L0H2", "L1H5", "L0H7"):
        head(page, label).click()
        page.wait_for_timeout(280)
        expect_shown(page, label)
    expect_python(page, "focus=L0H7 locked=L0H7 tokens= direction=dest")
    expect_shown(page, "L0H7")


def test_hostile_tokens_and_names_are_only_text(page: Page, serve: Serve) -> None:
    open_grid(page, serve(APP), hostile=1)
    token(page, 1).hover()
    token(page, 5).click()
    head(page, "L1H1").hover()
    page.get_by_label("Sort").select_option(index=2)
    page.locator(".hg-picture").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(300)
    assert page.evaluate("window.canary") is None
    expect(page.locator(".hg img, .hg script, .hg svg, .hg-tokens b")).to_have_count(0)
    expect(token(page, 0)).to_have_text(HOSTILE[0])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_and_text_are_readable_in_both_themes(
    open_page: OpenPage, serve: Serve, scheme: str
) -> None:
    page = open_page(color_scheme=scheme)
    open_grid(page, serve(APP))
    drawn = pixels(page)
    background = 255 if scheme == "light" else 14
    # The previous-token head: full attention one back, next to nothing on the token itself.
    assert abs(drawn[20, 19, :3].mean() - background) > 80
    assert abs(drawn[20, 20, :3].mean() - background) < 40
    assert contrast(page, ".hg-status") > 4.5
    assert contrast(page, ".hg-title b") > 7


def contrast(page: Page, selector: str) -> float:
    """WCAG contrast of an element's text, as a browser blends it, against the page."""
    ratio = page.locator(selector).first.evaluate(
        """(node) => {
            const paint = (...colours) => {
                const context = new OffscreenCanvas(1, 1).getContext("2d");
                for (const colour of colours) {
                    context.fillStyle = colour;
                    context.fillRect(0, 0, 1, 1);
                }
                const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((byte) => {
                    const c = byte / 255;
                    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
                });
                return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
            };
            const ground = getComputedStyle(node.closest(".hg")).backgroundColor;
            const [a, b] = [paint(ground), paint(ground, getComputedStyle(node).color)];
            return Math.max(a, b) / Math.min(a, b);
        }"""
    )
    return float(ratio)


def test_a_change_of_theme_recolours_the_pictures(page: Page, serve: Serve) -> None:
    open_grid(page, serve(APP))
    light = pixels(page)[20, 20, :3].mean()
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        """() => getComputedStyle(document.querySelector(".stApp")).backgroundColor
            !== "rgb(255, 255, 255)" """
    )
    page.wait_for_timeout(300)
    assert pixels(page)[20, 20, :3].mean() < light - 100


@pytest.mark.parametrize("width", [1280, 800, 400])
def test_nothing_moves_while_one_looks_around(
    open_page: OpenPage, serve: Serve, width: int
) -> None:
    page = open_page(viewport={"width": width, "height": 1000})
    grid = open_grid(page, serve(APP), layers=12, heads=12, tokens=60, report=0)
    size = grid.bounding_box()
    places = [".hg-picture", ".hg-tokens:not([hidden])", ".hg-thumb >> nth=100"]
    before = [page.locator(place).bounding_box() for place in places]
    head(page, "L2H3").hover()
    head(page, "L2H4").click()
    head(page, "L3H5").click(modifiers=["Shift"])
    token(page, 30).hover()
    token(page, 31).click()
    page.evaluate("scrollTo(0, 0)")
    assert grid.evaluate("node => node.scrollWidth <= node.clientWidth")
    after = [page.locator(place).bounding_box() for place in places]
    shift = (grid.bounding_box() or {"y": 0})["y"] - (size or {"y": 0})["y"]
    for old, new in zip(before, after, strict=True):
        assert old is not None and new is not None
        assert new == {**old, "y": pytest.approx(old["y"] + shift)}


def test_a_single_head_of_1024_tokens_is_drawn_and_answers(page: Page, serve: Serve) -> None:
    open_grid(page, serve(APP), layers=1, heads=1, tokens=1024)
    box = page.locator(".hg-picture").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 100, box["y"] + box["height"] - 3)
    expect(page.locator(".hg-readout")).to_contain_text("dest 10")
    expect(page.locator(".hg-note")).to_be_hidden()


def test_144_heads_of_128_tokens_are_drawn_and_answer(page: Page, serve: Serve) -> None:
    open_grid(page, serve(APP), layers=12, heads=12, tokens=128)
    expect(page.locator(".hg-note")).to_be_hidden()
    head(page, "L11H4").hover()
    expect_shown(page, "L11H4")


def test_more_than_fits_is_cut_with_a_sentence(page: Page, serve: Serve) -> None:
    open_grid(page, serve(APP), layers=1, heads=2, tokens=1100)
    expect(page.locator(".hg-note")).to_contain_text("Showing the first 1,024 of 1,100 tokens.")
