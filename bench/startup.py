"""From the start of the process to the first attention picture in a browser.

Claim: it takes no longer than `import transformer_lens` takes alone.

    python -m bench.startup [runs]

Each run imports TransformerLens in a fresh process, then starts a fresh server and opens the
attention page in a Chromium that is already running, as a visitor's is; the clock stops when the
picture of a head has been drawn. Medians over the runs, which take turns; files are in the page
cache for both.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

import numpy as np
from playwright.sync_api import Browser, sync_playwright

from bench.visitors import free_port, served

RUNS = 3


def import_alone() -> float:
    """Seconds that a fresh process takes to import TransformerLens."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import transformer_lens"], check=True)
    return time.perf_counter() - start


def first_picture(browser: Browser) -> tuple[float, float]:
    """Seconds until a fresh server answers, and until the attention page has drawn its heads."""
    page = browser.new_context().new_page()
    start = time.perf_counter()
    with served(free_port()) as (address, _):
        up = time.perf_counter() - start
        page.goto(f"{address}/attention")
        page.locator("canvas").first.wait_for(state="visible", timeout=60_000)
        drawn = time.perf_counter() - start
        page.context.close()
    return up, drawn


def main(runs: int = RUNS) -> int:
    """Print both medians."""
    alone, pictures = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        first_picture(browser)  # both from warm files
        import_alone()
        for _ in range(runs):
            alone.append(import_alone())
            pictures.append(first_picture(browser))
        browser.close()
    imported = float(np.median(alone))
    up, drawn = np.median(pictures, axis=0)
    print(f"import transformer_lens alone   {imported:.2f} s")
    print(f"server answers                  {up:.2f} s")
    print(f"first attention picture         {drawn:.2f} s")
    holds = drawn <= imported
    print(f"{'holds' if holds else 'FAILS'}  {drawn / imported:.2f} times the import")
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main(*(int(argument) for argument in sys.argv[1:])))
