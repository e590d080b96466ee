"""Pictures for papers and slides: patterns as vector drawings in millimetres, and as small images.

Built with the standard library, which escapes every text; nothing refers to anything outside.
"""

import math
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

import numpy as np

from analysis.definitions import ATTENTION, Weighting
from app.figures.pixels import cells_seen, colour_at, pattern_picture
from app.text import numbered, short_token
from app.theme import LIGHT

# Widths of one and of two columns of a printed page, mm.
COLUMN, PAGE = 85.0, 178.0
_POINT = 25.4 / 72  # mm
_TITLE, _AXIS, _LABEL = 8 * _POINT, 7 * _POINT, 6 * _POINT
_LINE = 1.05 * _LABEL  # nearer than this labels would touch
# Right of the map: the colour scale, its numbers and its name.
_SCALE = 14.0
_CODE = 26.0  # a QR code: its modules are half a millimetre at least
_SVG = "http://www.w3.org/2000/svg"
_FONTS = "Helvetica, Arial, 'Liberation Sans', sans-serif"
_STEPS = 64  # colours of the scale


@dataclass(frozen=True, slots=True)
class _Scale:
    """Colours from 0, or from as far below it, to `most`."""

    colours: Sequence[str]
    name: str
    diverging: bool
    most: float


def paper_pattern(
    pattern: np.ndarray,
    labels: Sequence[str],
    title: str,
    origin: str,
    diverging: bool = False,
    weighting: Weighting = ATTENTION,
    bidirectional: bool = False,
) -> bytes:
    """One head's pattern [dest, src] as SVG of one column's width, or of two for a longer text.

    Letters are text of 6 to 8 points. Where not every token can have a label of that size, every
    second one has, and so on. Cells of the colour of 0 are one shape, not drawn one by one.

    Args:
        pattern: Attention, 0 to 1; with `diverging` differences, -1 to 1; or weighted attention,
            of which the largest size ends the scale.
        labels: The tokens.
        title: What is drawn, such as a head's label.
        origin: Model, input and date of the numbers, in a line that is broken where it is long.
        diverging: A difference, with colours on both sides of 0.
        weighting: What the cells are, if they are not attention.
        bidirectional: Whether there are cells ahead of a destination, as of an encoder.
    """
    n, most = len(labels), 1.0
    if not weighting.plain:
        most = max(float(np.abs(pattern).max(initial=0)), 1e-6)
        pattern = pattern / most
    difference, diverging = diverging, diverging or weighting.signed
    if pattern.shape != (n, n) or n == 0:
        raise ValueError(f"a pattern of shape {pattern.shape} for {n} labels")
    shown = [short_token(label) for label in labels]
    margin = _AXIS * 1.6 + 1.2 + max(map(_width, shown))
    left = margin
    fits = (COLUMN - left - _SCALE) / n >= _LINE
    width = COLUMN if fits else PAGE
    lines = _broken(origin, width)
    top = 2.2 * _TITLE + max(len(lines), 1) * 1.3 * _AXIS
    side = width - left - _SCALE
    cell, height = side / n, top + side + margin
    drawing = _drawing(title, lines, width, height)
    colours = LIGHT.diverging if diverging else LIGHT.sequential
    _draw_cells(drawing, pattern, (left, top), cell, colours, diverging, bidirectional)
    every = math.ceil(_LINE / cell)
    for i in range(0, n, every):
        middle = (i + 0.5) * cell
        _text(drawing, shown[i], left - 1, top + middle + 0.35 * _LABEL, _LABEL, anchor="end")
        x, y = left + middle + 0.35 * _LABEL, top + side + 1
        turned = _text(drawing, shown[i], x, y, _LABEL, anchor="end")
        turned.set("transform", f"rotate(-90 {_mm(x)} {_mm(y)})")
    x, y = _AXIS, top + side / 2
    turned = _text(drawing, "Destination (query)", x, y, _AXIS, anchor="middle")
    turned.set("transform", f"rotate(-90 {_mm(x)} {_mm(y)})")
    _text(drawing, "Source (key)", left + side / 2, height - 0.8, _AXIS, anchor="middle")
    name = "difference" if difference else weighting.unit
    scale = _Scale(colours, name, diverging, most)
    _draw_scale(drawing, left + side + 2.5, top, min(side, 30), scale)
    return ET.tostring(drawing, encoding="utf-8", xml_declaration=True)


def inline_svg(drawing: bytes) -> str:
    """A drawing for the middle of an HTML page."""
    return drawing.decode().partition("?>")[2]


def paper_grid(
    patterns: np.ndarray,
    names: Sequence[str],
    labels: Sequence[str],
    origin: str,
    weighting: Weighting = ATTENTION,
    most: float = 1,
    bidirectional: bool = False,
    sources: Sequence[str] | None = None,
) -> bytes:
    """Patterns [head, dest, src] as small pictures with their names, a scale and the tokens.

    SVG of a page's width; each picture has a pixel for each cell. Colours end at `most`. Where
    tokens attend to another text, `sources` are its tokens.
    """
    columns = max(1, round(len(names) ** 0.5 * 1.3))
    side = (PAGE - 3 - _SCALE) / columns - 2
    lines, text = _broken(origin, PAGE), _broken("  ".join(numbered(labels)), PAGE)
    if sources is not None:
        text = [*text, "attend to", *_broken("  ".join(numbered(sources)), PAGE)]
    top = 2.2 * _TITLE + len(lines) * 1.3 * _AXIS
    row = side + 2 * _AXIS
    below = top + -(-len(names) // columns) * row
    height = below + (len(text) + 1) * 1.3 * _AXIS
    drawing = _drawing(f"{weighting.quantity.name} of every head", lines, PAGE, height)
    for i, (pattern, name) in enumerate(zip(patterns, names, strict=True)):
        x, y = 1.5 + i % columns * (side + 2), top + i // columns * row
        picture = _element(
            drawing,
            "image",
            x=_mm(x),
            y=_mm(y),
            width=_mm(side),
            height=_mm(side),
            preserveAspectRatio="none",  # of two texts a cell is no square
            href=pattern_picture(pattern / most, LIGHT, weighting.signed, bidirectional),
        )
        picture.set("style", "image-rendering:pixelated")
        _text(drawing, name, x, y + side + _AXIS, _LABEL)
    colours = LIGHT.diverging if weighting.signed else LIGHT.sequential
    scale = _Scale(colours, weighting.unit, weighting.signed, most)
    _draw_scale(drawing, PAGE - _SCALE + 2, top, 30, scale)
    for i, line in enumerate(text):
        _text(drawing, line, 1.5, below + (i + 1) * 1.3 * _AXIS, _AXIS)
    return ET.tostring(drawing, encoding="utf-8", xml_declaration=True)


def paper_passport(
    pattern: np.ndarray, title: str, text: str, origin: str, code: np.ndarray | None = None
) -> bytes:
    """One head's pattern [dest, src] beside what is said of it, as SVG of a page's width.

    Args:
        pattern: Attention, 0 to 1.
        title: What is drawn.
        text: What is said of the head.
        origin: As for `paper_pattern`.
        code: Modules of a QR code, which stands at the right; true: black.
    """
    side = 40.0
    coded = 0.0 if code is None else _CODE + 4
    lines, said = _broken(origin, PAGE), _broken(text, PAGE - side - 4 - coded, _TITLE)
    top = 2.2 * _TITLE + max(len(lines), 1) * 1.3 * _AXIS
    height = top + max(side, len(said) * 1.5 * _TITLE) + 2
    drawing = _drawing(title, lines, PAGE, height)
    picture = _element(
        drawing,
        "image",
        x="1.5",
        y=_mm(top),
        width=_mm(side),
        height=_mm(side),
        href=pattern_picture(pattern, LIGHT),
    )
    picture.set("style", "image-rendering:pixelated")
    for i, line in enumerate(said):
        _text(drawing, line, side + 5, top + (i + 0.9) * 1.5 * _TITLE, _TITLE)
    if code is not None:
        _draw_code(drawing, code, PAGE - _CODE - 1.5, top)
    return ET.tostring(drawing, encoding="utf-8", xml_declaration=True)


def _draw_code(drawing: ET.Element, code: np.ndarray, left: float, top: float) -> None:
    module = _CODE / len(code)
    squares = "".join(f"M{x} {y}h1v1h-1z" for y, x in np.argwhere(code))
    path = _element(drawing, "path", d=squares, fill="#000")
    path.set("transform", f"translate({_mm(left)} {_mm(top)}) scale({module:.4f})")
    path.set("shape-rendering", "crispEdges")


def _broken(text: str, width: float, size: float = _AXIS) -> list[str]:
    """Text as lines that fit between the edges of a drawing, at the size of an axis's name."""
    plain = "".join(filter(str.isprintable, text))
    return textwrap.wrap(plain, max(20, int((width - 3) / (0.56 * size))))


def _drawing(title: str, lines: Sequence[str], width: float, height: float) -> ET.Element:
    """A white sheet of a size in millimetres, with a heading and the lines below it."""
    drawing = _element(
        None,
        "svg",
        xmlns=_SVG,
        width=f"{width:g}mm",
        height=f"{height:.2f}mm",
        viewBox=f"0 0 {width:g} {height:.2f}",
        font_family=_FONTS,
        role="img",
    )
    plain = "".join(filter(str.isprintable, title))
    _element(drawing, "title").text = ", ".join([plain, *lines])
    _element(drawing, "rect", width=_mm(width), height=_mm(height), fill="#fff")
    _text(drawing, plain, 1.5, _TITLE + 0.5, _TITLE, weight="bold")
    for i, line in enumerate(lines):
        _text(drawing, line, 1.5, 2 * _TITLE + 0.8 + i * 1.3 * _AXIS, _AXIS)
    return drawing


def _draw_cells(
    drawing: ET.Element,
    pattern: np.ndarray,
    corner: tuple[float, float],
    cell: float,
    colours: Sequence[str],
    diverging: bool,
    bidirectional: bool,
) -> None:
    n, (left, top) = len(pattern), corner
    cells = _element(drawing, "g", id="cells", shape_rendering="crispEdges")
    zero = colour_at(colours, 0.5 if diverging else 0)
    if bidirectional:
        outline = f"M{_mm(left)} {_mm(top)}H{_mm(left + n * cell)}V{_mm(top + n * cell)}"
    else:
        outline = _stairs(n, corner, cell)
    _element(cells, "path", d=f"{outline}H{_mm(left)}Z", fill=zero)
    for dest, src in zip(*np.nonzero(cells_seen(pattern.shape, bidirectional)), strict=True):
        value = float(pattern[dest, src])
        colour = colour_at(colours, (value + 1) / 2 if diverging else value)
        if colour != zero:
            _element(
                cells,
                "rect",
                x=_mm(left + src * cell),
                y=_mm(top + dest * cell),
                width=_mm(cell),
                height=_mm(cell),
                fill=colour,
            )


def _stairs(n: int, corner: tuple[float, float], cell: float) -> str:
    """The upper edge of a lower triangle, and its right side."""
    left, top = corner
    steps = " ".join(
        f"V{_mm(top + (i + 1) * cell)}H{_mm(left + (i + 2) * cell)}" for i in range(n - 1)
    )
    # Rows get longer downwards: the outline goes down the stairs and back along the left side.
    return f"M{_mm(left)} {_mm(top)}H{_mm(left + cell)}{steps}V{_mm(top + n * cell)}"


def _draw_scale(drawing: ET.Element, x: float, y: float, height: float, scale: _Scale) -> None:
    group = _element(drawing, "g", id="scale", shape_rendering="crispEdges")
    step, (low, high) = height / _STEPS, (-scale.most if scale.diverging else 0, scale.most)
    for i in range(_STEPS):
        fill = colour_at(scale.colours, 1 - i / (_STEPS - 1))
        _element(
            group, "rect", x=_mm(x), y=_mm(y + i * step), width="2", height=_mm(step), fill=fill
        )
    for share in (0, 0.5, 1):
        text = f"{low + share * (high - low):.3g}".replace("-", "−")
        _text(drawing, text, x + 2.8, y + (1 - share) * height + 0.35 * _LABEL, _LABEL)
    name_x, name_y = x + 9, y + height / 2
    turned = _text(drawing, scale.name, name_x, name_y, _AXIS, anchor="middle")
    turned.set("transform", f"rotate(-90 {_mm(name_x)} {_mm(name_y)})")


def _text(
    drawing: ET.Element,
    text: str,
    x: float,
    y: float,
    size: float,
    anchor: str = "start",
    weight: str = "normal",
) -> ET.Element:
    element = _element(
        drawing,
        "text",
        x=_mm(x),
        y=_mm(y),
        font_size=_mm(size),
        text_anchor=anchor,
        font_weight=weight,
        fill="#000",
    )
    element.text = text
    return element


def _element(parent: ET.Element | None, tag: str, **attributes: str) -> ET.Element:
    named = {key.replace("_", "-"): value for key, value in attributes.items()}
    return ET.Element(tag, named) if parent is None else ET.SubElement(parent, tag, named)


def _mm(length: float) -> str:
    return f"{length:.2f}".rstrip("0").rstrip(".")


def _width(text: str) -> float:
    """Room for a label, mm: rather too much, since fonts differ."""
    wide = sum(1.0 if unicodedata.east_asian_width(c) in "WF" else 0.6 for c in text)
    return wide * _LABEL
