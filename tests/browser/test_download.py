"""Downloading a model in a real browser, from a hub on this machine."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import ROOT, start_streamlit, wait_until_done
from tests.hub import FakeHub, running_hub, tiny_gpt2, tiny_pythia

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one model has been downloaded before: a Pythia, without any checkpoint."""
    store = tmp_path_factory.mktemp("store")
    folder = store / "models" / "pythia-14m"
    folder.mkdir(parents=True)
    for name, content in tiny_pythia(0).items():
        (folder / name).write_bytes(content)
    return store


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeHub]:
    """A hub that has GPT-2, and Pythia at every step of its training."""
    with running_hub() as hub:
        hub.files["openai-community/gpt2"] = tiny_gpt2()
        hub.files["EleutherAI/pythia-14m"] = tiny_pythia(1)
        yield hub


@pytest.fixture(scope="module")
def own_app(hub: FakeHub, store: Path) -> Iterator[str]:
    """A server of its own, which reaches for that hub."""
    environment = {
        "HEADSCOPE_CACHE": str(store),
        "HF_HOME": str(store / "home"),
        "HF_ENDPOINT": hub.url,
    }
    process, address = start_streamlit(ROOT / "server.py", (), environment)
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


def test_checkpoints_are_added_and_opened_on_another_page(
    own_app: str, hub: FakeHub, page: Page
) -> None:
    page.goto(f"{own_app}/training?model=pythia-14m&length=20")
    wait_until_done(page)
    expect(page.get_by_text("Here: 143,000 (finished).")).to_be_visible()
    # Before any other is here there is nothing to slide over.
    expect(page.get_by_role("slider", name="Checkpoint")).to_have_count(0)
    download = page.get_by_role("button", name=re.compile("^Download 8, about"))
    hub.refusal = (503, "")
    download.click()
    expect(page.get_by_text("refused with status 503")).to_have_count(1)
    hub.refusal, hub.silent = None, "model.safetensors"
    download.click()
    expect(page.get_by_text(re.compile("^0 of 8 checkpoints; step 0: .* MB"))).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(download).to_be_visible()
    hub.silent = ""
    download.click()
    expect(page.get_by_text("Here: 0, 256, 512, 1,000, 2,000, 4,000,")).to_be_visible()
    slider = page.get_by_role("slider", name="Checkpoint")
    expect(slider).to_have_count(1, timeout=120_000)
    expect(page.get_by_text("refused with status 503")).to_have_count(0)
    wait_until_done(page)
    # Not drawn while scores are computed, it shows what it showed before.
    expect(page.get_by_role("combobox", name="Score")).to_have_value("Induction score")
    slider.focus()
    slider.press("ArrowLeft")
    expect(page).to_have_url(re.compile("step=64000"))
    wait_until_done(page)
    page.get_by_role("link", name="Open in Attention").click()
    expect(page).to_have_url(re.compile(r"/attention\?.*model=pythia-14m(@|%40)64000"))
    wait_until_done(page)
    expect(page.get_by_test_id("stException")).to_have_count(0)
