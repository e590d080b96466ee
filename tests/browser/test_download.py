"""Downloading a model in a real browser, from a hub on this machine."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import ROOT, start_streamlit, wait_until_done
from tests.hub import FakeHub, running_hub, tiny_gpt2

pytestmark = pytest.mark.browser


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that has GPT-2, and the environment of a machine that has downloaded nothing."""
    monkeypatch.setenv("HEADSCOPE_CACHE", str(tmp_path / "store"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    with running_hub() as hub:
        hub.files["openai-community/gpt2"] = tiny_gpt2()
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def own_app(hub: FakeHub) -> Iterator[str]:
    """A server of its own, which reaches for that hub."""
    process, address = start_streamlit(ROOT / "server.py", ())
    yield address
    process.terminate()
    process.wait(10)


def popover(page: Page) -> Locator:
    """What lies behind "Other models", opened where it is closed."""
    body = page.get_by_test_id("stPopoverBody")
    if not body.is_visible():
        page.get_by_role("button", name="Other models").click()
    return body


def test_a_model_is_downloaded_and_opened_without_a_restart(
    own_app: str, hub: FakeHub, page: Page
) -> None:
    page.goto(f"{own_app}/tokens")
    wait_until_done(page)
    hub.refusal = (503, "")
    popover(page).get_by_role("button", name="Download", exact=True).click()
    expect(popover(page).get_by_text("refused with status 503")).to_be_visible()
    hub.refusal, hub.silent = None, "model.safetensors"
    popover(page).get_by_role("button", name="Download", exact=True).click()
    expect(popover(page).get_by_role("progressbar")).to_be_visible()
    expect(popover(page).get_by_text(re.compile("GPT-2 small: .* MB"))).to_be_visible()
    popover(page).get_by_role("button", name="Cancel").click()
    expect(popover(page).get_by_role("progressbar")).to_be_hidden()
    hub.silent = ""
    popover(page).get_by_role("button", name="Download", exact=True).click()
    popover(page).get_by_role("button", name="Open it").click()
    expect(page).to_have_url(re.compile("model=gpt2"))
    wait_until_done(page)
    picker = page.get_by_test_id("stSidebar").get_by_role("combobox", name="Model")
    expect(picker).to_have_value("GPT-2 small")
    expect(page.get_by_test_id("stException")).to_have_count(0)
