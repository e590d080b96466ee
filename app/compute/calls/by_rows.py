"""Questions about a long text, of which no pattern is ever held whole.

They are asked by the text itself: tokens would be counted as if all of their patterns were there.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING

import analysis
from analysis.head import Head
from analysis.heads.corpus.texts import shipped_text
from analysis.limits import MAX_LONG_CHARACTERS
from app.components.head_grid.packing import MAX_CELLS
from app.compute.ask import Progress, ask
from app.compute.question import Question
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.models.info import ModelInfo
    from analysis.models.loading import HeadModel
    from analysis.runs.by_rows import PatternRows, PatternTiles
    from analysis.tokens import Tokens

# Tokens of a piece, as `analysis.runs.by_rows` has it.
_PIECE = 256
# Bytes of one layer's pattern as far as it is there at once, and of what is made of it.
_ROWS = 5 * 2**25
# Tiles along a side at most.
_MOST_TILES = 512


def long_text(model: HeadModel, text: str, length: int, prepend_bos: bool) -> Tokens:
    """The first tokens of a text."""
    return analysis.long_tokens(model, text, length, prepend_bos)


def text_tiles(
    model: HeadModel,
    text: str,
    length: int,
    prepend_bos: bool,
    most: int,
    progress: Progress | None = None,
) -> PatternTiles:
    """Maxima of tiles of the first tokens of a text."""
    tokens = analysis.long_tokens(model, text, length, prepend_bos)
    return analysis.pattern_tiles(model, tokens, most, progress)


def text_rows(
    model: HeadModel,
    text: str,
    length: int,
    prepend_bos: bool,
    head: Head,
    start: int,
    stop: int,
    progress: Progress | None = None,
) -> PatternRows:
    """Rows of one head's pattern of the first tokens of a text."""
    tokens = analysis.long_tokens(model, text, length, prepend_bos)
    return analysis.pattern_rows(model, tokens, head, start, stop, progress)


def _runs(info: ModelInfo) -> tuple[int, int]:
    """A piece; a native model is run whole."""
    return 1, info.n_ctx if info.kind == "native" else min(_PIECE, info.n_ctx)


def _kept(info: ModelInfo, tokens: int) -> int:
    """Bytes of keys and values, twice while they grow, of all tiles and of the rows at hand."""
    heads = info.n_layers * info.n_heads
    keys = 2 * 4 * info.n_layers * (info.n_kv_heads or info.n_heads) * info.d_head
    tiles = 3 * 4 * heads * most_tiles(info) ** 2
    return 2 * keys * info.longest_by_rows + tiles + _ROWS


LONG_TEXT = Question("long_text", lambda: long_text, logits="none")
TEXT_TILES = Question("text_tiles", lambda: text_tiles, _runs, logits="some", beside=_kept)
TEXT_ROWS = Question("text_rows", lambda: text_rows, _runs, logits="some", beside=_kept)


def most_tiles(info: ModelInfo) -> int:
    """Tiles along a side of which the viewer shows those of all heads."""
    return min(_MOST_TILES, isqrt(2 * MAX_CELLS // (info.n_layers * info.n_heads)) - 1)


def read_text(selection: Selection) -> str:
    """The view's text: one's own, or the beginning of the novel that comes along."""
    return str(selection["long"]) or shipped_text()[:MAX_LONG_CHARACTERS]


def long_tokens(selection: Selection) -> Tokens:
    """As many of the text's first tokens as the view asks for and the model takes."""
    return ask(LONG_TEXT, selection.info, *_asked(selection))


def pattern_tiles(selection: Selection, progress: Progress) -> PatternTiles:
    """Maxima of tiles of every head; `progress` may raise to cancel."""
    info = selection.info
    return ask(TEXT_TILES, info, *_asked(selection), most=most_tiles(info), progress=progress)


def pattern_rows(
    selection: Selection, head: Head, start: int, stop: int, progress: Progress
) -> PatternRows:
    """Some rows of one head; `progress` may raise to cancel."""
    return ask(
        TEXT_ROWS,
        selection.info,
        *_asked(selection),
        head=head,
        start=start,
        stop=stop,
        progress=progress,
    )


def _asked(selection: Selection) -> tuple[str, int, bool]:
    length = min(selection["upto"], selection.info.longest_by_rows)
    return read_text(selection), length, selection.bos
