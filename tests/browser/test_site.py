"""A site of views: pages that need no server, in Chromium, from the files alone."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from app.compute.findings.file import to_text
from headscope.command import main
from headscope.site import MOST
from tests.browser.test_head_grid import head
from tests.unit.test_findings import finding, number

pytestmark = pytest.mark.browser
HOSTILE = "<b>bold</b><script>window.canary = 1</script>"
TITLE = f"Two layers {HOSTILE}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two views with titles, one of them hostile."""
    folder = tmp_path_factory.mktemp("site")
    listed = folder / "views.txt"
    listed.write_text(
        f"# All heads {HOSTILE}\nattention?layer=1&head=3&prompt={quote(HOSTILE)}\n\n"
        "# One head\nhttps://elsewhere.invalid/induction?length=9&batch=2\n",
        encoding="utf-8",
    )
    kept = folder / "kept.json"
    about = (number("induction"),)
    kept.write_text(to_text([finding(claim=f"L1H4 copies {HOSTILE}", evidence=about)]))
    sources = [str(listed), str(kept)]
    assert main(["site", str(folder / "made"), *sources, "--title", TITLE]) == 0
    return folder / "made"


@pytest.fixture
def offline(browser: Browser) -> Iterator[Page]:
    """A page that notes whatever is asked of a host, and every error."""
    page = browser.new_page()
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.on("pageerror", lambda error: seen.append(f"uncaught: {error}"))
    page.on("console", lambda message: seen.append(message.text))
    yield page
    assert [each for each in seen if not each.startswith(("file:", "data:", "blob:"))] == []
    assert page.evaluate("window.canary") is None
    page.close()


def test_a_site_shows_live_views_without_a_server(site: Path, offline: Page) -> None:
    pages = sorted(site.glob("*.html"))
    views = ["01-attention.html", "02-induction.html"]
    assert [page.name for page in pages][:2] == views
    assert [page.name for page in pages][-2:] == ["findings.html", "index.html"]
    assert all(page.stat().st_size <= MOST for page in pages)
    page = offline
    page.goto((site / "index.html").as_uri())
    expect(page.get_by_role("heading", level=1)).to_have_text(TITLE)
    expect(page.locator("img")).to_have_count(2)
    page.get_by_role("link", name="All heads").click()
    expect(page.locator(".hg[data-drawn='16']")).to_be_visible()
    # The head of the link is in the large picture, and another is a click away.
    expect(page.locator(".hg")).to_have_attribute("data-shown", "L1H3")
    head(page, "L0H0").click()
    expect(page.locator(".hg")).to_have_attribute("data-shown", "L0H0")
    page.get_by_role("link", name="All views").click()
    page.get_by_role("link", name="One head").click()
    charts = page.locator(".js-plotly-plot .main-svg")
    expect(charts.first).to_be_visible()
    expect(page.get_by_role("button", name="Save as PNG").first).to_be_visible()
    assert page.get_by_role("link").all_inner_texts() == ["All views"]
    page.get_by_role("link", name="All views").click()
    page.get_by_role("link", name="Findings").click()
    expect(page.get_by_role("heading", name="L1H4 copies")).to_contain_text(HOSTILE)
    expect(page.get_by_role("listitem").first).to_contain_text("differs: now")
    page.get_by_role("listitem").first.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Induction score of L1H4")
