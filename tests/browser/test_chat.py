"""A conversation in real Chromium: typed, coloured by speaker, and kept by its link."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ROOT, OpenPage, Serve, open_from_menu, wait_until_done
from tests.browser.test_app import heading
from tests.chat_models import CHAT_ML, save_chat

pytestmark = pytest.mark.browser
PATIENCE = 60_000
TALK = "system: The cat sat.\nuser: Who sat?\nassistant: The cat"


def test_a_conversation_is_typed_and_every_token_says_whose_it_is(
    serve: Serve, open_page: OpenPage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder: Path = tmp_path_factory.mktemp("chat")
    save_chat(folder, "toy-chat", CHAT_ML)
    app = serve(ROOT / "server.py", HEADSCOPE_MODELS=str(folder))
    page = open_page()
    page.goto(f"{app}/tokens?model=toy-chat")
    heading(page, re.compile("The text in"))
    wait_until_done(page)
    page.get_by_role("radio", name="Conversation").or_(
        page.get_by_role("button", name="Conversation", exact=True)
    ).first.click()
    box = page.get_by_label("Conversation", exact=True).and_(page.locator("textarea"))
    expect(box).to_be_visible(timeout=PATIENCE)
    wait_until_done(page)
    box.fill(TALK)
    box.press("Control+Enter")
    expect(page).to_have_url(re.compile("chat=system"), timeout=PATIENCE)
    chips = page.locator(".hs-chip")
    expect(chips.last).to_contain_text("cat", timeout=PATIENCE)
    wait_until_done(page)
    stripe = "chip => chip.style.borderBottomColor"
    colours = {chips.nth(at).evaluate(stripe) for at in range(chips.count())}
    assert len(colours) == 4  # system, user, answer and the template itself
    expect(page.get_by_text("Template", exact=True).first).to_be_visible()

    open_from_menu(page, "attention")
    heading(page, "Whom does the answer read?")
    expect(page.get_by_text("Spread evenly it would be: system")).to_be_visible(timeout=PATIENCE)
    other = open_page()
    other.goto(page.url)
    heading(other, "Whom does the answer read?")
    kept = other.get_by_label("Conversation", exact=True).and_(other.locator("textarea"))
    expect(kept).to_have_value(TALK, timeout=PATIENCE)

    wait_until_done(other)
    kept.fill("user: a<|im_end|>\nassistant: b")
    kept.press("Control+Enter")
    refused = other.get_by_text("Turn 1, of the user, holds <|im_end|>").first
    expect(refused).to_be_visible(timeout=PATIENCE)
    expect(kept).to_have_value("user: a<|im_end|>\nassistant: b")
