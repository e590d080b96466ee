"""The app on a model that is in a script's memory, which is opened, refused twice, and ended."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ROOT, OpenPage
from tests.model_folders import GPT2, save

PATIENCE = 60_000  # ms


def expect_heads(page: Page, address: str) -> None:
    page.goto(address)
    heads = GPT2["n_layer"] * GPT2["n_head"]
    expect(page.locator(f".hg[data-drawn='{heads}']")).to_be_visible(timeout=PATIENCE)


def test_a_script_opens_the_app_on_its_own_model(tmp_path: Path, open_page: OpenPage) -> None:
    folder = save(tmp_path, "gpt2", {**GPT2, "n_positions": 128})
    script = Path(__file__).parent / "apps" / "own_model.py"
    with subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin and process.stdout
        try:
            said = process.stdout.readline()
            assert said.startswith("Headscope: http://127.0.0.1:")
            first = said.split()[-1]
            page = open_page()
            expect_heads(page, first)
            expect(page.get_by_text("is not here")).to_have_count(0)
            page.goto(first.replace("/attention?", "/ablation?"))
            expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=PATIENCE)
            expect(page.get_by_text("Something went wrong")).to_have_count(0)
            page.goto("about:blank")

            print("next", file=process.stdin, flush=True)
            assert "is open already" in process.stdout.readline()
            second = process.stdout.readline().split()[-1]
            with pytest.raises(URLError):
                urlopen(first, timeout=5)
            expect_heads(page, second)
            page.goto("about:blank")
        finally:
            process.kill()
