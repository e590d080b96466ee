"""Windows of a text as strips of tokens: pointing at one shows where it looks, or what looks."""

from app.components.windows.component import Strip as Strip
from app.components.windows.component import window_strips as window_strips
