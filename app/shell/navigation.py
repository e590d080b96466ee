"""The menu of pages, and what happens around every page."""

import logging
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, NoReturn
from urllib.parse import urlsplit

import streamlit as st
from streamlit.navigation.page import Page
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import RerunException, StopException, get_script_run_ctx

from analysis.errors import AnalysisError
from app.compute.server import current_server
from app.links.pages import PAGES, page_info
from app.links.session import Leaving, chosen_values, own_link, own_state, write_link
from app.shell.unknown_pages import ASKED
from app.shell.visitors import recognise_visitors
from app.text import display_text

_log = logging.getLogger("headscope")
# A file of our own: named icons and emoji make the browser ask a font service for the picture.
ICON = Path(__file__).parents[1] / "favicon.png"
# For every page; Streamlit puts it where it takes no room.
_STYLES = f"<style>{Path(__file__).with_name('page.css').read_text(encoding='utf-8')}</style>"


def take_view_along() -> None:
    """Keep the view when the menu, which empties the address, leads to another page.

    The address of the view there is set before `st.navigation` names the page. Set after it, the
    browser may have a page in its history that nobody has seen: the one with the empty address,
    to which its back button would lead.
    """
    state, page = own_state(), page_on_its_way()
    state.framed = bool(st.context.is_embedded) and not current_server().config.embed_origins
    if page and state.page not in (None, page) and not st.query_params:
        write_link(own_link(page, chosen_values(page)))


def run_selected_page() -> None:
    """Draw the navigation and run the page that the address names.

    What a visitor can put right is one sentence here, with all inputs left in place. Anything
    else is our fault: it goes to the log, and the page apologises without a traceback.
    """
    recognise_visitors()
    st.html(_STYLES)
    sections: dict[str, list[Page]] = {}
    for page in PAGES:
        sections.setdefault(page.section, []).append(streamlit_page(page.name))
    # At the top, one menu for each section: the sidebar is for the model and the input. On a phone
    # Streamlit moves it to the sidebar, which is shut there; unless expanded some would be hidden.
    position: Literal["top", "hidden"] = "hidden" if st.context.is_embedded else "top"
    selected = st.navigation(sections, position=position, expanded=True)
    st.html(_mark(list(sections), selected.url_path))
    _guess_page(selected.url_path)
    try:
        selected.run()
    except RerunException:
        raise  # begun anew, or left: nobody has arrived yet
    except StopException:
        _arrive()
        raise
    except AnalysisError as refusal:
        # st.text, not markdown: the sentence may quote what the visitor typed.
        with st.container(border=True):
            st.text(f"⚠ {refusal}")
    except Exception:
        _log.exception("page %s failed", selected.url_path or "/")
        st.error(
            "Something went wrong on our side; your input is still there. Change it or reload."
        )
    _arrive()


def _guess_page(shown: str) -> None:
    """Where an address is nearly that of a page, that page; a proxy's folder is like none."""
    # Where the app's own server has not led them to the start page, the address is as it was.
    asked = st.query_params.get(ASKED) or urlsplit(st.context.url or "").path.rpartition("/")[2]
    addresses = {page.address: page.name for page in PAGES if page.address}
    if shown or asked in addresses:
        return
    if near := get_close_matches(asked.lower(), addresses, 1):
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            said = f"⚠ There is no page “{display_text(asked[:40])}”. Did you mean this one?"
            st.text(said, width="content")
            st.page_link(streamlit_page(addresses[near[0]]))


def _mark(sections: list[str], address: str) -> str:
    """A line below the menu that holds the page."""
    shown = next((page for page in PAGES if page.address == address), PAGES[0])
    place = f"[data-testid=stTopNav]>div:nth-child({sections.index(shown.section) + 1})"
    return (
        f"<style>{place} :is([data-testid=stTopNavSection],[data-testid=stTopNavLink])"
        "{box-shadow:inset 0 -2px currentColor;border-radius:0}</style>"
    )


def page_on_its_way() -> str | None:
    """Name of the page that the menu or a switch asks for, before `st.navigation` says it.

    None in a session's first run, or if Streamlit knows no such page.
    """
    context = get_script_run_ctx()
    assert context, "asked outside of a run"
    asked = context.pages_manager.intended_page_script_hash
    found = context.pages_manager.get_pages().get(asked or "")
    address = found.get("url_pathname") if found else None
    return next((page.name for page in PAGES if page.address == address), None)


def ensure_entry_point() -> None:
    """Start over from the entry point if Streamlit ran a page's script without it.

    Beside a folder called `pages` Streamlit treats each file as a page of its own until
    `st.navigation` has run once: the first visitor of a fresh server who follows a link to a page
    would get a bare page with another menu.
    """
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()


def leave_for(page: str, link: Mapping[str, str]) -> NoReturn:
    """Go to another page, whose link is `link`.

    What a component reports while the browser has not heard of it yet runs the page that is left
    once more; that run leaves too.
    """
    plan_to_leave(page, link)
    _leave()


def plan_to_leave(page: str, link: Mapping[str, str]) -> None:
    """The same from a callback, where no page can be left yet: the run that follows does."""
    state = own_state()
    state.leaving = Leaving(state.page, page, link)


def go_on_leaving(shown: str) -> None:
    """Leave the page `shown` if its visitor is on the way from it to another one."""
    leaving = own_state().leaving
    if leaving and leaving.target != shown and leaving.origin in (None, shown):
        _leave()


def _leave() -> NoReturn:
    leaving = own_state().leaving
    assert leaving
    st.switch_page(streamlit_page(leaving.target), query_params=dict(leaving.link))


def _arrive() -> None:
    """A page is drawn, to its end or to where it stops: whoever was on the way is there."""
    own_state().leaving = None


def streamlit_page(name: str) -> Page:
    """The Streamlit page object of the page called `name`, for navigation and links."""
    page = page_info(name)
    return st.Page(
        str(page.file),
        title=page.title,
        icon=page.icon,
        url_path=page.address or None,
        default=page.name == "start",
        help=page.question or None,
    )
