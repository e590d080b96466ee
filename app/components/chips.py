"""Text as a row of token chips with a hover card each, as HTML in which all text is escaped."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.text import display_token, escape_html
from app.theme import Palette


@dataclass(frozen=True, slots=True)
class Chip:
    """One token: its text, whether it is coloured, and the lines of its hover card.

    `stripe` is a colour of the palette for a stripe under it; the ink stays what it is.
    """

    token: str
    highlighted: bool
    card: Sequence[tuple[str, str]]  # rows of the hover card: left text, right text
    heading: str
    stripe: str = ""


def chips_html(chips: Sequence[Chip], palette: Palette) -> str:
    """The chips as one block of HTML; a newline token also breaks the line."""
    style = (
        "<style>.hs-chips{line-height:2.1;font-size:1rem}"
        ".hs-chip{position:relative;display:inline-block;padding:0 .3em;margin:0 1px;"
        f"border-radius:.3em;border:1px solid {palette.muted}40;white-space:pre;"
        f"line-height:1.6;font-family:monospace;color:{palette.text}}}"
        f".hs-right{{background:{palette.right};border-color:transparent}}"
        ".hs-card{display:none;position:absolute;z-index:20;left:0;top:1.9em;min-width:13em;"
        f"padding:.5em .7em;border-radius:.5em;background:{palette.background};"
        f"border:1px solid {palette.muted};font-size:.82rem;line-height:1.5}}"
        # Near the right edge a card opens to the left, so that it stays on the page.
        ".hs-chips{padding-right:9em}"
        ".hs-chip:hover .hs-card,.hs-chip:focus .hs-card{display:block}"
        ".hs-row{display:flex;justify-content:space-between;gap:1.5em}"
        f".hs-row span:last-child,.hs-head{{color:{palette.muted}}}</style>"
    )
    return f'{style}<div class="hs-chips">{"".join(map(_chip, chips))}</div>'


def _chip(chip: Chip) -> str:
    rows = "".join(
        f'<div class="hs-row"><span>{escape_html(left)}</span>'
        f"<span>{escape_html(right)}</span></div>"
        for left, right in chip.card
    )
    kind = "hs-chip hs-right" if chip.highlighted else "hs-chip"
    line_break = "<br>" if "\n" in chip.token else ""
    stripe = f' style="border-bottom:4px solid {chip.stripe}"' if chip.stripe else ""
    return (
        f'<span class="{kind}" tabindex="0"{stripe}>{escape_html(display_token(chip.token))}'
        f'<span class="hs-card"><span class="hs-head">{escape_html(chip.heading)}</span>{rows}'
        f"</span></span>{line_break}"
    )
