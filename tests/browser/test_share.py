"""Taking things along, as a person does: files, links and views are saved and opened again."""

import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, wait_until_done

VIEW = "induction?length=12&batch=3&layer=1&head=4"


def save(page: Page, kind: str, folder: Path) -> Path:
    """The first figure of the page as a file of that kind."""
    page.get_by_role("button", name="Export").first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name=kind, exact=True).first.click()
    file = folder / download.value.suggested_filename
    download.value.save_as(file)
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name=kind, exact=True)).to_have_count(0)
    wait_until_done(page)
    return file


@pytest.fixture
def slides(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """`slides(html)`: the address of a page with it on another host than the app's."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def show(html: str) -> str:
        icon = '<link rel="icon" href="data:,">'
        (tmp_path / "slides.html").write_text(f"<!doctype html>{icon}{html}", encoding="utf-8")
        return f"http://localhost:{server.server_port}/slides.html"

    yield show
    server.shutdown()
    server.server_close()


def test_a_figure_is_saved_in_every_form_and_its_page_needs_no_network(
    app: str, page: Page, open_page: OpenPage, tmp_path: Path
) -> None:
    page.goto(f"{app}/{VIEW}")
    wait_until_done(page)
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    assert save(page, "PNG", tmp_path).read_bytes().startswith(b"\x89PNG")
    svg = save(page, "SVG", tmp_path)
    assert svg.name == "log-probs-attn-only-2l.svg"
    # It says what it is, of which model and input.
    drawn = svg.read_text(encoding="utf-8")
    assert "Attention-only, 2 layers" in drawn
    assert "12 random tokens twice, seed 0" in drawn
    assert "Log-probability" in svg.read_text(encoding="utf-8")
    # One row for each prediction of 25 tokens, beside the band of one standard deviation.
    rows = save(page, "CSV", tmp_path).read_text(encoding="utf-8-sig").splitlines()
    assert len([row for row in rows if row.startswith("mean log-probability")]) == 24
    document = save(page, "HTML", tmp_path)
    alone = open_page(offline=True)
    alone.goto(document.as_uri())
    expect(alone.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    with alone.expect_download() as download:
        alone.get_by_role("button", name="Save as SVG").click()
    assert download.value.suggested_filename.endswith(".svg")


def test_a_pattern_is_saved_for_print_and_a_pair_of_patterns_as_a_page(
    app: str, page: Page, open_page: OpenPage, tmp_path: Path
) -> None:
    page.goto(f"{app}/compare?input=prompt&embed=true")
    wait_until_done(page)
    alone = open_page(offline=True)
    alone.goto(save(page, "HTML", tmp_path).as_uri())
    expect(alone.locator("svg #cells rect").first).to_be_visible()
    drawing = save(page, "Paper SVG", tmp_path)
    assert drawing.name.endswith(".paper.svg")
    alone.goto(drawing.as_uri())
    expect(alone.get_by_text("Destination (query)")).to_be_visible()
    # Millimetres, at 96 pixels to the inch.
    assert alone.evaluate("document.documentElement.getBoundingClientRect().width") in (
        pytest.approx(85 * 96 / 25.4, abs=1),
        pytest.approx(178 * 96 / 25.4, abs=1),
    )


def test_the_shared_link_brings_the_view_back_and_can_be_embedded(
    app: str, page: Page, open_page: OpenPage, slides: Callable[[str], str]
) -> None:
    page.goto(f"{app}/{VIEW}&embed=true")
    wait_until_done(page)
    assert page.url.endswith("&embed=true")
    page.get_by_role("button", name="Share").click()
    shown = page.get_by_test_id("stCode")
    expect(shown).to_have_count(2)
    assert shown.first.inner_text().strip() == f"{app}/{VIEW}"
    code = shown.last.inner_text().strip()
    other = open_page()
    other.goto(slides(code))
    frame = other.frame_locator("iframe")
    expect(frame.get_by_text("Second half", exact=False).first).to_be_visible(timeout=60_000)


def test_a_prompt_too_long_for_a_link_travels_in_a_file(
    app: str, open_page: OpenPage, tmp_path: Path
) -> None:
    text = "the old house by the sea " * 70
    page = open_page()
    page.goto(f"{app}/tokens")
    wait_until_done(page)
    page.get_by_label("Prompt", exact=True).and_(page.locator("textarea")).fill(text)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("too long for a link", exact=False).first).to_be_visible()
    page.get_by_role("button", name="Share").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save this view as a file").click()
    file = tmp_path / "view.json"
    download.value.save_as(file)
    for width in (1280, 420):
        other = open_page(viewport={"width": width, "height": 900})
        other.goto(app)
        wait_until_done(other)
        other.get_by_role("button", name="Share").click()
        other.locator("input[type=file]").set_input_files(file)
        expect(other).to_have_url(re.compile("/tokens$"))
        expect(other.locator("textarea").first).to_have_value(text)
