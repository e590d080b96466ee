"""What is added to the page that every address begins with.

That are Open Graph tags, which say what a link shows of itself where it is posted, and on the start
page and on attention their first picture.

A chat program that draws such a preview runs no script; it reads the tags. They name the page, the
model and the head, and never what a person typed.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qsl

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models.catalog import find_model
from app.links.pages import PAGES, PageInfo
from app.links.parameters import BY_KEY
from app.links.parsers import Refused
from app.text import display_token, escape_html

_BY_ADDRESS = {page.address: page for page in PAGES}
# Of a query string; a longer one is no link of ours.
_LONGEST = 10_000
_HEAD, _BODY = b"<head>", b"<body>"
# What `app.shell.first_picture` has written.
FIRST_PICTURES = {
    page: Path(__file__).with_name(f"first_picture_{page}.html") for page in ("start", "attention")
}


def preview_tags(page: PageInfo, query: str, title: str) -> str:
    """The tags of a view.

    Args:
        page: Its page.
        query: What stands behind the address, from anybody.
        title: The name of this server.
    """
    named = _named(query)
    parts = [*([page.title] if page.name != "start" else []), *named, title]
    tags = {
        "og:title": " · ".join(parts),
        "og:description": page.question,
        "og:site_name": title,
        "og:type": "website",
    }
    return "".join(
        f'<meta property="{name}" content="{escape_html(_line(text))}">'
        for name, text in tags.items()
    )


def _line(text: str) -> str:
    """Text as one visible line; its words stay apart."""
    return " ".join(map(display_token, text.split()))


def _named(query: str) -> list[str]:
    """The head and the model that a link names, where there are such."""
    if len(query) > _LONGEST:
        return []
    try:
        link = dict(parse_qsl(query, max_num_fields=100))
    except ValueError:
        return []
    named = []
    with suppress(KeyError, Refused):  # none of them, or no whole numbers
        at = [int(str(BY_KEY[key].read(link[key]))) for key in ("layer", "head")]
        named.append(Head(*at).label)
    with suppress(KeyError, AnalysisError):
        named.append(find_model(link["model"]).title)
    return named


class LinkPreview:
    """ASGI middleware that puts `preview_tags` into the page that every address begins with.

    A page that has a first picture gets it, if the address asks for nothing else.

    Args:
        app: What answers.
        title: The name of this server.
    """

    def __init__(self, app: ASGIApp, title: str) -> None:
        self._app, self._title = app, title
        self._pictures = {page: file.read_bytes() for page, file in FIRST_PICTURES.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        page = None
        if scope["type"] == "http" and scope["method"] == "GET":
            page = _BY_ADDRESS.get(scope["path"].rpartition("/")[2])
        if page is None:
            await self._app(scope, receive, send)
            return
        query = scope["query_string"].decode("latin-1")
        tags = preview_tags(page, query, self._title).encode()
        # Packed, it could not be added to; it is two kilobytes.
        plain = [each for each in scope["headers"] if each[0] != b"accept-encoding"]
        picture = b"" if query else self._pictures.get(page.name, b"")
        adding = _Adding(send, {_HEAD: tags, _BODY: picture})
        await self._app({**scope, "headers": plain}, receive, adding.send)


class _Adding:
    """Sends an answer on, with more after some of its tags if it is a page."""

    def __init__(self, send: Send, after: Mapping[bytes, bytes]) -> None:
        self._send, self._after = send, after
        self._start: Message | None = None  # of a page, held until its body is there
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if message["status"] == 200 and "text/html" in headers.get("content-type", ""):
                self._start = message
                return
        elif self._start and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if message.get("more_body", False):
                return
            body = self._body
            for tag, more in self._after.items():
                body = body.replace(tag, tag + more, 1)
            MutableHeaders(scope=self._start)["content-length"] = str(len(body))
            await self._send(self._start)
            await self._send({"type": "http.response.body", "body": body})
            return
        await self._send(message)
