"""What `streamlit run server.py` serves: the app, with the headers that Streamlit does not send."""

from pathlib import Path

from starlette.middleware import Middleware
from streamlit.starlette import App

from app.headers import SecurityHeaders

app = App(
    Path(__file__).parent / "streamlit_app.py",
    middleware=[Middleware(SecurityHeaders)],
)
