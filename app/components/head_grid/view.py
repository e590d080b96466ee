"""What a visitor looks at in the head grid: the part of it that Python and links know."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from analysis.head import Head

Direction = Literal["dest", "src"]
Player = Literal["none", "ready", "playing"]
# Overlaid colours of more heads than this cannot be told apart.
MAX_LOCKED = 6
# The same bound for tokens keeps a link short.
MAX_LOCKED_TOKENS = 16


@dataclass(frozen=True)
class HeadGridState:
    """A view of the head grid: what to open with, and what the visitor has made of it.

    Attributes:
        focus: The head in the large picture; None means the first one shown.
        locked: Heads that are laid over each other while the focus is one of them.
        tokens: Positions of locked tokens; several are averaged.
        direction: "dest" colours the sources that a token attends to, "src" the destinations
            that attend to it.
    """

    focus: Head | None = None
    locked: tuple[Head, ...] = ()
    tokens: tuple[int, ...] = ()
    direction: Direction = "dest"

    def within(self, heads: Collection[Head], n_tokens: int) -> "HeadGridState":
        """This view with everything dropped that is not among `heads` and tokens."""
        return HeadGridState(
            focus=self.focus if self.focus in heads else next(iter(heads)),
            locked=tuple(dict.fromkeys(h for h in self.locked if h in heads))[:MAX_LOCKED],
            tokens=tuple(dict.fromkeys(t for t in self.tokens if 0 <= t < n_tokens))[
                :MAX_LOCKED_TOKENS
            ],
            direction=self.direction,
        )

    def to_json(self) -> dict[str, Any]:
        """For the browser."""
        return {
            "focus": self.focus.label if self.focus else None,
            "locked": [head.label for head in self.locked],
            "tokens": list(self.tokens),
            "direction": self.direction,
        }

    @classmethod
    def from_browser(cls, raw: object) -> "HeadGridState | None":
        """The view that a browser reports; None unless it is well formed."""
        match raw:
            case {
                "focus": str(focus),
                "locked": list(locked),
                "tokens": list(tokens),
                "direction": "dest" | "src" as direction,
            }:
                pass
            case _:
                return None
        try:
            heads = tuple(Head.parse(str(label)) for label in locked)
            positions = tuple(token for token in tokens if type(token) is int)
            return cls(Head.parse(focus), heads, positions, direction)
        except ValueError:
            return None
