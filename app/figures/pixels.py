"""Patterns as small pictures of a pixel for each cell, and the colours of a scale."""

import base64
import struct
import zlib
from collections.abc import Sequence
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, UInt8

from app.theme import Palette

# What is no cell: above a diagonal, and between two patterns.
_EMPTY = 255


def colour_at(colours: Sequence[str], share: float) -> str:
    """The colour at a share of the way along a scale."""
    place = min(max(share, 0.0), 1.0) * (len(colours) - 1)
    first = min(int(place), len(colours) - 2)
    below, above = (_rgb(colour) for colour in colours[first : first + 2])
    mixed = below + (above - below) * (place - first)
    return "#" + "".join(f"{round(float(part)):02x}" for part in mixed)


def pattern_picture(
    pattern: Float[np.ndarray, "dest src"],
    palette: Palette,
    diverging: bool = False,
    bidirectional: bool = False,
) -> str:
    """One pattern as a PNG of a pixel for each cell, in an address that holds all of it.

    Values are 0 to 1, or -1 to 1 with a scale that is `diverging`. An encoder's tokens attend to
    later ones too, or to another text: there `bidirectional` draws all cells.
    """
    scale = palette.diverging if diverging else palette.sequential
    shades = _shades((pattern + 1) / 2 if diverging else pattern, bidirectional)
    return _picture(shades, scale, palette)


def heads_picture(patterns: Float[np.ndarray, "layer head dest src"], palette: Palette) -> str:
    """Every head's pattern likewise: a row for each layer, a pixel between two patterns."""
    n_layers, n_heads, n, _ = patterns.shape
    pitch = n + 1
    sheet = np.full((n_layers * pitch - 1, n_heads * pitch - 1), _EMPTY, np.uint8)
    for layer, heads in enumerate(patterns):
        for head, pattern in enumerate(heads):
            top, left = layer * pitch, head * pitch
            sheet[top : top + n, left : left + n] = _shades(pattern)
    return _picture(sheet, palette.sequential, palette)


def cells_seen(shape: tuple[int, ...], bidirectional: bool) -> Bool[np.ndarray, "dest src"]:
    """The cells of a pattern in which attention can be: those ahead in an encoder only."""
    return np.tri(*shape, dtype=np.bool_) | np.bool_(bidirectional)


def _shades(pattern: np.ndarray, bidirectional: bool = False) -> np.ndarray:
    seen = cells_seen(pattern.shape, bidirectional)
    shades = np.rint(pattern.clip(0, 1) * (_EMPTY - 1))
    return np.where(seen, shades, _EMPTY).astype(np.uint8)


def _picture(
    shades: UInt8[np.ndarray, "height width"], scale: tuple[str, ...], palette: Palette
) -> str:
    height, width = shades.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), shades], 1)  # 0: no filter
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", _indexed_colours(scale, palette.background)),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
            _chunk(b"IEND", b""),
        )
    )
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


@cache
def _indexed_colours(scale: tuple[str, ...], background: str) -> bytes:
    """The 256 colours of a picture: the scale, then the page's, for sources ahead of a row."""
    steps = [colour_at(scale, i / (_EMPTY - 1)) for i in range(_EMPTY)]
    colours = np.array([_rgb(colour) for colour in (*steps, background)], np.uint8)
    return colours.tobytes()


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], float)


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
