"""Patterns of long texts, of which none is held whole: maxima of tiles, and some rows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache

from analysis.arrays import freeze, to_numpy
from analysis.errors import AnalysisError
from analysis.head import Head, require_heads
from analysis.models.loading import HeadModel
from analysis.runs.forward import Hook, run_without_logits
from analysis.runs.onward import keeps_keys
from analysis.tokens import Tokens

Progress = Callable[[int, int], None]
# Numbers of one layer's pattern that are there at once, 32 MiB; in rows, at most so many.
NUMBERS_AT_ONCE, ROWS_AT_ONCE = 2**23, 256
# Rows of one head that are handed out at once.
MAX_ROWS = 256


@dataclass(frozen=True, eq=False)
class PatternTiles:
    """By head, the largest attention in each tile of `side` destinations and `side` sources.

    A stripe of a single token's width stays as bright as it is. Tiles at the ends of a text may be
    smaller.
    """

    values: Float[np.ndarray, "layer head dest_tile src_tile"]
    side: int
    length: int

    def __post_init__(self) -> None:
        tiles = ceil(self.length / self.side)
        if self.values.shape[2:] != (tiles, tiles):
            raise ValueError(f"tiles {self.values.shape[2:]} of {self.length} tokens")
        freeze(self, "values")

    def tokens(self, tile: int) -> range:
        """The positions in a tile."""
        return range(tile * self.side, min(self.length, (tile + 1) * self.side))


@dataclass(frozen=True, eq=False)
class PatternRows:
    """Some rows of one head's pattern, exactly; the first is that of destination `start`."""

    head: Head
    start: int
    values: Float[np.ndarray, "row src"]

    def __post_init__(self) -> None:
        freeze(self, "values")


def pattern_tiles(
    model: HeadModel, tokens: Tokens, most: int = 128, progress: Progress | None = None
) -> PatternTiles:
    """The largest attention of every head in each tile of a text, at most `most` tiles a side.

    tile[i, j] = max of pattern[dest, src] over the destinations of tile i and the sources of j.
    The text is run a few rows at a time with keys and values kept, so that of a layer's pattern
    only these rows are ever there; a model that keeps none is run whole, up to its `n_ctx`.

    Args:
        model: The model; its lock is taken for some rows at a time.
        tokens: One sequence (`analysis.runs.inputs.long_tokens`).
        most: Tiles along a side at most; 1 token a side if there are no more tokens.
        progress: Called without the lock as `progress(tokens done, tokens)`. It may raise to
            cancel.

    Raises:
        AnalysisError: Several sequences; a text longer than this model is run on.
    """
    side = ceil(tokens.length / max(1, most))
    n_tiles = ceil(tokens.length / side)
    tiles = torch.zeros(model.n_layers, model.n_heads, n_tiles, n_tiles)

    def hooks(start: int) -> list[tuple[str, Hook]]:
        def pool(layer: int) -> Hook:
            def note(pattern: Float[Tensor, "1 head dest src"], hook: object) -> None:
                rows, columns = pattern.shape[2:]
                padding = (0, -columns % side, 0, -rows % side)
                # Beyond the ends there is no attention.
                whole = functional.pad(pattern[0], padding)
                most_of = whole.unflatten(2, (-1, side)).unflatten(1, (-1, side)).amax((2, 4))
                first = start // side
                place = tiles[layer, :, first : first + most_of.shape[1], : most_of.shape[2]]
                place.copy_(most_of)

            return note

        return [(f"blocks.{i}.attn.hook_pattern", pool(i)) for i in range(model.n_layers)]

    _run(model, tokens, tokens.length, hooks, side, progress)
    return PatternTiles(to_numpy(tiles), side, tokens.length)


def pattern_rows(
    model: HeadModel,
    tokens: Tokens,
    head: Head,
    start: int,
    stop: int,
    progress: Progress | None = None,
) -> PatternRows:
    """Rows `start` to `stop` - 1 of one head's pattern, over the whole text.

    What comes before is run without its patterns being kept. Entries behind a destination are 0.

    Args:
        model: The model; its lock is taken for some rows at a time.
        tokens: One sequence.
        head: The head.
        start: The first destination.
        stop: One behind the last; at most `MAX_ROWS` behind the first.
        progress: As in `pattern_tiles`.

    Raises:
        AnalysisError: As `pattern_tiles`; a head or rows that there are not, or too many.
    """
    require_heads(model.info, head)
    if not 0 <= start < stop <= min(tokens.length, start + MAX_ROWS):
        raise AnalysisError(
            f"Rows {start} to {stop - 1} were asked for, of a text of {tokens.length} tokens; at "
            f"most {MAX_ROWS} of them are given at once."
        )
    rows = torch.zeros(stop - start, tokens.length)

    def hooks(first: int) -> list[tuple[str, Hook]]:
        def note(pattern: Float[Tensor, "1 head dest src"], hook: object) -> None:
            last = first + pattern.shape[2]
            low, high = max(start, first), min(stop, last)
            if low < high:
                own = pattern[0, head.head, low - first : high - first]
                rows[low - start : high - start, : own.shape[1]] = own

        return [(f"blocks.{head.layer}.attn.hook_pattern", note)]

    # No layer behind the head's is needed.
    following = f"blocks.{head.layer + 1}.hook_resid_pre"
    until = following if head.layer + 1 < model.n_layers else "unembed.hook_in"
    _run(model, tokens, stop, hooks, 1, progress, until)
    return PatternRows(head, start, to_numpy(rows))


def _run(
    model: HeadModel,
    tokens: Tokens,
    stop: int,
    hooks: Callable[[int], Sequence[tuple[str, Hook]]],
    side: int,
    progress: Progress | None,
    until: str = "unembed.hook_in",
) -> None:
    """Run a text up to a token, in pieces of whole tiles; `hooks` are told the first row."""
    if tokens.batch != 1:
        raise AnalysisError(f"These are {tokens.batch} sequences; a long text is one. Choose one.")
    if tokens.length > model.info.longest_by_rows:
        raise AnalysisError(
            f"These are {tokens.length} tokens; {model.name} takes {model.info.longest_by_rows}. "
            "Shorten them."
        )
    if not keeps_keys(model):
        if tokens.length > model.n_ctx:
            raise AnalysisError(
                f"{model.name} keeps no keys and values, so that a text is run whole, of at most "
                f"{model.n_ctx} tokens. Read fewer than {tokens.length}."
            )
        # Its end may matter: angles of rotary positions can depend on the length.
        run_without_logits(model, tokens.tensor, (), hooks(0), until=until)
        return
    ids = tokens.tensor[:, :stop]
    keys = DynamicCache()
    for piece in _pieces(model, tokens.length, stop, side):
        some = ids[:, piece.start : piece.stop]
        run_without_logits(model, some, (), hooks(piece.start), keys, until)
        if progress:
            progress(piece.stop, stop)


def _pieces(model: HeadModel, length: int, stop: int, side: int) -> Iterator[range]:
    fit = min(ROWS_AT_ONCE, NUMBERS_AT_ONCE // (model.n_heads * length), model.n_ctx)
    step = max(1, fit // side) * side
    for start in range(0, stop, step):
        yield range(start, min(stop, start + step))
