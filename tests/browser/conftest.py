"""A real Chromium, Streamlit servers on this machine, and pages that notice what must not be."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

from app.links.pages import page_info

ROOT = Path(__file__).parents[2]
LOCAL = {"127.0.0.1", "localhost"}
WINDOW: ViewportSize = {"width": 1280, "height": 900}

# Five seconds are not enough on a machine that also trains a model.
expect.set_options(timeout=30_000)

Serve = Callable[..., str]
OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for the whole run: the system's, else the one that Playwright brought."""
    system = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=system,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def serve() -> Iterator[Serve]:
    """`serve(script, *streamlit_arguments)`: the address of that script, served until the end.

    Keywords are variables of its environment.
    """
    running: dict[tuple[Any, ...], tuple[subprocess.Popen[bytes], str]] = {}

    def start(script: Path, *arguments: str, **environment: str) -> str:
        key = (script, *arguments, *environment.items())
        if key not in running:
            running[key] = start_streamlit(script, arguments, environment)
        return running[key][1]

    yield start
    for process, _ in running.values():
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def app(serve: Serve) -> str:
    """The address of the whole app on the bundled model."""
    return serve(ROOT / "server.py")


@pytest.fixture(scope="session")
def visitors() -> list[BrowserContext]:
    """Visitors whom one test leaves to the next: Streamlit's own scripts stay in their caches."""
    return []


@pytest.fixture
def open_page(browser: Browser, visitors: list[BrowserContext]) -> Iterator[OpenPage]:
    """`open_page(**context_options)`: pages that fail the test on errors and foreign requests.

    Each page is that of another visitor.
    """
    problems: list[str] = []
    used: list[BrowserContext] = []
    special: list[BrowserContext] = []

    def check_request(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname not in LOCAL:
            problems.append(f"request to {url}")

    def check_console(message: Any) -> None:
        # At the address of a page Streamlit first looks for its server below that address. A room
        # that has closed is told by an answer that a browser writes into its console.
        address = message.location["url"]
        closed = "/room-" in address and "410 (Gone)" in message.text
        if message.type == "error" and "/_stcore/" not in address and not closed:
            problems.append(f"console: {message.text}")

    def open_one(**options: Any) -> Page:
        if options or len(used) == len(visitors):
            context = browser.new_context(**{"viewport": WINDOW, **options})
            if not options:
                visitors.append(context)
        else:
            context = visitors[len(used)]
        (special if options else used).append(context)
        page = context.new_page()
        page.on("request", lambda request: check_request(request.url))
        page.on("websocket", lambda websocket: check_request(websocket.url))
        page.on("pageerror", lambda error: problems.append(f"uncaught: {error}"))
        page.on("console", check_console)
        return page

    yield open_one
    for context in special:
        context.close()
    for context in used:
        forget(context)
    assert not problems, "\n".join(problems)


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    """A page that fails the test on a console error or a request to another host."""
    return open_page()


def forget(visitor: BrowserContext) -> None:
    """Close a visitor's pages; only the files in the cache are left of them."""
    for page in visitor.pages:
        if page.url.startswith("http"):
            devtools = visitor.new_cdp_session(page)
            stored = {"origin": page.url, "storageTypes": "local_storage"}
            devtools.send("Storage.clearDataForOrigin", stored)
        page.close()
    visitor.clear_cookies()


# A run that asks for another one rests between the two for a moment: what is drawn in the first may
# move away under the pointer.
REST = """
() => {
    const rests = document.querySelector("[data-test-script-state=notRunning]")
        && !document.querySelector("[data-stale=true]");
    const now = performance.now();
    window.restsSince = rests ? window.restsSince ?? now : undefined;
    return rests && now - window.restsSince > 300;
}
"""


def wait_until_done(page: Page) -> None:
    """Wait until the script has run to its end and does not begin again."""
    page.wait_for_function(REST, polling=50, timeout=120_000)


def open_from_menu(page: Page, name: str) -> None:
    """Click a page's link in the menu at the top; the window is wide enough for all sections."""
    info = page_info(name)
    if not info.section:
        page.get_by_test_id("stTopNavLink").get_by_text(info.title, exact=True).click()
        return
    page.get_by_test_id("stTopNavSection").filter(has_text=info.section).click()
    page.get_by_test_id("stTopNavDropdownLink").get_by_text(info.title, exact=True).click()


def start_streamlit(
    script: Path, arguments: tuple[str, ...], environment: dict[str, str] | None = None
) -> tuple[subprocess.Popen[bytes], str]:
    """A server of that script, and its address once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(script)]
        + [f"--server.port={port}", "--server.address=127.0.0.1", "--server.headless=true"]
        + ["--server.fileWatcherType=none", "--browser.gatherUsageStats=false", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
    )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
                return process, address
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise RuntimeError(f"{script.name} was not served within 60 s")
