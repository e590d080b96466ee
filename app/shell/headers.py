"""Headers of every answer: what a page of ours may load and run, and what it tells others."""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.components import circuitsvis

# The script that Streamlit 1.67 itself puts into a frame of no fixed height, to tell its height;
# it lies in Streamlit's minified bundle, so that it is known by its hash alone.
_FRAME_HEIGHT = "'sha256-DDFiVuFZGZu7dauH2HVkuyGeSeHw5ZgKt70bMpVHIwk='"


@cache
def security_headers() -> dict[str, str]:
    """Name and value of each header.

    Scripts come from this server, or are one of a few that we know to the letter: nothing that a
    prompt, a token or a link could smuggle into a page would run, even if it got there.
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
        # Slides and articles may embed a view: no visitor has an account that a click could harm.
        "frame-ancestors": "*",
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
    """ASGI middleware that adds `security_headers` to every answer over HTTP."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(security_headers())
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


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
