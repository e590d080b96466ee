"""Two patterns and their difference side by side, with one pointer for all of them."""

from app.components.pattern_pair.component import Pane, pattern_pair

__all__ = ["Pane", "pattern_pair"]
