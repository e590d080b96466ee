"""How fast every head is on screen in a notebook: ours against CircuitsVis and BertViz.

Claim, checked at the end: `headscope.show` of 144 heads x 100 tokens has painted every head at
least 30 times sooner than CircuitsVis's `attention_heads` and BertViz's `model_view` of the same
arrays.

    python -m bench.notebook                     # some minutes; Chromium, JupyterLab, circuitsvis
    python -m bench.notebook --scripts FOLDER    # where BertViz is installed

All run in one JupyterLab and one headless browser, one after the other, each in a notebook of its
own whose first cell has imported what the second one draws with. The clock starts as the keys that
run the second cell are pressed, so what Python does counts. "First head" is when one head has been
drawn and a frame has passed, "every head" when the last has: of ours the grid's own count, of
CircuitsVis a canvas each whose middle row holds a pixel, of BertViz the last line of its SVG.
Ours goes first and last, the median is given; of the others, one run each.

The others load what they draw with from another host, which is never asked here. CircuitsVis puts
its bundle into the notebook where it finds no network; it is told so at once, instead of after a
second. BertViz, where it is installed, needs RequireJS, jQuery and D3: the folder of `--scripts`
has `require.min.js`, `jquery.min.js` and `d3.min.js`, which the browser is given in their place.
Without these it draws nothing, and is said to be left out.

What this cannot show: machines with a GPU, and notebooks that have other outputs.
"""

import argparse
import os
import platform
import shutil
import statistics
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import nbformat
from playwright.sync_api import Browser, Route, sync_playwright
from playwright.sync_api import Error as BrowserError

from tests.browser.jupyter import open_notebook, run_cell, running_lab

HEADS, LAYERS, TOKENS, REPEATS, WANTED = 144, 12, 100, 3, 30
SCRIPTS = ("require.min.js", "jquery.min.js", "d3.min.js")
# Seconds after which one that has not painted is left.
LONGEST = 300.0
ARRAYS = f"""
import numpy as np, torch
from bench.attention_view import example, labels
patterns = example({HEADS}, {TOKENS}).reshape({LAYERS}, -1, {TOKENS}, {TOKENS})
words = labels({TOKENS})
"""


class View(NamedTuple):
    """What is imported ahead, what draws, and JavaScript that counts the heads that are drawn."""

    imported: str
    drawn: str
    counted: str


VIEWS = {
    "headscope": View(
        "import headscope; show = headscope.show",
        "show(patterns, words)",
        """[...document.querySelectorAll(".jp-OutputArea-output *")]
            .map((each) => Number(each.shadowRoot?.querySelector(".hg")?.dataset.drawn ?? 0))
            .reduce((most, one) => Math.max(most, one), 0)""",
    ),
    "circuitsvis": View(
        "from circuitsvis.attention import attention_heads\n"
        "from circuitsvis.utils import render; render.internet_on = lambda: False",
        "attention_heads(patterns.reshape(-1, *patterns.shape[2:]), words)",
        # What is drawn is not read again, because reading pixels is itself work.
        """[...document.querySelectorAll(".jp-OutputArea-output canvas")].filter((canvas) => {
            if (canvas.benchDrawn || !canvas.width || !canvas.height) return canvas.benchDrawn;
            const row = [0, canvas.height >> 1, canvas.width, 1];
            const pixels = canvas.getContext("2d").getImageData(...row).data;
            return canvas.benchDrawn = pixels.some((byte) => byte);
        }).length""",
    ),
    "bertviz": View(
        "from bertviz import model_view\nlayers = list(torch.from_numpy(patterns)[:, None])",
        "model_view(layers, words)",
        f"""Math.floor(document.querySelector(".jp-OutputArea-output svg[height] g")
            ?.parentNode.getElementsByTagName("line").length / {TOKENS**2} || 0)""",
    ),
}
WATCH = """() => {
  const count = () => COUNT;
  const pause = () => new Promise((done) => setTimeout(done, 20));
  const reach = async (heads, start) => {
    while (count() < heads) await pause();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return (performance.now() - start) / 1000;
  };
  const begin = async () => {
    const start = performance.now();
    const first = await reach(1, start);
    window.bench = [first, await reach(HEADS, start)];
  };
  addEventListener("keydown", (event) => event.key === "Enter" && begin(), { capture: true });
}"""


class Times(NamedTuple):
    """Seconds until one head is on screen, and all; infinite beyond `LONGEST`."""

    first: float
    every: float


def write_notebook(folder: Path, name: str, view: View) -> None:
    cells = [nbformat.v4.new_code_cell(text) for text in (ARRAYS + view.imported, view.drawn)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    made = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    nbformat.write(made, folder / f"{name}.ipynb")


def measure(browser: Browser, address: str, name: str, view: View, scripts: Path | None) -> Times:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()

        def hand_over(route: Route) -> None:
            wanted = route.request.url.rpartition("/")[2]
            if scripts and wanted in SCRIPTS:
                route.fulfill(path=scripts / wanted, content_type="text/javascript")
            else:
                route.abort()

        page.route(lambda url: not url.startswith((address, "data:", "blob:")), hand_over)
        open_notebook(page, address, name)
        if failed := run_cell(page, 0).locator(".jp-OutputArea-output").all_inner_texts():
            raise AssertionError(f"nothing to draw with: {failed}")
        page.evaluate(WATCH.replace("COUNT", view.counted).replace("HEADS", str(HEADS)))
        page.locator(".jp-Notebook .jp-Cell").nth(1).locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        try:
            page.wait_for_function("() => window.bench", timeout=1000 * LONGEST, polling=200)
        except BrowserError as error:  # not within the time, or the browser's process is gone
            print(f"left: {str(error).splitlines()[0]}")
            return Times(float("inf"), float("inf"))
        return Times(*page.evaluate("() => window.bench"))


def measure_all(browser: Browser, order: list[str], scripts: Path | None) -> dict[str, list[Times]]:
    times: dict[str, list[Times]] = {}
    with tempfile.TemporaryDirectory() as own:
        folder = Path(own) / "work"
        folder.mkdir()
        paths = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
        with running_lab(Path(own), folder, *paths) as address:
            for number, name in enumerate(order):
                write_notebook(folder, f"{name}{number}", VIEWS[name])
                took = measure(browser, address, f"{name}{number}", VIEWS[name], scripts)
                times.setdefault(name, []).append(took)
                size = f"{HEADS} x {TOKENS}"
                print(f"{name:<12}{size:>14}{took.first:>10.2f} s{took.every:>10.2f} s", flush=True)
    return times


def report(times: dict[str, list[Times]]) -> bool:
    """Whether the claim holds of all that were measured."""
    ours = Times(*(statistics.median(column) for column in zip(*times["headscope"], strict=True)))
    held = True
    for name, (theirs,) in ((name, each) for name, each in times.items() if name != "headscope"):
        unseen = theirs.every == float("inf")
        ratio = (LONGEST if unseen else theirs.every) / ours.every
        first = "" if unseen else f"; first head: {theirs.first / ours.first:.0f}"
        more = "more than " if unseen else ""
        print(f"every head, {name} over headscope: {more}{ratio:.0f} (at least {WANTED}){first}")
        held = held and ratio >= WANTED
    return held


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--scripts", type=Path, help="what BertViz loads from another host")
    scripts = parser.parse_args().scripts
    if scripts and (missing := [name for name in SCRIPTS if not (scripts / name).is_file()]):
        parser.error(f"{scripts} has no {', '.join(missing)}")
    names = ("circuitsvis", "bertviz", "jupyterlab", "anywidget", "playwright")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    versions = ", ".join(f"{name} {installed(name)}" for name in names)
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load}; {versions}")
    others = ["circuitsvis"]
    if installed("bertviz") == "not installed" or not scripts:
        print("bertviz is left out: it needs to be installed, and --scripts")
    else:
        others.append("bertviz")
    order = ["headscope"] * REPEATS + others + ["headscope"] * REPEATS
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu"],
        )
        print("view          heads x tokens  first head  every head")
        times = measure_all(browser, order, scripts)
        browser.close()
    return 0 if report(times) else 1


if __name__ == "__main__":
    raise SystemExit(main())
