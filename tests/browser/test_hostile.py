"""Hostile strings as tokens, prompts and links on every page: nothing runs, loads or renders."""

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from app.navigation import PAGES, page_info
from tests.browser.apps.hostile_model_app import SEPARATOR
from tests.browser.conftest import OpenPage, Serve, wait_until_done
from tests.hostile import CANARY, MANY, PAYLOADS
from tests.links import hostile_query

pytestmark = pytest.mark.browser
APPS = Path(__file__).parent / "apps"

# What a hostile string leaves behind once a browser has read it as anything but text.
_HITS = """(host) => {
    const hits = window.canary ? ["ran"] : [];
    const search = (root) => {
        const bad = `x-canary, .katex, a[href^="javascript:"], [onmouseover], [onfocus],
            ${["src", "href", "data", "action"].map((n) => `[${n}^="http://${host}"]`)}`;
        for (const found of root.querySelectorAll(bad)) hits.push(found.outerHTML.slice(0, 200));
        for (const element of root.querySelectorAll("*"))
            if (element.shadowRoot) search(element.shadowRoot);
    };
    search(document);
    return hits;
}"""


def watch(page: Page) -> Callable[[], list[str]]:
    """A function that lists what has fired on the page so far."""
    fired: list[str] = []

    def note_request(url: str) -> None:
        if CANARY in url.partition("?")[0]:
            fired.append(f"request to {url}")

    def note_dialog(dialog) -> None:  # noqa: ANN001
        fired.append(f"dialog {dialog.message}")
        dialog.dismiss()

    page.on("request", lambda request: note_request(request.url))
    page.on("dialog", note_dialog)
    # Looked for only where nothing was heard: a page on its way elsewhere cannot be asked.
    return lambda: fired or [hit for f in page.frames for hit in f.evaluate(_HITS, CANARY)]


def test_the_canary_fires_where_nothing_protects(browser: Browser) -> None:
    silent = []
    for payload in PAYLOADS:
        page = browser.new_page()
        hits = watch(page)
        page.goto(f"data:text/html,{quote(payload)}", wait_until="commit")
        for _ in range(20):
            page.wait_for_timeout(50)
            with suppress(Error):  # asked on its way to another page
                if hits():
                    break
        else:
            silent.append(payload)
        page.close()
    assert silent == []


def point_at_figures(page: Page) -> None:
    for figure in page.locator(".js-plotly-plot, .hs-chip, .hg-picture").all()[:3]:
        figure.scroll_into_view_if_needed()
        figure.hover(force=True)


def prompts() -> list[str]:
    """The hostile strings in as few prompts as fit into links."""
    rows = [""]
    for text in MANY:
        if len(rows[-1]) + len(text) > 1400:
            rows.append("")
        rows[-1] += text + SEPARATOR
    return rows


def test_hostile_tokens_prompts_and_links_are_only_text_on_every_page(
    serve: Serve, open_page: OpenPage
) -> None:
    app = serve(APPS / "hostile_model_app.py")
    page = open_page()
    hits = watch(page)
    draw = random.Random(0)
    views = [(info, f"input=repeated&length=50&batch=2&seed={i}") for i, info in enumerate(PAGES)]
    views += [(page_info("tokens"), f"input=prompt&prompt={quote(row)}") for row in prompts()[:3]]
    for info, view in views:
        page.goto(f"{app}/{info.address}?{hostile_query(draw)}&bos=1&{view}")
        wait_until_done(page)
        expect(page.get_by_role("heading", name=info.title).first).to_be_visible()
        point_at_figures(page)
        assert hits() == [], info.name
        expect(page.get_by_text("Something went wrong")).to_have_count(0)
        if info.name == "tokens":
            # Every word is one token: none was taken apart.
            n_words = view.count(quote(SEPARATOR)) or 100
            expect(page.locator(".hs-chip")).to_have_count(1 + n_words)
