"""The viewer in a real JupyterLab: drawn as in the app, heard by Python, and kept as a picture."""

import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, expect

from app.theme import DARK, LIGHT
from tests.browser.apps.head_grid_app import example_patterns
from tests.browser.conftest import ROOT, OpenPage, Serve
from tests.browser.jupyter import PATIENCE, open_notebook, run_cell, running_lab
from tests.browser.test_head_grid import APP, open_grid
from tests.unit.test_distribution import build, install

HEADS, TOKENS, WIDTH = (2, 8), 30, 1000
ROWS = 7  # of a text that attends to another
CELLS = (
    "import headscope\n"
    "from tests.browser.apps.head_grid_app import HOSTILE, WORDS, example_patterns\n"
    f"patterns = example_patterns({HEADS[0]}, {HEADS[1]}, {TOKENS})\n"
    f"words, hostile = ([texts[i % 8] for i in range({TOKENS})] for texts in (WORDS, HOSTILE))\n"
    "viewer = headscope.show(patterns, words)\nviewer",
    "print('locked:', *(head.label for head in viewer.locked), viewer.tokens, headscope.__file__)",
    "headscope.show(patterns, hostile, scores={HOSTILE[1]: patterns[:, :, 1, 0]})",
    f"headscope.show(patterns[:, :, -{ROWS}:], words[-{ROWS}:], sources=hostile)",
    "headscope.compare(patterns, patterns[:, ::-1], hostile, head='L0H1', titles=HOSTILE[:2])",
)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The Python of a new environment with the wheel; it finds the tests' own modules last."""
    wheel, _ = build(ROOT, tmp_path / "built")
    python = install(wheel, tmp_path / "venv") / "python"
    (others,) = python.parents[1].glob("lib/python*/site-packages/others.pth")
    others.write_text(f"{others.read_text(encoding='utf-8')}\n{ROOT}", encoding="utf-8")
    return python


@pytest.fixture
def lab(tmp_path: Path, installed: Path) -> Iterator[tuple[str, Path]]:
    """A JupyterLab of its own with one notebook, on the wheel: its address, and the notebook."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    file = tmp_path / "work" / "heads.ipynb"
    file.parent.mkdir()
    nbformat.write(notebook, file)
    with running_lab(tmp_path, file.parent, python=installed) as address:
        yield address, file


def pixels(grid: Locator) -> list[str]:
    """The large picture and the small ones as they are drawn."""
    read = "canvas => canvas.toDataURL()"
    return [grid.locator(name).evaluate(read) for name in (".hg-picture", ".hg-sheet")]


# One width and one theme for both. That of neither: a grid hears of a change by its background.
LIKE = """
(grid, width) => {
    const { style } = grid.getRootNode().host;
    const theme = { "--st-text-color": "#102030", "--st-background-color": "#fdfcf5",
        "--st-font": "sans-serif", "--st-code-font": "monospace" };
    for (const [name, value] of Object.entries(theme)) style.setProperty(name, value);
    style.width = `${width}px`;
}
"""


def expect_same_pixels(one: Locator, other: Locator) -> None:
    """Both draw the same, once they are as wide and have the same colours."""
    for grid in (one, other):
        grid.evaluate(LIKE, WIDTH)
        expect(grid).to_have_js_property("clientWidth", WIDTH)
    until = time.monotonic() + PATIENCE / 1000
    while (here := pixels(one)) != (there := pixels(other)):
        same = [mine == theirs for mine, theirs in zip(here, there, strict=True)]
        assert time.monotonic() < until, f"large, small: {same}"
        one.page.wait_for_timeout(100)


def expect_rows(picture: Locator) -> None:
    """A pixel for each cell of the first head's last rows, coloured most where they attend most."""
    read = """canvas => {
        const { width, height } = canvas;
        const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
        return [...Array(width * height).keys()].map((i) => data[4 * i] + data[4 * i + 1]);
    }"""
    light = np.array(picture.evaluate(read)).reshape(ROWS, TOKENS)
    pattern = example_patterns(*HEADS, TOKENS)[0, 0, -ROWS:]
    assert np.corrcoef(light.ravel(), pattern.ravel())[0, 1] < -0.9
    assert (light.argmin(1) == pattern.argmax(1)).all()


def test_heads_are_drawn_heard_and_kept_in_jupyterlab(
    lab: tuple[str, Path], installed: Path, open_page: OpenPage, serve: Serve, browser: Browser
) -> None:
    address, file = lab
    page, theirs = open_page(), open_page()
    open_notebook(page, address, "heads")
    drawn = f".hg[data-drawn='{HEADS[0] * HEADS[1]}']"
    grid = run_cell(page, 0).locator(drawn)
    expect(grid).to_be_visible(timeout=PATIENCE)
    app = open_grid(theirs, serve(APP), layers=HEADS[0], heads=HEADS[1], tokens=TOKENS)
    expect_same_pixels(grid, app)

    grid.locator(".hg-thumb").nth(11).click()
    expect(grid).to_have_attribute("data-shown", "L1H3")
    grid.locator(".hg-token").nth(4).click()
    there = next(installed.parents[1].glob("lib/*/*/headscope"))
    until = time.monotonic() + PATIENCE / 1000
    # Python hears a moment after the click; what it has not heard yet is asked again.
    while (said := run_cell(page, 1).locator(".jp-OutputArea-output").inner_text()) != (
        f"locked: L1H3 [4] {there}/__init__.py\n"
    ):
        assert time.monotonic() < until, said
        page.locator(".jp-Notebook .jp-Cell").nth(1).locator(".cm-content").click()
        page.keyboard.press("Control+Enter")

    expect(run_cell(page, 2).locator(drawn)).to_be_visible(timeout=PATIENCE)
    two = run_cell(page, 3).locator(drawn)
    expect(two).to_be_visible(timeout=PATIENCE)
    expect_rows(two.locator(".hg-picture"))
    for side, count in ((".hg-rows", ROWS), (".is-sources", TOKENS)):
        expect(two.locator(f"{side} > :not(br)")).to_have_count(count)
    pair = run_cell(page, 4).locator(".pp[data-panes='3']")
    expect(pair).to_be_visible(timeout=PATIENCE)
    expect(pair).to_have_css("--pp-accent", LIGHT.accent)
    pair.evaluate(
        "pair => pair.getRootNode().host.style.setProperty('--st-background-color', '#111')"
    )
    expect(pair).to_have_css("--pp-accent", DARK.accent)
    # Their pictures are there for where nothing runs, and hidden here.
    stills = page.locator("img[class^=headscope-still]")
    expect(stills).to_have_count(5)
    assert not [still for still in stills.all() if still.is_visible()]
    assert page.evaluate("window.canary") is None

    page.keyboard.press("Control+s")
    until = time.monotonic() + PATIENCE / 1000
    while file.read_text(encoding="utf-8").count('"headscope-still') < 5:
        assert time.monotonic() < until
        page.wait_for_timeout(100)
    file.with_name("saved.ipynb").write_bytes(file.read_bytes())
    # JupyterLab itself complains of the widgets that are gone.
    with browser.new_context() as context:
        again = context.new_page()
        open_notebook(again, address, "saved")
        stills = again.locator(".jp-OutputArea-output img")
        expect(stills).to_have_count(5, timeout=PATIENCE)
        for still in stills.all():
            assert still.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
        assert again.evaluate("window.canary") is None
