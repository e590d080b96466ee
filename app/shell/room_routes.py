"""What browsers in a room ask of the server over HTTP."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.compute.rooms import LONGEST, RoomError, Rooms

# What a presenter's browser keeps over a reload, out of reach of any script; and how it comes here.
COOKIE, HEADER = "headscope_room", "X-Room-Key"


def room_routes(rooms: Rooms) -> list[Route]:
    """The routes by which browsers ask about these rooms."""

    async def room_version(request: Request) -> Response:
        """Answers followers who ask if their room has moved: its version, or 410 without one."""
        query = request.query_params
        try:
            shown = rooms.look(query.get("code", ""), query.get("who", "")[:32])
        except RoomError:
            return Response(status_code=410)
        return PlainTextResponse(str(shown.version), headers={"Cache-Control": "no-store"})

    async def keep_room_key(request: Request) -> Response:
        """Hands a presenter's browser the key of their room as a cookie: a reload keeps it.

        The key comes in a header: a page of another site cannot have a visitor's browser send one.
        """
        key = request.headers.get(HEADER, "")
        return Response(status_code=410) if rooms.followers(key) is None else _kept(request, key)

    return [
        Route("/room-version", room_version),
        Route("/room-key", keep_room_key, methods=["POST"]),
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
