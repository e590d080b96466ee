"""Hostile strings as tokens, prompts and links on every page: nothing runs, loads or renders."""

import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
import pytest
from playwright.sync_api import Browser, Error, Page, WebSocket, expect

from analysis.definitions import Quantity
from analysis.head import Head
from app.components import circuitsvis
from app.figures import base as figures
from app.frame.export import About, figure_body, framed_body, standalone_page
from app.frame.standing import grid_body
from app.links.pages import PAGES
from app.shell.share import view_file
from app.text import display_token, escape_html, markdown_text, plotly_text, short_token
from app.theme import LIGHT
from tests.browser.apps.hostile_app import PART
from tests.browser.conftest import ROOT, OpenPage, Serve, wait_until_done
from tests.hostile import CANARY, MANY, PAYLOADS
from tests.hostile_models import EVERYTHING, NAME, SEPARATOR, write_models
from tests.links import hostile_query
from tests.views import subject

pytestmark = pytest.mark.browser
APPS = Path(__file__).parent / "apps"
# Pages that show every token of a prompt; on the others, which show some, the input is short.
LISTING = ("tokens", "attention", "activations", "compare")

# What a hostile string leaves behind once a browser has read it as anything but text.
_HITS = """(host) => {
    const hits = window.canary ? ["ran"] : [];
    const search = (root) => {
        const bad = `x-canary, .katex, [*|href^="javascript:"], [onmouseover], [onfocus],
            ${["src", "*|href", "data", "action"].map((n) => `[${n}^="http://${host}"]`)}`;
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


@pytest.mark.parametrize("sink", ["html", "markdown", "plotly", "script", "frame"])
def test_the_canary_fires_where_an_escape_is_taken_away(
    serve: Serve, browser: Browser, sink: str
) -> None:
    page = browser.new_page()
    hits = watch(page)
    page.goto(f"{serve(APPS / 'unescaped_app.py')}?sink={sink}")
    for _ in range(200):
        page.wait_for_timeout(50)
        with suppress(Error):  # asked on its way to another page
            if hits():
                break
    else:
        pytest.fail(f"nothing fired at {sink}")
    page.close()


@pytest.fixture(scope="module")
def hostile_app(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The whole app, without the headers that would help it, where a stranger wrote the models."""
    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    return serve(
        ROOT / "streamlit_app.py",
        HEADSCOPE_MODELS=str(folder),
        HEADSCOPE_CACHE=str(tmp_path_factory.mktemp("store")),
    )


def listen(page: Page) -> Callable[[], set[str]]:
    """A function that gives the hostile strings that have come to the page since it was opened."""
    heard: list[bytes] = []  # of the page that is open

    def note(payload: str | bytes) -> None:
        heard.append(payload.encode() if isinstance(payload, str) else payload)

    def begin(socket: WebSocket) -> None:
        heard.clear()
        socket.on("framereceived", note)

    page.on("websocket", begin)
    ways = (str, escape_html, plotly_text, markdown_text, lambda text: json.dumps(text)[1:-1])
    forms = {
        text: {way(form(text)).encode() for way in ways for form in (display_token, short_token)}
        for text in MANY
    }

    def found() -> set[str]:
        everything = b"".join(heard)
        return {text for text, shown in forms.items() if any(s in everything for s in shown)}

    return found


def point_at_figures(page: Page) -> None:
    figures = page.locator(".js-plotly-plot, .hs-chip, .hg-picture")
    for number in range(min(figures.count(), 3)):
        # Scrolls by itself, and begins anew where the page has replaced the figure meanwhile.
        figures.nth(number).hover(force=True)


def test_hostile_tokens_names_and_links_are_only_text_on_every_page(
    hostile_app: str, open_page: OpenPage
) -> None:
    page = open_page()
    hits, arrived = watch(page), listen(page)
    draw = random.Random(0)
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for info in PAGES:
        query, whole = hostile_query(draw), info.name in LISTING
        asked = (
            f"prompt&bos=1&prompt={quote(EVERYTHING)}" if whole else "repeated&length=12&batch=1"
        )
        # Of so many tokens a pattern, which has a cell for each two, would be drawn slowly.
        view = f"model={NAME}&point=resid_pre&input={asked}"
        page.goto(f"{hostile_app}/{info.address}?{query}&{view}")
        wait_until_done(page)
        expect(page.get_by_role("heading", name=info.title).first).to_be_visible()
        point_at_figures(page)
        assert hits() == [], info.name
        expect(page.get_by_text("Something went wrong")).to_have_count(0)
        assert page.evaluate(overflow) == 0, info.name
        assert not whole or len(arrived()) >= 200, info.name


def test_hostile_view_files_and_lists_of_views_are_only_text(
    hostile_app: str, open_page: OpenPage
) -> None:
    page = open_page()
    hits = watch(page)
    page.goto(f"{hostile_app}/tokens?model={NAME}")
    wait_until_done(page)
    prompt = SEPARATOR.join(MANY)
    view = {"model": NAME, "prompt": prompt, "batch": MANY[0], **dict(zip(MANY, MANY, strict=True))}
    page.get_by_role("button", name="Share").click()
    page.locator("input[type=file]").first.set_input_files(
        {
            "name": f"{MANY[2]}.json",
            "mimeType": "application/json",
            "buffer": view_file("tokens", view),
        }
    )
    expect(page.locator(".hs-chip")).to_have_count(1 + len(MANY))
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Present").click()
    page.get_by_label("Prepared views").fill("\n".join(MANY).replace("\0", ""))
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Line 1 is not a link")).to_be_visible()
    wait_until_done(page)
    point_at_figures(page)
    assert hits() == []
    expect(page.get_by_text("Something went wrong")).to_have_count(0)


def test_hostile_tokens_run_nothing_in_any_kind_of_figure(serve: Serve, page: Page) -> None:
    hits = watch(page)
    page.goto(serve(APPS / "hostile_app.py"))
    wait_until_done(page)
    expect(page.locator(".hs-chip")).to_have_count(len(MANY))
    expect(page.locator(".js-plotly-plot")).to_have_count(2 + 2 * -(-len(MANY) // PART))
    expect(page.frame_locator("iframe").first.get_by_text("Head Selector")).to_be_visible()
    page.frame_locator("iframe").first.locator("canvas").last.hover()
    point_at_figures(page)
    assert hits() == []


def test_exported_files_run_nothing_when_opened_by_themselves(
    browser: Browser, tmp_path: Path
) -> None:
    everything = " ".join(MANY)
    n, head = len(MANY), Head(0, 0)
    pattern = np.tril(np.ones((n, n), np.float32))
    stranger = Quantity(*[everything] * 5, function="tokenize")
    about = About(subject(everything), everything, everything, (stranger,), everything)
    frame = circuitsvis.text_neuron_activations(pattern[:, :2], MANY, 0, range(2), dark=False)
    figure = figures.pattern_map(pattern, MANY, LIGHT)
    page = browser.new_page()
    hits = watch(page)
    for name, body in (
        ("chart", figure_body(figure, LIGHT, everything)),
        ("frame", framed_body(frame, 400)),
        ("viewer", grid_body(pattern[None], [head], MANY, LIGHT, everything, head)),
    ):
        file, link = tmp_path / f"{name}.html", f"/tokens?prompt={everything}"
        file.write_bytes(standalone_page(body, about, LIGHT, link, plotly=name == "chart"))
        page.goto(file.as_uri())
        page.wait_for_timeout(300)
        assert hits() == [], name
        if name == "chart":
            drawn = "(chart) => Plotly.toImage(chart, {format: 'svg', width: 4000, height: 4000})"
            image = page.locator(".js-plotly-plot").evaluate(drawn)
        if name == "viewer":
            expect(page.locator(".hg[data-drawn='1']")).to_be_visible()
            point_at_figures(page)
            assert hits() == []
    (tmp_path / "chart.svg").write_text(unquote(image.partition(",")[2]), encoding="utf-8")
    page.goto((tmp_path / "chart.svg").as_uri())
    assert page.locator("text").count() > n / 8
    assert hits() == []
    page.close()
