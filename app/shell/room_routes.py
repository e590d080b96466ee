"""What browsers in a room ask of the server over HTTP."""

import json
import re

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.compute.rooms import LONGEST, MAX_POINTED, RoomError, Rooms

# What a presenter's browser keeps over a reload, out of reach of any script; and how it comes here.
COOKIE, HEADER = "headscope_room", "X-Room-Key"
# What a presenter points at, beside the version.
POINTED = "X-Room-Pointed"
_FIGURE = re.compile(r"[A-Za-z0-9_-]{1,80}")


def room_routes(rooms: Rooms) -> list[Route]:
    """The routes by which browsers ask about these rooms."""

    async def room_version(request: Request) -> Response:
        """Answers followers who ask if their room has moved: its version, or 410 without one."""
        query = request.query_params
        try:
            shown = rooms.look(query.get("code", ""), query.get("who", "")[:32])
        except RoomError:
            return Response(status_code=410)
        headers = {"Cache-Control": "no-store"}
        if shown.pointed:
            headers[POINTED] = shown.pointed
        return PlainTextResponse(str(shown.version), headers=headers)

    async def keep_room_key(request: Request) -> Response:
        """Hands a presenter's browser the key of their room as a cookie: a reload keeps it.

        The key comes in a header: a page of another site cannot have a visitor's browser send one.
        """
        key = request.headers.get(HEADER, "")
        return Response(status_code=410) if rooms.followers(key) is None else _kept(request, key)

    async def point(request: Request) -> Response:
        """Takes what a presenter points at, for whoever follows; 422 where it is nothing known."""
        body = b""
        try:
            async for part in request.stream():
                body += part
                if len(body) > 2 * MAX_POINTED:
                    return Response(status_code=413)
        except ClientDisconnect:
            return Response(status_code=400)
        at = pointed(body)
        if at is None:
            return Response(status_code=422)
        open_still = rooms.point(request.headers.get(HEADER, ""), at)
        return Response(status_code=204 if open_still else 410)

    return [
        Route("/room-version", room_version),
        Route("/room-key", keep_room_key, methods=["POST"]),
        Route("/room-pointer", point, methods=["POST"]),
    ]


def pointed(body: bytes) -> str | None:
    """A place in a figure as followers are told it, made anew of what a browser sends.

    Such as `{"figure": "pattern", "part": 0, "x": 0.25, "y": 0.5}`: the figure's key on the page,
    which of its plots, and how far in that from the left and from the top. Empty for no place; None
    for what is neither.
    """
    if not body:
        return ""
    try:
        place = json.loads(body)
        figure, part, x, y = (place[name] for name in ("figure", "part", "x", "y"))
    # Deeply nested lists exhaust the parser's stack.
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(figure, str) or not _FIGURE.fullmatch(figure):
        return None
    if type(part) is not int or not 0 <= part < 100:
        return None
    if not all(type(share) in (int, float) and 0 <= share <= 1 for share in (x, y)):
        return None
    return json.dumps({"figure": figure, "part": part, "x": round(x, 4), "y": round(y, 4)})


def _kept(request: Request, key: str) -> Response:
    answer = Response(status_code=204)
    # Without a path: a proxy may serve the app from a folder, which the browser fills in.
    encrypted = request.headers.get("Origin", "").startswith("https:")
    answer.set_cookie(
        COOKIE,
        key,
        max_age=int(LONGEST),
        path=None,
        secure=encrypted,
        httponly=True,
        samesite="strict",
    )
    return answer
