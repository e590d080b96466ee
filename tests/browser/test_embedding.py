"""Another site that frames the app: what it is told of what its visitors type."""

import http.server
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect

from tests.browser.conftest import ROOT, Serve

pytestmark = pytest.mark.browser
VIEW = "compare?by=prompt&input=prompt"
# With all that it hears.
SLIDES = """<!doctype html><link rel="icon" href="data:,">
<script>
const heard = [];
addEventListener("message", (event) => heard.push(JSON.stringify(event.data)));
</script>
<iframe src="ADDRESS" style="width:100%;height:1600px"></iframe>"""
Frame = Callable[[str], Page]


@pytest.fixture
def framed(tmp_path: Path, browser: Browser) -> Iterator[Frame]:
    """`framed(address)`: a page of another site with that address in a frame."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    pages: list[Page] = []

    def show(address: str) -> Page:
        (tmp_path / "slides.html").write_text(SLIDES.replace("ADDRESS", address))
        pages.append(browser.new_page(viewport={"width": 1400, "height": 1000}))
        pages[-1].goto(f"http://localhost:{site.server_port}/slides.html")
        return pages[-1]

    yield show
    for page in pages:
        page.close()
    site.shutdown()
    site.server_close()


def type_in(page: Page) -> FrameLocator:
    """Write both prompts in the framed app, as its visitor would."""
    frame = page.frame_locator("iframe")
    frame.get_by_test_id("stExpandSidebarButton").click(timeout=60_000)
    for label in ("Prompt", "B: second prompt"):
        field = frame.get_by_label(label, exact=True)
        field.fill("my secret thought")
        field.press("Control+Enter")
        page.wait_for_timeout(1500)
    return frame


def heard(page: Page) -> str:
    return "\n".join(page.evaluate("heard"))


def test_a_site_that_frames_a_view_is_not_told_what_its_visitor_types(
    app: str, framed: Frame
) -> None:
    """Streamlit tells each address to whoever frames it, and the address held the prompt."""
    page = framed(f"{app}/{VIEW}&embed=true")
    frame = type_in(page)
    # It hears what else there is to hear.
    assert "SCRIPT_RUN_STATE_CHANGED" in heard(page)
    # A link to another page takes the text along, and not in its address.
    frame.get_by_test_id("stPageLink").first.get_by_role("link").click()
    expect(frame.get_by_role("heading", name="Head", exact=False).first).to_be_visible()
    page.wait_for_timeout(1500)
    assert 'currentPageName":"head' in heard(page)
    assert "secret" not in heard(page)


def test_a_page_that_does_not_know_that_it_is_framed_is_not_shown(app: str, framed: Frame) -> None:
    for query in ("", "&embed=false", "&embed=true&embed=false", "&Embed=true&embed=0"):
        page = framed(f"{app}/{VIEW}{query}")
        page.wait_for_timeout(1500)
        assert page.frame_locator("iframe").get_by_text("Compare").count() == 0
        assert "WEBSOCKET_CONNECTED" not in heard(page)


def test_a_site_cannot_steer_what_it_frames(app: str, framed: Frame) -> None:
    page = framed(f"{app}/{VIEW}&embed=true")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_label("B: second prompt")).to_be_visible(timeout=60_000)
    page.evaluate(
        """frames[0].postMessage({
            stCommVersion: 1, type: "UPDATE_FROM_QUERY_PARAMS", queryParams: "prompt2=steered",
        }, "*")"""
    )
    page.wait_for_timeout(1500)
    assert "steered" not in frame.get_by_label("B: second prompt").input_value()


def test_only_sites_that_the_host_names_show_it_where_some_are_named(
    serve: Serve, framed: Frame, tmp_path: Path
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('embed_origins = ["https://slides.example.org"]')
    address = serve(ROOT / "server.py", HEADSCOPE_CONFIG=str(settings))
    page = framed(f"{address}/{VIEW}&embed=true")
    page.wait_for_timeout(1500)
    assert "WEBSOCKET_CONNECTED" not in heard(page)
