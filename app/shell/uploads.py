"""Uploads: so many bytes for each session, each network address and in all, kept or on their way.

Streamlit bounds one file and not how many: without this a visitor fills the memory for all others.
"""

import asyncio
from collections.abc import Callable, Mapping

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config
from streamlit.runtime import Runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from app.compute.address import network_address

_MB = 2**20
# A session has two uploaders of one file each, and a class of 30 may have one address.
PER_SESSION, PER_ADDRESS, IN_ALL = 4 * _MB, 16 * _MB, 64 * _MB
# Of a form around a file; Streamlit allows as much.
_AROUND = 64 * 2**10
# Seconds for one file: who sends slower holds bytes that others could have.
PATIENCE = 60.0


def kept_uploads() -> Mapping[str, int]:
    """Bytes that Streamlit keeps, by session."""
    if not Runtime.exists():
        return {}
    manager = Runtime.instance().uploaded_file_mgr
    assert isinstance(manager, MemoryUploadedFileManager)
    return bytes_kept(manager)


def bytes_kept(manager: MemoryUploadedFileManager) -> dict[str, int]:
    """Bytes that a manager keeps, by session."""
    # Copies first: sessions end in other threads.
    files = {session: list(of.values()) for session, of in list(manager.file_storage.items())}
    return {session: sum(len(file.data) for file in of) for session, of in files.items()}


def forget_upload(file: UploadedFile) -> None:
    """Give back a file that has been read and is not asked for again."""
    context = get_script_run_ctx(suppress_warning=True)
    manager = context.uploaded_file_mgr if context else None
    if context and isinstance(manager, MemoryUploadedFileManager):
        manager.remove_file(context.session_id, file.file_id)


def forget_downloads() -> None:
    """Let Streamlit drop the files that it made for downloads and no page shows any more."""
    if Runtime.exists():
        Runtime.instance().media_file_mgr.remove_orphaned_files()


class UploadLimits:
    """ASGI middleware that refuses an upload before its body is read.

    Args:
        app: What is served.
        kept: See `kept_uploads`.
    """

    def __init__(self, app: ASGIApp, kept: Callable[[], Mapping[str, int]] = kept_uploads) -> None:
        self._app, self._kept = app, kept
        # All of it is used in the event loop alone.
        self._addresses: dict[str, str | None] = {}  # by session
        self._arriving: dict[object, tuple[str, int]] = {}  # session and bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        session = _uploads_to(scope)
        if session is None:
            await self._app(scope, receive, send)
            return
        size = _size(Headers(scope=scope))
        if refusal := self._refusal(session, _address(scope), size):
            await PlainTextResponse(refusal, status_code=413)(scope, receive, send)
            return
        me, answered = object(), False

        async def note_answer(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        self._arriving[me] = (session, size)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._app(scope, receive, note_answer)
        except TimeoutError:
            if not answered:
                slow = f"The file did not arrive within {PATIENCE:.0f} seconds."
                await PlainTextResponse(slow, status_code=408)(scope, receive, send)
        finally:
            del self._arriving[me]

    def _refusal(self, session: str, address: str | None, size: int) -> str:
        """Why an upload of `size` bytes is too much, in a sentence; empty where it is not."""
        held = dict(self._kept())
        for of, arriving in self._arriving.values():
            held[of] = held.get(of, 0) + arriving
        known = {of: where for of, where in self._addresses.items() if of in held}
        self._addresses = {**known, session: address}
        here = sum(kept for of, kept in held.items() if self._addresses.get(of) == address)
        if held.get(session, 0) + size > PER_SESSION:
            return _said("This page", PER_SESSION, "Remove a file, or reload the page.")
        # Visitors on this machine have no address.
        if address is not None and here + size > PER_ADDRESS:
            return _said("Your network address", PER_ADDRESS, "Close other tabs of this app.")
        if sum(held.values()) + size > IN_ALL:
            return _said("All visitors together", IN_ALL, "Try again in a minute.")
        return ""


def _said(who: str, limit: int, fix: str) -> str:
    return f"{who} may keep {limit // _MB} MB of files on this server. {fix}"


def _uploads_to(scope: Scope) -> str | None:
    """The session that a request would add a file to."""
    if scope["type"] != "http" or scope["method"] != "PUT":
        return None
    path: list[str] = scope["path"].split("/")
    return path[-2] if path[-3:-2] == ["upload_file"] else None


def _size(headers: Headers) -> int:
    """Bytes that a request may bring; as much as one may where it does not say."""
    most: int = config.get_option("server.maxUploadSize") * _MB + _AROUND
    said = headers.get("content-length", "")
    return min(int(said), most) if said.isascii() and said.isdigit() else most


def _address(scope: Scope) -> str | None:
    client = scope.get("client")
    return network_address(client[0]) if client else None
