"""Colours that are right in the light and in the dark theme."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of one theme.

    Scales begin, or have their middle, close to the page's background, so that 0 is quiet and yet
    told apart from a cell that is not there.
    """

    dark: bool
    background: str
    text: str
    muted: str
    accent: str
    first_half: str  # band behind the random half
    second_half: str  # band behind the repeated half
    right: str  # chip of a token that was the top guess
    speakers: tuple[str, ...]  # system, user, assistant, answer
    sequential: tuple[str, ...]
    diverging: tuple[str, ...]  # negative .. 0 .. positive, told apart by colour-blind people


LIGHT = Palette(
    dark=False,
    background="#ffffff",
    text="#10141d",
    muted="#5b6577",
    accent="#d9480f",
    first_half="rgba(217, 72, 15, 0.10)",
    second_half="rgba(43, 138, 62, 0.12)",
    right="#c9efd3",
    speakers=("#0b7285", "#3b5bdb", "#2b8a3e", "#8f3fae"),
    sequential=("#f1f3f8", "#c5d3f7", "#7f9cec", "#3b5bdb", "#1b2f8a"),
    diverging=("#a61e1e", "#e8795a", "#f1f3f8", "#6e9fd8", "#123f8c"),
)
DARK = Palette(
    dark=True,
    background="#12151c",
    text="#e8ebf2",
    muted="#9aa5b8",
    accent="#ffa94d",
    first_half="rgba(255, 146, 84, 0.16)",
    second_half="rgba(81, 207, 102, 0.16)",
    right="#1f5a33",
    speakers=("#66d9e8", "#8ea5ff", "#69db7c", "#da9bf5"),
    sequential=("#1d222d", "#26346b", "#4361d8", "#8ea5ff", "#e4eaff"),
    diverging=("#ff8a70", "#a8473a", "#1d222d", "#35659f", "#6fb0f5"),
)
