"""Attention patterns as bytes for the browser; knows nothing of Streamlit.

One payload is, in this order:
- 4 bytes: length of the header, little-endian;
- the header: JSON (UTF-8), padded with spaces so that the numbers start at a multiple of 4;
- the numbers, little-endian: `rescaled_rows` or `exact_cells`.

Patterns are causal, and of what lies ahead of a destination nothing is sent; or an encoder's, whose
tokens look both ways (`bidirectional`), or attention to another text, and all of it is.

A browser computes with what it gets: it shares out anew what the first token leaves, it subtracts
one pattern from another. Numbers rounded to what a picture needs would come out of that with a
rounding many times larger.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from jaxtyping import Float

# One axis of the large picture has at most about this many pixels: more would be hidden anyway.
MAX_TOKENS = 1024
# The largest models of the catalogue's families have 48 layers x 25 heads.
MAX_HEADS = 1200
# 144 heads x 240 tokens: 8.6 MB, and about 0.1 s to draw in a browser without a GPU.
MAX_CELLS = 144 * 240 * 241 // 2
# The cell that stands for the largest in its row: of attention, and of what may have a sign.
TOP, SIGNED_TOP = 65535, 32767
# A pattern may miss 0..1 and the empty upper triangle by rounding, not by more.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Extent:
    """How much of what was asked the browser gets; `note` says so when it is not all."""

    heads: int
    tokens: int
    note: str
    bidirectional: bool = False

    @property
    def cells(self) -> int:
        """Cells of all heads together: lower triangles with their diagonal, or all."""
        one = self.tokens**2 if self.bidirectional else self.tokens * (self.tokens + 1) // 2
        return self.heads * one


def extent(n_heads: int, n_tokens: int, bidirectional: bool = False) -> Extent:
    """The heads and tokens to show.

    Leading tokens of a causal pattern lose nothing by the cut: a row looks only at what comes
    before it. Those of an encoder lose what they look at beyond, and the note says so.
    """
    heads = min(n_heads, MAX_HEADS)
    # The largest n with heads * n * (n + 1) / 2 <= MAX_CELLS, or heads * n * n.
    each = MAX_CELLS // max(heads, 1)
    fits = math.isqrt(each) if bidirectional else (math.isqrt(1 + 8 * each) - 1) // 2
    tokens = min(n_tokens, fits, MAX_TOKENS)
    parts = []
    if heads < n_heads:
        parts.append(f"the first {heads:,} of {n_heads:,} heads")
    if tokens < n_tokens:
        parts.append(f"the first {tokens:,} of {n_tokens:,} tokens")
    if not parts:
        return Extent(heads, tokens, "", bidirectional)
    remedy = "Choose a layer or fewer heads to see more."
    if tokens == MAX_TOKENS:
        remedy = f"{MAX_TOKENS:,} tokens is the most that this view can show."
    beyond = ""
    if bidirectional and tokens < n_tokens:
        beyond = "What they attend to among the others is left out. "
    note = f"Showing {' and '.join(parts)}. {beyond}{remedy}"
    return Extent(heads, tokens, note, bidirectional)


def rescaled_rows(
    patterns: Float[np.ndarray, "head dest src"], bidirectional: bool = False
) -> bytes:
    """Each row as the first token's share, and the others in steps of the largest of them.

    In this order, by head and destination: the first token's values (4-byte floats), the largest
    of the other values (4-byte floats), and the sources 1..destination as 2-byte integers, of
    which `TOP` stands for that largest value. So what a first token leaves is as exact as it is
    large, whether that is all of the row or a twentieth of it. Of an encoder (`bidirectional`)
    and to another text every row has all sources but the first.

    Raises:
        ValueError: As `check_causal`; of an encoder, values outside 0..1.
    """
    if bidirectional:
        _check_shares(patterns)
    else:
        check_causal(patterns)
    _, n, m = patterns.shape
    dest, src = _cells_after_first(n, m, bidirectional)
    values = patterns[:, dest, src].clip(0, 1)
    most = patterns[:, :, 1:].max(-1, initial=0).clip(0, 1)
    scale = most[:, dest]
    shares = np.divide(values, scale, out=np.zeros_like(values), where=scale > 0)
    cells = np.rint(shares.clip(0, 1) * np.float32(TOP))
    first = patterns[:, :, 0].clip(0, 1)
    return b"".join(
        (first.astype("<f4").tobytes(), most.astype("<f4").tobytes(), cells.astype("<u2").tobytes())
    )


def _cells_after_first(n: int, m: int, bidirectional: bool) -> tuple[np.ndarray, np.ndarray]:
    """Destinations and sources of the cells that rows have beside the first, in reading order."""
    if bidirectional:
        dest, src = np.divmod(np.arange(n * (m - 1)), max(m - 1, 1))
        return dest, src + 1
    rows, columns = np.tril_indices(n - 1)
    return rows + 1, columns + 1


def weighted_rows(values: Float[np.ndarray, "head dest src"]) -> bytes:
    """The same of values of any size and sign: the largest size, and steps of it with a sign.

    Steps are 2-byte integers from -`SIGNED_TOP` to `SIGNED_TOP`.

    Raises:
        ValueError: Values that are not finite, or something at a later token.
    """
    _check_weighted(values)
    rows, columns = np.tril_indices(values.shape[-1] - 1)
    cells = values[:, rows + 1, columns + 1]
    most = np.abs(values[:, :, 1:]).max(-1, initial=0)
    scale = most[:, rows + 1]
    shares = np.divide(cells, scale, out=np.zeros_like(cells), where=scale > 0)
    steps = np.rint(shares.clip(-1, 1) * np.float32(SIGNED_TOP))
    first = np.ascontiguousarray(values[:, :, 0])
    return b"".join(
        (first.astype("<f4").tobytes(), most.astype("<f4").tobytes(), steps.astype("<i2").tobytes())
    )


def exact_cells(pattern: Float[np.ndarray, "dest src"], weighted: bool = False) -> bytes:
    """The lower triangle in reading order, as 4-byte floats; `weighted` cells are of any size.

    Raises:
        ValueError: As `check_causal`, or as `weighted_rows`.
    """
    rows, columns = np.tril_indices(len(pattern))
    if weighted:
        _check_weighted(pattern[None])
        return pattern[rows, columns].astype("<f4").tobytes()
    check_causal(pattern[None])
    return pattern[rows, columns].clip(0, 1).astype("<f4").tobytes()


def check_causal(patterns: Float[np.ndarray, "head dest src"]) -> None:
    """Nothing, for causal attention patterns.

    Raises:
        ValueError: Values outside 0..1, or attention to a later token, which would be lost without
            a word with the upper triangle.
    """
    _check_shares(patterns)
    _check_nothing_ahead(patterns)


def _check_shares(patterns: Float[np.ndarray, "head dest src"]) -> None:
    # `not <=` also catches NaN, which fails every comparison.
    if not (np.all(patterns >= -TOLERANCE) and np.all(patterns <= 1 + TOLERANCE)):
        raise ValueError(
            f"attention lies in 0..1; these values span {patterns.min():.3g} to "
            f"{patterns.max():.3g}"
        )


def _check_weighted(values: Float[np.ndarray, "head dest src"]) -> None:
    if not np.isfinite(values).all():
        raise ValueError("a weighted pattern is finite")
    _check_nothing_ahead(values)


def _check_nothing_ahead(patterns: Float[np.ndarray, "head dest src"]) -> None:
    ahead = float(np.abs(np.triu(patterns, 1)).max(initial=0))
    if ahead > TOLERANCE:
        raise ValueError(
            f"a causal pattern has no attention to later tokens; found {ahead:.3g} there"
        )


def assemble(header: Mapping[str, Any], numbers: bytes) -> bytes:
    """Header and numbers as one payload; adds `id`, which changes when anything drawn does."""
    text = json.dumps(header, allow_nan=False)
    digest = blake2b(numbers, digest_size=12)
    digest.update(text.encode())
    encoded = json.dumps({**header, "id": digest.hexdigest()}, allow_nan=False).encode()
    encoded += b" " * (-len(encoded) % 4)
    return len(encoded).to_bytes(4, "little") + encoded + numbers
