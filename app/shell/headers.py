"""Headers of every answer: what a page of ours may load and run, and what it tells others."""

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from urllib.parse import parse_qsl

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.components import circuitsvis

# The script that Streamlit 1.67 itself puts into a frame of no fixed height, to tell its height;
# it lies in Streamlit's minified bundle, so that it is known by its hash alone.
_FRAME_HEIGHT = "'sha256-DDFiVuFZGZu7dauH2HVkuyGeSeHw5ZgKt70bMpVHIwk='"


@cache
def security_headers(framed_by: str = "'self'") -> dict[str, str]:
    """Name and value of each header.

    Scripts come from this server, or are one of a few that we know to the letter: nothing that a
    prompt, a token or a link could smuggle into a page would run, even if it got there.

    Args:
        framed_by: Who may show the answer in a frame, as the policy writes it.
    """
    known = [*_inline_scripts(_index_page()), circuitsvis.script()]
    policy = {
        "default-src": "'none'",
        # blob: Streamlit hands the browser the scripts of components that way.
        "script-src": " ".join(["'self'", "blob:", *map(_source_hash, known), _FRAME_HEIGHT]),
        # Streamlit, Plotly and CircuitsVis all write styles into the page.
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "media-src": "'self' data: blob:",
        "connect-src": "'self'",
        "worker-src": "'self' blob:",
        "frame-src": "'self' blob:",
        "manifest-src": "'self'",
        "base-uri": "'self'",
        "form-action": "'none'",
        "object-src": "'none'",
        # A wildcard stands for addresses of the web alone: slides opened from a disk are none.
        **({} if framed_by == "*" else {"frame-ancestors": framed_by}),
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {what}" for name, what in policy.items()),
        "X-Content-Type-Options": "nosniff",
        # A link holds the prompt: other hosts do not learn it.
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


class SecurityHeaders:
    """ASGI middleware that adds `security_headers` to every answer over HTTP.

    Streamlit tells whoever frames the app its address after each change. So only pages that know
    that they are framed (`?embed=true`), and write nothing typed into it, may be shown on any site;
    on sites that the host names all pages may.

    Args:
        app: What is served.
        origins: The sites that the host names.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str] = ()) -> None:
        self._app, self._named = app, " ".join(["'self'", *origins])
        self._open = not origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        framed_by = "*" if self._open and _embeds(scope) else self._named

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(security_headers(framed_by))
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def _embeds(scope: Scope) -> bool:
    """Whether the page that is asked for will know that it is embedded."""
    asked = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    # Said once and in this way, so that nobody could read it in another.
    return [(key, value) for key, value in asked if key.lower() == "embed"] == [("embed", "true")]


def _index_page() -> str:
    return files("streamlit").joinpath("static/index.html").read_text(encoding="utf-8")


def _inline_scripts(page: str) -> list[str]:
    return re.findall(r"<script>(.*?)</script>", page, re.DOTALL)


def _source_hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


if __name__ == "__main__":
    for header, content in security_headers().items():
        print(f"{header}: {content}")
