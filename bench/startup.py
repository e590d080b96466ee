"""From the start of the process to the first attention picture in a browser.

Claims: on the start page it takes at most .6 of the time of `import transformer_lens` alone, and on
the attention page no longer than that.

    python -m bench.startup [runs]

Each run imports TransformerLens in a fresh process, then starts a fresh server for each page and
opens it in a Chromium that is already running, as a visitor's is; the clock stops when the picture
of every head is on the screen. Both pages bring a still picture with them, which is their first
one; when the viewer has taken its place is said as well. Medians over the runs, which take turns;
files are in the page cache for all.
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
# The page, what its first picture is, and what the viewer has drawn.
STILL, VIEWER = "#first-picture img", "canvas"
SHARE = {"": 0.6, "attention": 1.0}


def import_alone() -> float:
    """Seconds that a fresh process takes to import TransformerLens."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import transformer_lens"], check=True)
    return time.perf_counter() - start


def first_picture(browser: Browser, address: str) -> tuple[float, float, float]:
    """Seconds until a fresh server answers, a page shows heads, and its viewer has drawn them."""
    page = browser.new_context().new_page()
    start = time.perf_counter()
    with served(free_port()) as (server, _):
        up = time.perf_counter() - start
        page.goto(f"{server}/{address}", wait_until="commit")
        page.locator(f"{STILL}, {VIEWER}").first.wait_for(state="visible", timeout=60_000)
        shown = time.perf_counter() - start
        page.locator(VIEWER).first.wait_for(state="visible", timeout=60_000)
        drawn = time.perf_counter() - start
        page.context.close()
    return up, shown, drawn


def main(runs: int = RUNS) -> int:
    """Print the medians."""
    alone: list[float] = []
    pictures: dict[str, list[tuple[float, float, float]]] = {address: [] for address in SHARE}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        first_picture(browser, "")  # all from warm files
        import_alone()
        for _ in range(runs):
            alone.append(import_alone())
            for address, times in pictures.items():
                times.append(first_picture(browser, address))
        browser.close()
    imported = float(np.median(alone))
    print(f"import transformer_lens alone   {imported:.2f} s")
    hold = []
    for address, times in pictures.items():
        up, shown, drawn = np.median(times, axis=0)
        print(f"/{address}")
        print(f"  server answers                {up:.2f} s")
        print(f"  first picture                 {shown:.2f} s")
        print(f"  viewer has drawn              {drawn:.2f} s")
        hold.append(shown <= SHARE[address] * imported)
        said = "holds" if hold[-1] else "FAILS"
        print(f"  {said}  {shown / imported:.2f} times the import, at most {SHARE[address]}")
    return 0 if all(hold) else 1


if __name__ == "__main__":
    raise SystemExit(main(*(int(argument) for argument in sys.argv[1:])))
