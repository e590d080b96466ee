"""How text from users, links and tokenizers reaches the screen: the only place that escapes.

Every such string is hostile. `display_token` makes a token visible as text; the other functions
make any string safe for one kind of sink.
"""

import html
import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

# Characters that would show as nothing, or that reorder or break what stands around them.
_INVISIBLE = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
_VISIBLE = {"\n": "↵", "\t": "⇥", "\r": "␍", " ": "·"}
# How a formula begins; U+2212 is the minus sign of mathematics.
_FORMULA = ("=", "+", "-", "@", "\u2212")
# Letters, marks and symbols that show as nothing: fillers, the blank of braille, selectors.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\uffa0\ufe00-\ufe0f"
    "\U000e0100-\U000e01ef]"
)
_PLOTLY = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;"})
_INERT = str.maketrans({"<": "<\u2060", "&": "&\u2060"})
_SCRIPT = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&'\u2028\u2029"})
# What markdown makes a link of even where every sign is escaped: http://, www., name@host.
_LINK = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)", re.IGNORECASE)
_SIGNS = "\\`*_{}[]()#+-.!|~<>&$:@^=\"'/"
_MARKDOWN = str.maketrans({c: f"&#{ord(c)};" for c in _SIGNS})
_MARKDOWN_FILE = str.maketrans({c: f"\\{c}" for c in _SIGNS})


def display_token(token: str) -> str:
    """A token as one visible line: space `·`, newline `↵`, controls by their code.

    `" cat"` and `"cat"` look different, and bidirectional controls cannot turn the text around.
    """
    shown = "".join(map(_visible, token))
    # A lone combining mark would attach itself to the character before the token.
    return f"◌{shown}" if shown and unicodedata.category(shown[0]).startswith("M") else shown


def display_text(text: str) -> str:
    """Text that somebody has typed, as one visible line: as a token, but its spaces are spaces."""
    return " ".join(map(display_token, text.split(" ")))


def numbered(tokens: Sequence[str]) -> list[str]:
    """Tokens made visible, each with its position."""
    return [f"{i} {display_token(token)}" for i, token in enumerate(tokens)]


def short_token(token: str, width: int = 12) -> str:
    """`display_token`, cut to `width` characters for axes."""
    shown = display_token(token)
    return shown if len(shown) <= width else f"{shown[: width - 1]}…"


def within(error: float, unit: str = "logits") -> str:
    """How far two ways to a number agree, in plain figures."""
    if error == 0:
        return "exactly"
    size = np.format_float_positional(error, precision=1, fractional=False, trim="-")
    return f"within {size} {unit}"


def chance_text(level: float) -> str:
    """A level of chance in plain figures."""
    return f"{level:.2g}" if level >= 0.001 else "below .001"


def is_text(text: str) -> bool:
    """Whether `text` can be sent anywhere: JSON may hold halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def escape_html(text: str) -> str:
    """`text` for HTML, between tags or in a quoted attribute."""
    return html.escape(text, quote=True)


def inert_html(text: str) -> str:
    """`text` for a script that puts the same string into HTML in one place, as text in another.

    A word joiner, which has no width, after every `<` and `&`: by the rules of HTML these begin a
    tag or an entity only right before a letter, `#`, `/`, `!` or `?`.
    """
    return text.translate(_INERT)


def script_json(value: Any) -> str:
    """`value` as JSON that may stand inside a `<script>` element: it cannot close it."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False).translate(_SCRIPT)


def plotly_text(text: str) -> str:
    """`text` for Plotly titles, ticks and hovers, which read `<b>`, entities and `$...$`."""
    return text.translate(_PLOTLY)


def plotly_plain(text: str) -> str:
    """What a Plotly text reads like: without its tags, and with `plotly_text` undone."""
    return html.unescape(re.sub(r"<[^<>]*>", " ", text)).strip()


def plain_cell(text: str) -> str:
    """`text` for a cell of a CSV file: spreadsheets run what begins like a formula.

    They may leave out what is invisible at its start, and read full-width signs as plain ones.
    """
    seen = next((c for c in _BLANK.sub("", text) if not c.isspace() and not _is_invisible(c)), "")
    begins = text[:1] in ("\t", "\r", "\n") or unicodedata.normalize("NFKC", seen)[:1] in _FORMULA
    return f"'{text}" if text and begins else text


def markdown_text(text: str) -> str:
    """`text` for a place where Streamlit renders markdown, with nothing left to render.

    Addresses get a word joiner, which has no width, so that they do not become links.
    """
    return _LINK.sub("\u2060", text).translate(_MARKDOWN)


def markdown_file_text(text: str) -> str:
    """`text` for a file of Markdown, which people also read as it is: one line, nothing of it read.

    As `markdown_text`, with a backslash before each sign and not its number.
    """
    return _LINK.sub("\u2060", " ".join(text.split("\n"))).translate(_MARKDOWN_FILE)


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in _INVISIBLE


def _visible(character: str) -> str:
    if character in _VISIBLE:
        return _VISIBLE[character]
    if _is_invisible(character) or character.isspace():
        code = ord(character)
        return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    return character
