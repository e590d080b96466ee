"""Taking a view along: its link, a QR code of it, code for another page, or a file."""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from io import BytesIO
from urllib.parse import urlencode, urlsplit

import numpy as np
import segno
import streamlit as st

from app.links.pages import PAGES, page_info
from app.text import escape_html, is_text

# Bytes; a code of more has modules too small for a phone before a projector.
MAX_QR = 1000
MAX_FILE = 200_000
_FORMAT = "headscope-view"
_NAMES = {
    "prompt": "prompt",
    "chat": "conversation",
    "prompt2": "second prompt",
    "clean": "clean prompt",
    "corrupt": "corrupt prompt",
    "against": "corrupt prompt",
    "lines": "list of rows",
    "long": "long text",
}


class UnreadableView(ValueError):
    """A file that is no view; the message says what is wrong with it."""


def view_link(page: str, link: Mapping[str, str]) -> str:
    """The whole address of a view, as this visitor's browser sees this server."""
    seen = urlsplit(st.context.url or "")
    if seen.scheme not in ("http", "https"):
        return f"/{page_info(page).address}{_query(link)}"
    # The browser's address may be that of the page before; a proxy may have put a folder first.
    folder, _, last = seen.path.rpartition("/")
    if last not in {page.address for page in PAGES}:
        folder = seen.path.rstrip("/")
    return f"{seen.scheme}://{seen.netloc}{folder}/{page_info(page).address}{_query(link)}"


def iframe_code(link: str, title: str) -> str:
    """HTML that shows a view inside another page, without the app's own menu."""
    address = f"{link}{'&' if '?' in link else '?'}embed=true"
    return (
        f'<iframe src="{escape_html(address)}" title="{escape_html(title)}" '
        'width="100%" height="900" loading="lazy" style="border:0"></iframe>'
    )


@lru_cache(128)
def qr_code(link: str) -> str | None:
    """A QR code as SVG of any size, black on white; None if the link is too long."""
    if (code := _code(link)) is None:
        return None
    drawn = BytesIO()
    code.save(drawn, "svg", border=4, dark="#000", light="#fff", omitsize=True, xmldecl=False)
    return drawn.getvalue().decode()


def qr_modules(link: str) -> np.ndarray | None:
    """The same code as its modules, true where they are black: [row, column]."""
    code = _code(link)
    return None if code is None else np.array([list(row) for row in code.matrix], bool)


def _code(link: str) -> segno.QRCode | None:
    if len(link.encode()) > MAX_QR:
        return None
    return segno.make(link, error="l", micro=False)


def view_file(page: str, view: Mapping[str, str]) -> bytes:
    """A view as a small file, for what does not fit into a link."""
    return json.dumps({"format": _FORMAT, "page": page, "view": dict(view)}, indent=1).encode()


def read_view_file(data: bytes) -> tuple[str, dict[str, list[str]]]:
    """The page of a view file, and its values as a link holds them: still to be checked.

    Raises:
        UnreadableView: Too large, not JSON, or not a view of a page that there is.
    """
    if len(data) > MAX_FILE:
        raise UnreadableView(f"The file is larger than {MAX_FILE // 1000} kB, so it is no view.")
    try:
        document = json.loads(data.decode("utf-8"))
    # Deeply nested lists exhaust the parser's stack.
    except (ValueError, RecursionError):
        raise UnreadableView("The file is not JSON, so it is no view.") from None
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise UnreadableView("The file is not a view that was saved here.")
    page, view = document.get("page"), document.get("view")
    if page not in [known.name for known in PAGES] or not isinstance(view, dict):
        raise UnreadableView("The file is a view of a page that is not here.")
    texts = {key: text for key, text in view.items() if isinstance(text, str)}
    if not all(map(is_text, [*texts, *texts.values()])):
        raise UnreadableView("The file holds what is no text, so it is no view.")
    return page, {key: [text] for key, text in texts.items()}


def draw_address(address: str) -> None:
    """A link to copy, and its QR code."""
    st.code(address, language=None, wrap_lines=True)
    if picture := qr_code(address):
        st.image(picture, caption="The link for a phone", width=220)
    else:
        st.caption("It is too long for a QR code that a phone can read.")


def draw_link(page: str, link: Mapping[str, str], whole: Mapping[str, str]) -> None:
    """The link of a view, its QR code and the code that embeds it.

    Args:
        page: The page.
        link: Its query parameters.
        whole: The same with what is too long for a link.
    """
    address = view_link(page, link)
    if missing := [_NAMES[name] for name in whole if name not in link]:
        st.caption(
            f"The {' and the '.join(missing)} is too long for a link, so the link opens this view "
            "without it. The file below holds all of it."
        )
    else:
        st.caption("This link brings the view back as it is.")
    draw_address(address)
    st.caption("For slides and blog posts:")
    st.code(iframe_code(address, f"Headscope: {page_info(page).title}"), "html", wrap_lines=True)


def draw_file(
    page: str, whole: Callable[[], Mapping[str, str]], key: str, restore: Callable[[], None]
) -> None:
    """Saving a view as a file, and opening one.

    Args:
        page: The page.
        whole: Gives the view's values when the file is asked for.
        key: Key of the uploader.
        restore: Called when a file has been chosen.
    """
    st.download_button(
        "Save this view as a file",
        lambda: view_file(page, whole()),
        file_name=f"headscope_{page}.json",
        mime="application/json",
        on_click="ignore",
    )
    st.file_uploader(
        "Open a view from a file", type="json", max_upload_size=1, key=key, on_change=restore
    )


def _query(link: Mapping[str, str]) -> str:
    text = urlencode(link)
    # Chat programs take a sign at the end for that of the sentence, and leave it out of the link.
    if text and not text[-1].isalnum():
        text = f"{text[:-1]}%{ord(text[-1]):02X}"
    return f"?{text}" if text else ""
