"""How many tabs of one network address may be open: each holds a session's memory."""

from collections import Counter

from starlette.types import ASGIApp, Receive, Scope, Send

from app.compute.address import network_address

# A lecture behind one address, and then some: more than follow from it in one room.
MAX_TABS = 300


class TabLimit:
    """ASGI middleware that closes websockets of an address that has enough of them.

    Visitors on this machine have no address, and are not counted.

    Args:
        app: What is served.
        most: Of one address.
    """

    def __init__(self, app: ASGIApp, most: int = MAX_TABS) -> None:
        self._app, self._most = app, most
        # All in the thread of the server's loop.
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        client = scope.get("client")
        address = network_address(client[0]) if client else None
        if scope["type"] != "websocket" or address is None:
            await self._app(scope, receive, send)
            return
        if self._open[address] >= self._most:
            await send({"type": "websocket.close", "code": 1013})
            return
        self._open[address] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]
