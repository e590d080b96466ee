"""Attention patterns as bytes for the browser; knows nothing of Streamlit.

One payload is, in this order:
- 4 bytes: length of the header, little-endian;
- the header: JSON (UTF-8), padded with spaces so that the cells start at an even offset;
- the cells: for each head, for each destination, the sources 0..destination, as `bits`-wide
  little-endian unsigned integers; 0 stands for 0.0 and the largest one for 1.0.
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
# 144 heads x 240 tokens: 4.2 MB, and about 0.1 s to draw in a browser without a GPU.
MAX_CELLS = 144 * 240 * 241 // 2
# Two bytes a cell, and so four true decimals on hover, up to this size; one byte beyond.
FINE_BYTES = 2**20
# A pattern may miss 0..1 and the empty upper triangle by rounding, not by more.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Extent:
    """How much of what was asked the browser gets; `note` says so when it is not all."""

    heads: int
    tokens: int
    note: str

    @property
    def cells(self) -> int:
        """Cells of all heads together: lower triangles with their diagonal."""
        return self.heads * self.tokens * (self.tokens + 1) // 2

    @property
    def bits(self) -> int:
        """Width of one cell: 16 while that is cheap, else 8."""
        return 16 if 2 * self.cells <= FINE_BYTES else 8


def extent(n_heads: int, n_tokens: int) -> Extent:
    """The heads and tokens to show.

    Leading tokens lose nothing by the cut: a causal row looks only at what comes before it.
    """
    heads = min(n_heads, MAX_HEADS)
    # The largest n with heads * n * (n + 1) / 2 <= MAX_CELLS.
    fits = (math.isqrt(1 + 8 * (MAX_CELLS // max(heads, 1))) - 1) // 2
    tokens = min(n_tokens, fits, MAX_TOKENS)
    parts = []
    if heads < n_heads:
        parts.append(f"the first {heads:,} of {n_heads:,} heads")
    if tokens < n_tokens:
        parts.append(f"the first {tokens:,} of {n_tokens:,} tokens")
    if not parts:
        return Extent(heads, tokens, "")
    remedy = "Choose a layer or fewer heads to see more."
    if tokens == MAX_TOKENS:
        remedy = f"{MAX_TOKENS:,} tokens is the most that this view can show."
    return Extent(heads, tokens, f"Showing {' and '.join(parts)}. {remedy}")


def quantise(patterns: Float[np.ndarray, "head dest src"], bits: int) -> bytes:
    """The lower triangles in reading order, rounded to the nearest of 2**bits steps.

    Raises:
        ValueError: Values outside 0..1, or attention to a later token: these are no causal
            attention patterns, and their upper triangle would be lost without a word.
    """
    # `not <=` also catches NaN, which fails every comparison.
    if not (np.all(patterns >= -TOLERANCE) and np.all(patterns <= 1 + TOLERANCE)):
        raise ValueError(
            f"attention lies in 0..1; these values span {patterns.min():.3g} to "
            f"{patterns.max():.3g}"
        )
    ahead = float(np.triu(patterns, 1).max(initial=0))
    if ahead > TOLERANCE:
        raise ValueError(
            f"a causal pattern has no attention to later tokens; found {ahead:.3g} there"
        )
    rows, columns = np.tril_indices(patterns.shape[-1])
    top = 2**bits - 1
    cells = np.rint(patterns[:, rows, columns] * np.float32(top)).clip(0, top)
    return cells.astype(f"<u{bits // 8}").tobytes()


def assemble(header: Mapping[str, Any], cells: bytes) -> bytes:
    """Header and cells as one payload; adds `id`, which changes when anything drawn does."""
    text = json.dumps(header, allow_nan=False)
    digest = blake2b(cells, digest_size=12)
    digest.update(text.encode())
    encoded = json.dumps({**header, "id": digest.hexdigest()}, allow_nan=False).encode()
    encoded += b" " * (-len(encoded) % 4)
    return len(encoded).to_bytes(4, "little") + encoded + cells
