"""An encoder in real Chromium: it is offered, and its heads are on screen, looking both ways."""

import re
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from analysis.models.convert import MINILM
from tests.browser.conftest import ROOT, Serve, wait_until_done
from tests.conftest import OWN_STORE

PAIR = "The cat sat on the mat.\n---\nIt was tired."

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not Path(OWN_STORE, "models", MINILM).is_dir(), reason="`make minilm` has not been run"
    ),
]


def test_minilm_is_offered_and_its_heads_are_on_screen(serve: Serve, page: Page) -> None:
    address = serve(ROOT / "server.py", HEADSCOPE_CACHE=str(OWN_STORE))
    page.goto(f"{address}/attention?prompt={quote(PAIR)}")
    wait_until_done(page)
    page.get_by_role("combobox", name=re.compile("Model")).click()
    page.get_by_role("option", name="MiniLM L6, an encoder").click()
    grid = page.locator(".hg")
    expect(grid).to_have_attribute("data-drawn", "72", timeout=60_000)
    wait_until_done(page)
    expect(page.get_by_text("Two texts: tokens 0 to 8 are segment A")).to_be_visible()
    expect(page.get_by_text(re.compile("spread evenly it would be"))).to_be_visible()
    # The one that looks ahead: it is the only head marked as that.
    heads = page.get_by_role("listbox", name="Attention heads").get_by_role("option")
    ahead = heads.and_(page.get_by_label(re.compile(r"Layer 1 head 8\b")))
    expect(ahead).to_have_accessible_name(re.compile(r"next 0\.[5-9]"), timeout=60_000)
    ahead.click()
    expect(page).to_have_url(re.compile("layer=1.*head=8|head=8.*layer=1"), timeout=60_000)
    # Towards a token from those before it: only an encoder has such cells.
    page.get_by_role("button", name=re.compile("source → destination")).click()
    page.locator(".hg-token[data-token='2']").hover()
    expect(page.locator(".hg-token[data-token='1']")).to_have_attribute(
        "style", re.compile("background"), timeout=60_000
    )
