"""What a visitor looks at in a played pass: the part of it that Python and links know."""

from dataclasses import dataclass
from typing import Any

# Weaker arcs are never drawn.
LEAST = 0.1


@dataclass(frozen=True)
class PassView:
    """A view of a pass: what to open with, and what the visitor has made of it.

    Attributes:
        depth: 0 is the embedding, d is after layer d - 1; None: after the last.
        least: Attention of the weakest arc that is drawn.
        to_first: Whether arcs to the first token are drawn, too.
    """

    depth: int | None = None
    least: float = 0.4
    to_first: bool = False

    def to_json(self) -> dict[str, Any]:
        """For the browser."""
        return {"depth": self.depth, "least": self.least, "toFirst": self.to_first}

    @classmethod
    def from_browser(cls, raw: object) -> "PassView | None":
        """The view that a browser reports; None unless it is well formed."""
        match raw:
            case {"depth": None | int() as depth, "least": float() | int() as least, **rest}:
                if isinstance(depth, bool) or not LEAST <= least <= 1 or (depth or 0) < 0:
                    return None
                return cls(depth, round(float(least), 2), rest.get("toFirst") is True)
            case _:
                return None
