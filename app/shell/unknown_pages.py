"""Addresses of pages that there are not: the visitor is led to the start page, which says so.

Streamlit would open a dialog over whatever the page says.
"""

from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.links.pages import PAGES

# What the start page is told of.
ASKED = "asked"
_LONGEST = 40  # characters of a name
_ADDRESSES = {page.address for page in PAGES}


class UnknownPages:
    """ASGI middleware that sends who asks for no page of the app to the start page.

    Args:
        app: What answers; it serves its first page at every address that it does not know.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        name = scope["path"].rpartition("/")[2] if scope["type"] == "http" else ""
        # A file has a dot in its name.
        if scope.get("method") != "GET" or name in _ADDRESSES or "." in name:
            await self._app(scope, receive, send)
            return
        led_away = False

        async def send_on(message: Message) -> None:
            nonlocal led_away
            if message["type"] == "http.response.start" and _is_page(message):
                led_away = True
                # Relative: a proxy may serve the app from a folder.
                where = f"./?{ASKED}={quote(name[:_LONGEST], safe='')}"
                head = [(b"location", where.encode()), (b"content-length", b"0")]
                await send({"type": "http.response.start", "status": 307, "headers": head})
                await send({"type": "http.response.body", "body": b""})
            elif not led_away:
                await send(message)

        await self._app(scope, receive, send_on)


def _is_page(message: Message) -> bool:
    kind = MutableHeaders(scope=message).get("content-type", "")
    return bool(message["status"] == 200 and "text/html" in kind)
