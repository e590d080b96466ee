"""What a person does with the app, in real Chromium, with no network but this machine."""

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from app.links.link import link_parameters
from app.links.pages import PAGES
from app.shell.presets import PRESETS
from tests.browser.conftest import ROOT, OpenPage, Serve, open_from_menu, wait_until_done

pytestmark = pytest.mark.browser


def go(page: Page, address: str) -> None:
    page.goto(address)
    wait_until_done(page)


def heading(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.get_by_role("heading", name=text).first).to_be_visible(timeout=60_000)


def test_the_menu_holds_every_page_at_every_width(app: str, page: Page) -> None:
    go(page, f"{app}/tokens")
    sections = page.get_by_test_id("stTopNavSection")
    named = dict.fromkeys(info.section for info in PAGES if info.section)
    expect(sections).to_have_text(list(named))
    found = page.get_by_test_id("stTopNavLink").all_inner_texts()
    for i in range(sections.count()):
        sections.nth(i).click()
        links = page.get_by_test_id("stTopNavDropdownLink")
        expect(links.first).to_be_visible()
        found += links.all_inner_texts()
        page.keyboard.press("Escape")
        expect(links).to_have_count(0)
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_test_id("stExpandSidebarButton").click()
    for info in PAGES:
        assert [text for text in found if text.split("\n")[-1] == info.title]
        expect(page.get_by_role("link", name=info.title, exact=True)).to_be_visible()


def test_an_embedded_page_has_no_menu_and_a_closed_sidebar(app: str, page: Page) -> None:
    go(page, f"{app}/tokens?embed=true")
    heading(page, "Tokens")
    expect(page.get_by_test_id("stTopNav")).to_have_count(0)
    expect(page.get_by_role("combobox", name="Model")).not_to_be_in_viewport()
    go(page, f"{app}/tokens")
    expect(page.get_by_role("combobox", name="Model")).to_be_in_viewport()


def test_the_first_visitor_of_a_fresh_server_may_follow_a_link(serve: Serve, page: Page) -> None:
    """Streamlit would run the page's file by itself, with a menu made of file names."""
    go(page, f"{serve(ROOT / 'streamlit_app.py', '--server.maxUploadSize=2')}/tokens?seed=3")
    heading(page, "Tokens")
    open_from_menu(page, "attribution")
    heading(page, "Attribution")
    expect(page.get_by_text("streamlit app")).to_have_count(0)


def test_a_preset_opens_its_view_with_one_click(app: str, page: Page) -> None:
    """One of them: the tests of pages open the views of all."""
    go(page, app)
    cards = page.locator("[class*=st-key-card-]")
    expect(cards).to_have_count(len(PRESETS) + 2)
    preset = next(preset for preset in PRESETS if preset.page == "induction")
    # All of a card is its link.
    cards.filter(has_text=preset.notice).click()
    heading(page, "Induction")
    wait_until_done(page)
    for key, value in link_parameters(preset.page, preset.values).items():
        expect(page).to_have_url(re.compile(f"[?&]{key}={value}(&|$)"))
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    expect(page.get_by_text("⚠")).to_have_count(0)


def test_a_permalink_restores_the_view_in_a_fresh_browser(app: str, open_page: OpenPage) -> None:
    first = open_page()
    prompt = "The cat & the dog, the cat & the fish?"
    go(first, f"{app}/attention?view=circuitsvis&prompt={quote(prompt)}")
    first.get_by_label("Layer", exact=True).click()
    first.get_by_role("option", name="0").click()
    heading(first, "Heads of layer 0")
    expect(first).to_have_url(re.compile("layer=0"))
    link = first.url

    second = open_page()
    go(second, link)
    heading(second, "Heads of layer 0")
    expect(second.get_by_label("Prompt", exact=True)).to_have_value(
        "The cat & the dog, the cat & the fish?"
    )
    assert second.url == link


def test_the_back_button_returns_to_the_view_before(app: str, page: Page) -> None:
    go(page, f"{app}/attention?view=circuitsvis&layer=1")
    open_from_menu(page, "tokens")
    heading(page, "Tokens")
    wait_until_done(page)
    assert page.url.endswith("/tokens?layer=1")
    page.go_back()
    heading(page, "Heads of layer 1")


def test_a_token_names_its_best_guesses_and_a_typed_prompt_changes_them(
    app: str, page: Page
) -> None:
    go(page, f"{app}/tokens")
    # What is drawn late would move the tokens away under the mouse.
    expect(page.get_by_test_id("stDataFrame").first).to_be_visible()
    chip = page.locator(".hs-chip").nth(3)
    expect(chip.locator(".hs-row").first).to_be_hidden()
    chip.hover()
    expect(chip.locator(".hs-row")).to_have_count(10)
    expect(chip.locator(".hs-row").first).to_be_visible()
    expect(chip.locator(".hs-row").first).to_contain_text("%")
    page.get_by_label("Prompt", exact=True).fill("Alice and Bob")
    page.get_by_label("Prompt", exact=True).press("Control+Enter")
    expect(page).to_have_url(re.compile("prompt=Alice"))
    expect(chip).to_contain_text("·and")


def test_circuitsvis_keeps_a_clicked_head_through_an_unrelated_change(app: str, page: Page) -> None:
    """Nor does it need more than the policy allows: `page` fails on what the console says."""
    go(page, f"{app}/attention?view=circuitsvis&layer=1")
    frame = page.frame_locator("iframe[title^='Attention patterns']")
    expect(frame.get_by_text("Head Selector")).to_be_visible(timeout=60_000)
    frame.locator("canvas").nth(4).click()
    expect(frame.get_by_text("L1H4", exact=False).last).to_be_visible()
    expect(frame.get_by_text(re.compile("L1H4.*Zoomed"))).to_be_visible()
    frame.locator("body").evaluate("body => body.dataset.seen = 'yes'")
    page.get_by_label("Head in full").click()
    page.get_by_role("option", name="5").click()
    heading(page, "L1H5 in full")
    wait_until_done(page)
    expect(frame.locator("body")).to_have_attribute("data-seen", "yes")


def test_the_ablation_sweep_ends_in_a_map_and_a_ranking(app: str, page: Page) -> None:
    go(page, f"{app}/ablation?length=20&batch=3&seed=7")
    heading(page, "Loss increase without each head")
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_count(0)


def test_leaving_during_a_sweep_harms_nobody(app: str, open_page: OpenPage) -> None:
    leaving, staying = open_page(), open_page()
    leaving.goto(f"{app}/ablation?length=60&batch=50&seed=11")
    heading(leaving, "Ablation")
    leaving.close()
    go(staying, f"{app}/ablation?length=60&batch=50&seed=11")
    heading(staying, "Loss increase without each head")
