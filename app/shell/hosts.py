"""Which names this server answers to: a site that gives its own name our address gets nothing."""

from collections.abc import Sequence
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import config

# What this machine is called by itself.
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def answered_names(hosts: Sequence[str]) -> tuple[str, ...]:
    """The names that are answered to, given those that the host of the app has named; empty: all.

    A server that listens on this machine alone is reached under no other name, but through a proxy.
    """
    address = config.get_option("server.address")
    return (*LOOPBACK, *hosts) if hosts or _is_loopback(address) else ()


class HostCheck:
    """ASGI middleware that refuses requests, over HTTP and websockets, under any other name.

    Args:
        app: What is served.
        names: See `answered_names`.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self._app, self._names = app, {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        asks = scope["type"] in ("http", "websocket") and self._names
        if not asks or _name(Headers(scope=scope).get("host", "")) in self._names:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            refusal = "This server does not answer to that name. Its host can add it to `hosts`.\n"
            await PlainTextResponse(refusal, status_code=421)(scope, receive, send)


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.lower().rstrip(".")


def _is_loopback(address: str | None) -> bool:
    try:
        return address == "localhost" or bool(address and ip_address(address).is_loopback)
    except ValueError:
        return False
