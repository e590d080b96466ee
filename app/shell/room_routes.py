"""What browsers in a room ask of the server over HTTP."""

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.compute.room import LONGEST, MAX_POINTED, RoomError, pointed
from app.compute.rooms import Rooms

# What a presenter's browser keeps over a reload, out of reach of any script; and how it comes here.
COOKIE, HEADER = "headscope_room", "X-Room-Key"
# What a presenter points at, beside the version.
POINTED = "X-Room-Pointed"


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
