"""What `streamlit run server.py` serves: the app, with the headers that Streamlit does not send."""

import sys
from pathlib import Path

from starlette.middleware import Middleware
from starlette.routing import Route
from streamlit.starlette import App

from app.config import ConfigError, settings
from app.headers import SecurityHeaders
from app.present import keep_room_key, room_version

try:
    settings()
except ConfigError as error:
    sys.exit(f"Headscope does not start. {error}")

app = App(
    Path(__file__).parent / "streamlit_app.py",
    routes=[
        Route("/room-version", room_version),
        Route("/room-key", keep_room_key, methods=["POST"]),
    ],
    middleware=[Middleware(SecurityHeaders)],
)
