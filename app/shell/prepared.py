"""Lists of views that a presenter steps through, one link a line."""

import json
from urllib.parse import parse_qsl, urlsplit

from app.links.pages import PAGES
from app.text import is_text

MAX_VIEWS = 50
MAX_LIST = 100_000


def prepared_views(text: str) -> tuple[list[tuple[str, dict[str, str]]], list[str]]:
    """The views in a list of links, one a line or a JSON list, and a sentence for what is none.

    Of a link only the page and its parameters count, so a list made on one server works on
    another and leads nowhere else.
    """
    if len(text) > MAX_LIST:
        return [], [f"The list is longer than {MAX_LIST:,} characters."]
    if "\0" in text:
        return [], ["The list is not text."]
    lines = text.splitlines()
    if text.lstrip().startswith("["):
        try:
            lines = [str(line) for line in json.loads(text)]
        except (ValueError, RecursionError):
            return [], ["The list begins with [ and is not JSON."]
    views: list[tuple[str, dict[str, str]]] = []
    notes = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        view = _view(line.strip())
        if view is None:
            notes.append(f"Line {number} is not a link to a page of this app.")
        elif len(views) < MAX_VIEWS:
            views.append(view)
        else:
            notes.append(f"Only the first {MAX_VIEWS} views are kept.")
            break
    return views, notes[:5]


def _view(link: str) -> tuple[str, dict[str, str]] | None:
    if not is_text(link):
        return None
    try:
        parts = urlsplit(link)
        query = dict(parse_qsl(parts.query, max_num_fields=100))
    except ValueError:
        return None
    if parts.scheme not in ("", "http", "https"):
        return None
    address = parts.path.rpartition("/")[2]
    pages = {page.address: page.name for page in PAGES}
    if address not in pages or not (parts.path or parts.netloc or parts.query):
        return None
    return pages[address], {k: v for k, v in query.items() if k != "room"}
