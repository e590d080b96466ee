"""How fast the Attention page has its picture: our head grid against the CircuitsVis view.

Claim: in the warm app (server up, model loaded, results cached) the time from a click on
Attention in the navigation to every head drawn is with our grid at most 1/8 of what it is with
CircuitsVis, on the same input.

Run `python -m bench.attention_page`, or `python -m bench.attention_view` for both benches. One
server, one browser, both views by turns under the same load. The clock starts before the click
and stops when every head's canvas holds a picture, looked at every 20 ms. Ours draws all heads of
all layers, CircuitsVis the heads of one layer that it can be asked for: the comparison favours it.

Also timed there: from a key press in the grid to the next head's picture, and how many messages
the page has sent to the server by then (none: Python hears of it afterwards).

What this cannot show: a network between browser and server, and machines with a GPU.
"""

import argparse
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from analysis.models.catalog import list_models

ROOT = Path(__file__).parents[1]
REPEATS = 5
# The default prompt, and repeated tokens of the length that scores are usually given for.
INPUTS = {"default prompt": "", "2 x 50 tokens": "&input=repeated&batch=1"}
WAIT_S = 300.0
# Whether each head's canvas of CircuitsVis holds a picture: its middle row is not empty.
STOCK_DRAWN = """() => {
  const canvases = [...document.querySelectorAll("canvas")];
  return canvases.length > 1 && canvases.every((canvas) => {
    if (!canvas.width || !canvas.height) return false;
    const context = canvas.getContext("2d");
    const row = context.getImageData(0, canvas.height >> 1, canvas.width, 1).data;
    return row.some((byte) => byte);
  });
}"""

NEXT_HEAD = """(grid) => new Promise((painted, failed) => {
  const root = grid.closest(".hg");
  const before = root.dataset.shown;
  const start = performance.now();
  grid.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
  requestAnimationFrame(() => setTimeout(() => {
    const time = performance.now() - start;
    if (root.dataset.shown === before) failed(new Error("the picture is still the one before"));
    else painted(time);
  }));
})"""


@contextmanager
def served() -> Iterator[str]:
    """The address of the app, served until the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(ROOT / "streamlit_app.py")]
        + [f"--server.port={port}", "--server.address=127.0.0.1", "--server.headless=true"]
        + ["--server.fileWatcherType=none", "--browser.gatherUsageStats=false"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait(lambda: answers(f"{address}/_stcore/health"))
        yield address
    finally:
        process.terminate()
        process.wait(20)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2):
            return True
    except OSError:
        return False


def wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not until():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing to be seen after {WAIT_S:.0f} s")
        time.sleep(0.02)


def ours_drawn(page: Page, heads: int) -> bool:
    grid = page.locator(".hg")
    return grid.count() == 1 and grid.get_attribute("data-drawn") == str(heads)


def stock_drawn(page: Page) -> bool:
    frames = page.locator("iframe[title^='Attention patterns']")
    if frames.count() != 1:
        return False
    handle = frames.element_handle()
    frame = handle.content_frame() if handle else None
    return bool(frame and frame.evaluate(STOCK_DRAWN))


def done(page: Page) -> bool:
    return page.locator("[data-test-script-state=notRunning]").count() == 1


def seconds_to_picture(
    browser: Browser, address: str, view: str, query: str, repeats: int
) -> list[float]:
    """Times from the click to the picture; a first round that fills the caches is left out."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(1000 * WAIT_S)

    def drawn() -> bool:
        return ours_drawn(page, n_heads()) if view == "grid" else stock_drawn(page)

    page.goto(f"{address}/attention?view={view}{query}")
    wait(lambda: drawn() and done(page))

    def open_from_menu(title: str) -> float:
        page.get_by_test_id("stTopNavSection").filter(has_text="Look").click()
        link = page.get_by_test_id("stTopNavDropdownLink").get_by_text(title, exact=True)
        link.wait_for()
        start = time.perf_counter()
        link.click()
        return start

    times = []
    for _ in range(repeats + 1):
        open_from_menu("Tokens")
        page.get_by_role("heading", name="Every token").wait_for()
        wait(lambda: done(page) and not drawn())
        start = open_from_menu("Attention")
        wait(drawn)
        times.append(time.perf_counter() - start)
        wait(lambda: done(page))
    page.close()
    return times[1:]


def n_heads() -> int:
    """Heads of the model that the app opens with."""
    model = list_models()[0]
    return model.n_layers * model.n_heads


def next_head(browser: Browser, address: str, repeats: int) -> tuple[list[float], int]:
    """Seconds from a key to the next head's picture, and messages sent to the server by then."""
    sent: list[object] = []
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(1000 * WAIT_S)
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    page.goto(f"{address}/attention?layer=0&head=0")  # others follow to its right
    wait(lambda: ours_drawn(page, n_heads()) and done(page))
    times, messages = [], 0
    for _ in range(repeats + 1):
        before = len(sent)
        times.append(page.locator(".hg-grid").evaluate(NEXT_HEAD) / 1000)
        messages += len(sent) - before
        # The report follows a quarter of a second later, and the script runs again.
        wait(lambda: done(page) and len(sent) > before)  # noqa: B023
    page.close()
    return times[1:], messages


def measure_pages(browser: Browser, repeats: int, inputs: int) -> list[tuple[str, bool]]:
    """Print a row for both views on the first `inputs` inputs; the claims with their verdicts."""
    claims = []
    with served() as address:
        for name, query in list(INPUTS.items())[:inputs]:
            ours = seconds_to_picture(browser, address, "grid", query, repeats)
            stock = seconds_to_picture(browser, address, "circuitsvis", query, repeats)
            for view, times in (("ours", ours), ("stock", stock)):
                print(
                    f"{view:<6}in the app, {name:<16}{statistics.median(times):>10.2f} s   "
                    f"({min(times):.2f} to {max(times):.2f}, {len(times)} runs)",
                    flush=True,
                )
            ratio = statistics.median(stock) / statistics.median(ours)
            text = f"page change to picture, {name}, stock over ours: {ratio:.1f} (at least 8)"
            claims.append((text, ratio >= 8))
        times, messages = next_head(browser, address, repeats)
        slowest = 1000 * max(times)
        print(
            f"ours  in the app, next head {1000 * statistics.median(times):>16.0f} ms", flush=True
        )
        text = f"another head in the app: {slowest:.0f} ms at most (at most 100)"
        claims.append((text, slowest <= 100))
        text = f"messages to the server before another head is painted: {messages} (none)"
        claims.append((text, messages == 0))
    return claims


def report(claims: list[tuple[str, bool]]) -> bool:
    """Print every claim with its verdict; whether all of them hold."""
    for text, holds in claims:
        print(f"{'holds' if holds else 'FAILS'}  {text}")
    return all(holds for _, holds in claims)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one run, on the default prompt only")
    quick = parser.parse_args().quick
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        print(f"{platform.machine()}, {os.cpu_count()} cores, load {load}; {browser.version}")
        claims = measure_pages(browser, *((1, 1) if quick else (REPEATS, len(INPUTS))))
        browser.close()
    return 0 if report(claims) else 1


if __name__ == "__main__":
    raise SystemExit(main())
