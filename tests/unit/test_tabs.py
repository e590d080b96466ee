"""Tabs of one network address are bounded, and those that close make way."""

import asyncio
from typing import Any

from app.shell.tabs import TabLimit
from tests.loops import finish


def _scope(address: str | None, kind: str = "websocket") -> dict[str, Any]:
    return {"type": kind, "client": (address, 1) if address else None}


def test_an_address_has_so_many_tabs_and_others_have_theirs() -> None:
    async def try_it() -> None:
        ends = asyncio.Event()
        served: list[str | None] = []
        closed: list[dict[str, Any]] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            served.append(scope["client"] and scope["client"][0])
            if scope["type"] == "websocket":
                await ends.wait()

        async def receive() -> dict[str, Any]:
            return {}

        async def send(message: Any) -> None:
            closed.append(message)

        limit = TabLimit(app, most=2)

        async def come(*scopes: dict[str, Any]) -> list[asyncio.Task[None]]:
            tasks = [asyncio.ensure_future(limit(each, receive, send)) for each in scopes]
            await asyncio.sleep(0)
            return tasks

        tabs = await come(*[_scope("192.0.2.1")] * 5, _scope("192.0.2.2"), _scope(None))
        assert served == ["192.0.2.1", "192.0.2.1", "192.0.2.2", None]
        assert closed == [{"type": "websocket.close", "code": 1013}] * 3
        # What is no tab is not counted; this machine is not either.
        tabs += await come(_scope("192.0.2.1", "http"), *[_scope("127.0.0.1")] * 5)
        assert len(served) == 10
        ends.set()
        await asyncio.gather(*tabs)
        assert not limit._open
        await asyncio.gather(*await come(_scope("192.0.2.1")))
        assert len(closed) == 3

    finish(try_it())
