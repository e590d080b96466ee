"""The app in this process, and the view that it opens at."""

import argparse
import socket
import threading
import time
import webbrowser
from collections.abc import Mapping
from contextlib import suppress
from urllib.error import URLError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import urlopen

from analysis.errors import AnalysisError
from analysis.models.catalog import find_model
from analysis.models.home import at_home
from analysis.models.named import named_model
from app.links.link import left_out, link_parameters
from app.links.pages import PAGES, page_info
from app.links.parameters import BY_KEY, PROMPTS
from app.links.parsers import Refused, Value, text_up_to
from app.text import display_text, is_text
from headscope.place import ROOT

# Seconds between two looks whether the server answers, and until nobody waits for it any more.
_LOOK, _PATIENCE = 0.1, 120.0
_EVERYWHERE = ("0.0.0.0", "::", "")
# What Streamlit and mail programs append to a link says nothing about the view.
_BESIDE = ("embed", "utm_")
# Characters of a text that a refusal quotes.
_LONGEST = 40

View = tuple[str, dict[str, str]]


def view_of(asked: argparse.Namespace) -> View:
    """The page, and the query parameters that are to be opened.

    Raises:
        AnalysisError: No such model, page or file, or a text that no link can hold.
    """
    if asked.command == "view":
        return read_view(asked.view)
    wanted: dict[str, str] = {}
    if asked.model is not None:
        wanted["model"] = named_model(asked.model).name
    if asked.prompt is not None:
        wanted |= {"input": "prompt", "prompt": asked.prompt}
    page = "attention" if wanted else "start"
    return page, _checked(page, {key: [text] for key, text in wanted.items()})


def read_view(text: str) -> View:
    """A view by its link, by the last part of one, or as a file that was saved on a page.

    Raises:
        AnalysisError: It is none, or holds what the page would refuse.
    """
    from app.shell.share import MAX_FILE, UnreadableView, read_view_file

    file = at_home(text)
    if "?" not in text and file.is_file():
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE + 1)
        try:
            page, link = read_view_file(data)
        except UnreadableView as refusal:
            raise AnalysisError(str(refusal)) from refusal
        return page, _checked(page, link, from_file=True)
    try:
        parts = urlsplit(text)
        link = parse_qs(parts.query, keep_blank_values=True, errors="strict", max_num_fields=200)
    except ValueError:
        raise AnalysisError("That is no link, and no file is called so.") from None
    address = parts.path.rpartition("/")[2]
    page = next((each.name for each in PAGES if address in (each.address, each.name)), "")
    if not page:
        names = ", ".join(each.name for each in PAGES)
        raise AnalysisError(
            f"“{address}” is neither a page nor a file that is here. The pages are {names}."
        )
    return page, _checked(page, {key: link[key] for key in link if not key.startswith(_BESIDE)})


def open_app(page: str, link: Mapping[str, str], *, port: int, address: str, browser: bool) -> int:
    """Serve the app until it is ended, and open the browser once it answers.

    Raises:
        AnalysisError: The port is taken, or is none.
    """
    _require_free(address, port)
    here = "127.0.0.1" if address in _EVERYWHERE else address
    home = f"http://{f'[{here}]' if ':' in here else here}:{port}"
    shown = f"{home}{address_of(page, link)}"
    threading.Thread(target=_greet, args=(home, shown, browser), daemon=True).start()
    from click import Abort
    from streamlit.web import cli

    options = ("--server.port", str(port), "--server.address", address)
    # It ends by Ctrl-C, which is no failure.
    with suppress(Abort):
        cli.main(["run", str(ROOT / "server.py"), *options], standalone_mode=False)
    return 0


def address_of(page: str, link: Mapping[str, str]) -> str:
    """The part of a view's address after the host."""
    query = f"?{urlencode(link)}" if link else ""
    return f"/{page_info(page).address}{query}"


def _checked(page: str, link: Mapping[str, list[str]], from_file: bool = False) -> dict[str, str]:
    """A view's parameters as its address holds them; what a page would leave out is refused."""
    values: dict[str, Value] = {}
    for key, texts in link.items():
        if key not in BY_KEY or len(texts) != 1:
            named = display_text(key[:_LONGEST])
            how_often = f"stands there {len(texts)} times" if key in BY_KEY else "is unknown"
            raise AnalysisError(f"A view holds each parameter once, and “{named}” {how_often}.")
        # What a command is told may be no text: bytes that nobody could read.
        if not is_text(texts[0]):
            raise AnalysisError(f"{BY_KEY[key].said}: that is no text in UTF-8.")
        long = from_file and key in PROMPTS
        try:
            values[key] = (text_up_to(PROMPTS[key]) if long else BY_KEY[key].read)(texts[0])
        except Refused as refusal:
            shown = display_text(texts[0][:_LONGEST])
            raise AnalysisError(f"{BY_KEY[key].said}: “{shown}” is {refusal}.") from refusal
    if "model" in values:
        find_model(str(values["model"]))
    if left_out(page, values):
        raise AnalysisError(
            "The text of this view is too long for an address. Save it on a page and open that "
            "file there, by Share."
        )
    return link_parameters(page, values)


def _require_free(address: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise AnalysisError(f"There is no port {port}. Take one from 1 to 65535, such as 8501.")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except (OSError, TypeError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or "no such address"
            raise AnalysisError(
                f"Nothing can be served at {address}, port {port} ({why}). Choose "
                "another with --port or --address."
            ) from error


def _greet(home: str, shown: str, browser: bool) -> None:
    """Say where the app is once it answers, and show it."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            with urlopen(f"{home}/_stcore/health", timeout=5):
                break
        except (URLError, OSError):
            time.sleep(_LOOK)
    else:
        return
    print(f"Headscope: {shown}", flush=True)
    if browser:
        webbrowser.open(shown)
