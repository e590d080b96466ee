"""The one table of pages, and what happens around every page."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import streamlit as st
from streamlit.navigation.page import Page
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

from analysis.errors import AnalysisError
from app.visitors import recognise_visitors

_FOLDER = Path(__file__).resolve().parent.parent / "pages"
_log = logging.getLogger("headscope")


@dataclass(frozen=True, slots=True)
class PageInfo:
    """One page: its file is `pages/<name>.py`, its address `/<name>` (`/` for the start page)."""

    name: str
    title: str
    icon: str
    section: str
    question: str  # what a person comes to the page for, shown under its title

    @property
    def file(self) -> Path:
        """The script of the page."""
        return _FOLDER / f"{self.name}.py"

    @property
    def address(self) -> str:
        """The part of the link after the host."""
        return "" if self.name == "start" else self.name


PAGES = (
    PageInfo("start", "Headscope", ":material/visibility:", "Start", ""),
    PageInfo(
        "learn",
        "Learn",
        ":material/school:",
        "Start",
        "How does one find out what a head does?",
    ),
    PageInfo(
        "glossary",
        "Glossary",
        ":material/menu_book:",
        "Start",
        "What do the words mean?",
    ),
    PageInfo(
        "tokens",
        "Tokens",
        ":material/match_word:",
        "Look",
        "What does the model see, and which next tokens does it get right?",
    ),
    PageInfo(
        "attention",
        "Attention",
        ":material/grid_view:",
        "Look",
        "Where does each head look?",
    ),
    PageInfo(
        "head",
        "Head",
        ":material/center_focus_strong:",
        "Look",
        "What does this head do?",
    ),
    PageInfo(
        "activations",
        "Activations",
        ":material/schema:",
        "Look",
        "What is inside the model, and what passes through it?",
    ),
    PageInfo(
        "neurons",
        "Neurons",
        ":material/scatter_plot:",
        "Look",
        "What does this neuron fire on, and what does it say?",
    ),
    PageInfo(
        "finder",
        "Finder",
        ":material/search:",
        "Find",
        "Which head does what?",
    ),
    PageInfo(
        "induction",
        "Induction",
        ":material/repeat:",
        "Find",
        "Which heads continue what has been seen before?",
    ),
    PageInfo(
        "mosaic",
        "Mosaic",
        ":material/apps:",
        "Find",
        "Which models have such heads, and where?",
    ),
    PageInfo(
        "training",
        "Training",
        ":material/timeline:",
        "Find",
        "When do heads form?",
    ),
    PageInfo(
        "attribution",
        "Attribution",
        ":material/stacked_bar_chart:",
        "Test",
        "Which component pushes towards which next token?",
    ),
    PageInfo(
        "ablation",
        "Ablation",
        ":material/content_cut:",
        "Test",
        "Which heads does the model need?",
    ),
    PageInfo(
        "patching",
        "Patching",
        ":material/swap_horiz:",
        "Test",
        "Which activations bring the answer back, and along which path?",
    ),
    PageInfo(
        "circuits",
        "Circuits",
        ":material/schema:",
        "Explain",
        "What does a head do, by its weights alone?",
    ),
    PageInfo(
        "composition",
        "Composition",
        ":material/hub:",
        "Explain",
        "Which heads work together?",
    ),
    PageInfo(
        "compare",
        "Compare",
        ":material/compare:",
        "Compare",
        "What differs between the two?",
    ),
)


def page_info(name: str) -> PageInfo:
    """The row of the table for the page called `name`."""
    return next(page for page in PAGES if page.name == name)


def run_selected_page() -> None:
    """Draw the navigation and run the page that the address names.

    What a visitor can put right is one sentence here, with all inputs left in place. Anything
    else is our fault: it goes to the log, and the page apologises without a traceback.
    """
    recognise_visitors()
    sections: dict[str, list[Page]] = {}
    for page in PAGES:
        sections.setdefault(page.section, []).append(streamlit_page(page.name))
    # At the top, one menu for each section: the sidebar is for the model and the input. On a phone
    # Streamlit moves it to the sidebar, which is shut there; unless expanded some would be hidden.
    position: Literal["top", "hidden"] = "hidden" if st.context.is_embedded else "top"
    selected = st.navigation(sections, position=position, expanded=True)
    try:
        selected.run()
    except AnalysisError as refusal:
        # st.text, not markdown: the sentence may quote what the visitor typed.
        with st.container(border=True):
            st.text(f"⚠ {refusal}")
    except Exception:
        _log.exception("page %s failed", selected.url_path or "/")
        st.error(
            "Something went wrong on our side; your input is still there. Change it or reload."
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


def streamlit_page(name: str) -> Page:
    """The Streamlit page object of the page called `name`, for navigation and links."""
    page = page_info(name)
    return st.Page(
        page.file,
        title=page.title,
        icon=page.icon,
        url_path=page.address or None,
        default=page.name == "start",
    )
