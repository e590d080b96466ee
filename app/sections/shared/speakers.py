"""What the parts of a conversation are called, and their colours."""

from collections.abc import Sequence

from analysis.turns import PARTS
from app.text import escape_html
from app.theme import Palette

# What each part of a conversation is called, at the head of a column and in a list.
NAMES = {
    "system": "System",
    "user": "User",
    "assistant": "Assistant, earlier",
    "answer": "Answer",
    "template": "Template",
}


def part_colours(theme: Palette) -> dict[str, str]:
    """The colour of each part of a conversation."""
    return dict(zip(PARTS, (*theme.speakers, theme.muted), strict=True))


def legend_html(parts: Sequence[str], theme: Palette) -> str:
    """The parts that are there, each with its colour."""
    colours = part_colours(theme)
    shown = [
        f'<span style="border-bottom:4px solid {colours[each]};margin-right:1.2em">'
        f"{escape_html(NAMES[each])}</span>"
        for each in PARTS
        if each in parts
    ]
    return f'<div style="line-height:2.1">{"".join(shown)}</div>'
