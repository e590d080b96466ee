"""Two sides in a real browser: one pointer for all panes, and both sides in the link."""

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage, wait_until_done
from tests.hostile import HOSTILE

pytestmark = pytest.mark.browser


def go(page: Page, address: str) -> None:
    page.goto(address)
    wait_until_done(page)
    expect(page.locator(".pp")).to_be_visible(timeout=60_000)


def pane(page: Page, key: str) -> Locator:
    return page.locator(f".pp-picture[data-pane={key}]")


def point(page: Page, key: str, dest: int, src: int, n: int) -> None:
    """The mouse in the middle of a cell of one pane."""
    pane(page, key).scroll_into_view_if_needed()
    box = pane(page, key).bounding_box()
    assert box
    cell = box["width"] / n
    page.mouse.move(box["x"] + (src + 0.5) * cell, box["y"] + (dest + 0.5) * cell)


def picture(page: Page, key: str) -> str:
    return str(pane(page, key).locator("canvas").evaluate("canvas => canvas.toDataURL()"))


def numbers(page: Page) -> dict[str, float]:
    """What the readout says of A, B and B - A."""
    found = re.findall(r"(A|B|B − A) ([+−]?\d\.\d{4})", page.locator(".pp-readout").inner_text())
    return {name: float(text.replace("−", "-")) for name, text in found}


def test_a_cell_is_marked_in_every_pane_without_a_message(app: str, page: Page) -> None:
    frames: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: frames.append(frame)))
    go(page, f"{app}/compare?length=20")
    before = len(frames)
    # S = 20: on the stripe of an induction head.
    for key in ("a", "b", "d"):
        point(page, key, 30, 11, 41)
        expect(page.locator(".pp-mark:visible")).to_have_count(3)
        for mark in page.locator(".pp-mark").all():
            assert mark.get_attribute("data-cell") == "30,11"
    value = numbers(page)
    assert set(value) == {"A", "B", "B − A"}
    assert value["B − A"] == pytest.approx(value["B"] - value["A"], abs=2e-4)
    expect(page.locator(".pp-readout")).to_contain_text("destination 30")
    page.mouse.move(2, 2)
    expect(page.locator(".pp-mark:visible")).to_have_count(0)
    assert len(frames) == before


def test_arrow_keys_move_the_pointer_and_are_read_out(app: str, page: Page) -> None:
    go(page, f"{app}/compare?length=20")
    pane(page, "b").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".pp")).to_have_attribute("data-cell", "39,1")
    expect(page.locator(".pp-live")).to_contain_text("destination 39")


def test_the_default_view_shows_a_difference_that_can_be_seen(app: str, page: Page) -> None:
    go(page, f"{app}/compare")
    assert picture(page, "a") != picture(page, "b")
    expect(page.get_by_role("heading", name=re.compile("without"))).to_be_visible()


def test_what_is_compared_is_in_the_link_and_comes_back_in_a_fresh_browser(
    app: str, open_page: OpenPage
) -> None:
    first = open_page()
    go(first, f"{app}/compare?length=20")
    first.get_by_role("radio", name="Two heads").click()
    expect(first).to_have_url(re.compile("by=head"))
    wait_until_done(first)
    first.get_by_label("B: head").click()
    first.get_by_role("option", name="6").click()
    expect(first).to_have_url(re.compile("head2=6"))
    wait_until_done(first)
    expect(first.locator(".pp-title").nth(1)).to_contain_text("H6")
    title, link = first.locator(".pp-title").nth(1).inner_text(), first.url

    second = open_page()
    go(second, link)
    expect(second.locator(".pp-title").nth(1)).to_have_text(title)
    assert second.url == link
    assert picture(second, "b") == picture(first, "b")


def test_prompts_of_different_length_are_pointed_at_one_by_one(app: str, page: Page) -> None:
    prompts = f"input=prompt&prompt={quote('Alice saw Alice')}&prompt2={quote('The cat')}"
    go(page, f"{app}/compare?by=prompt&{prompts}")
    expect(pane(page, "d")).to_have_count(0)
    expect(page.locator(".pp-readout")).to_contain_text("do not correspond")
    pane(page, "b").scroll_into_view_if_needed()
    box = pane(page, "b").bounding_box()
    assert box
    page.mouse.move(box["x"] + 3, box["y"] + box["height"] - 3)
    expect(page.locator(".pp-mark:visible")).to_have_count(1)


def test_hostile_prompts_on_both_sides_are_only_text(app: str, page: Page) -> None:
    text = quote(" ".join(HOSTILE))
    go(page, f"{app}/compare?by=prompt&input=prompt&prompt={text}&prompt2={text}")
    pane(page, "a").focus()
    page.keyboard.press("ArrowUp")
    expect(page.locator(".pp-readout")).to_contain_text("destination")
    assert page.evaluate("window.canary") is None
    expect(page.locator(".pp img, .pp script, .pp svg")).to_have_count(0)


@pytest.mark.parametrize("width", [1280, 800, 500])
def test_panes_stand_in_line_and_inside_the_window(
    app: str, open_page: OpenPage, width: int
) -> None:
    page = open_page(viewport={"width": width, "height": 900})
    go(page, f"{app}/compare?length=20")
    expect(pane(page, "b")).to_be_visible(timeout=60_000)
    # Of one moment: what is above them may still be moving.
    a, b = page.locator(".pp").evaluate(
        """node => ["a", "b"].map((key) => {
            const box = node.querySelector(`[data-pane="${key}"]`).getBoundingClientRect();
            return { x: box.x, y: box.y, width: box.width };
        })"""
    )
    assert (a["y"], a["width"]) == (b["y"], b["width"])
    assert b["x"] + b["width"] <= width
    assert page.locator(".pp").evaluate("node => node.scrollWidth <= node.clientWidth")
