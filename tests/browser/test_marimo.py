"""The viewer in a real marimo: drawn without a network, and heard by Python."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ROOT
from tests.browser.jupyter import PATIENCE, answering

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        find_spec("marimo") is None, reason="marimo of requirements-dev.txt is not installed"
    ),
]
HEADS, TOKENS = (2, 8), 12
NOTEBOOK = f"""
import marimo
app = marimo.App()

@app.cell
def _():
    import headscope
    import marimo as mo
    from tests.browser.apps.head_grid_app import HOSTILE, example_patterns
    patterns = example_patterns({HEADS[0]}, {HEADS[1]}, {TOKENS})
    words = [HOSTILE[i % 8] for i in range({TOKENS})]
    return headscope, mo, patterns, words

@app.cell
def _(headscope, mo, patterns, words):
    viewer = mo.ui.anywidget(headscope.show(patterns, words))
    viewer
    return (viewer,)

@app.cell
def _(mo, viewer):
    viewer.value
    mo.plain_text(f"locked: {{[h.label for h in viewer.widget.locked]}} {{viewer.widget.tokens}}")
    return

@app.cell
def _(headscope, patterns, words):
    headscope.compare(patterns, patterns[:, ::-1], words, head="L0H1")
    return
"""


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[str]:
    """The address of a marimo of its own with one notebook, run as an app."""
    file = tmp_path / "heads.py"
    file.write_text(NOTEBOOK, encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # What it keeps of this user, such as when it last asked for a newer version, stays away.
    own = {name: str(tmp_path) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")}
    process = subprocess.Popen(
        [sys.executable, "-m", "marimo", "-q", "run", str(file), "--headless", "--no-token"]
        + [f"--port={port}"],
        cwd=tmp_path,
        env={**os.environ, **own, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with answering(process, f"http://127.0.0.1:{port}", "health") as address:
        yield address


def test_heads_are_drawn_and_heard_in_marimo(notebook: str, page: Page) -> None:
    page.goto(notebook)
    grid = page.locator(f".hg[data-drawn='{HEADS[0] * HEADS[1]}']")
    expect(grid).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("locked: [] []")).to_be_visible(timeout=PATIENCE)
    grid.locator(".hg-thumb").nth(11).click()
    expect(grid).to_have_attribute("data-shown", "L1H3")
    grid.locator(".hg-token").nth(4).click()
    expect(page.get_by_text("locked: ['L1H3'] [4]")).to_be_visible(timeout=PATIENCE)
    # What Python heard ran a cell again, and the viewer stayed as it was.
    expect(grid).to_have_attribute("data-shown", "L1H3")
    expect(page.locator(".pp[data-panes='3']")).to_be_visible(timeout=PATIENCE)
    assert page.evaluate("window.canary") is None
