"""Pictures of patterns for print: their cells, letters and sizes, and that no text in them acts."""

import base64
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from analysis.definitions import WEIGHTINGS
from app.frame.paper import COLUMN, PAGE, paper_grid, paper_passport, paper_pattern
from app.frame.standing import still_grid
from app.shell.share import qr_modules
from app.text import short_token
from app.theme import LIGHT
from tests.hostile import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"
POINT = 25.4 / 72


def drawn(n: int, labels: list[str] | None = None, **options) -> ET.Element:  # noqa: ANN003
    pattern = np.tril(np.full((n, n), 0.5, np.float32))
    return ET.fromstring(paper_pattern(pattern, labels or ["x"] * n, "L1H4", "Tiny", **options))


def texts(drawing: ET.Element) -> list[str]:
    return [element.text or "" for element in drawing.iter(f"{SVG}text")]


def cells(drawing: ET.Element) -> list[ET.Element]:
    group = next(g for g in drawing.iter(f"{SVG}g") if g.get("id") == "cells")
    return group.findall(f"{SVG}rect")


def test_every_cell_up_to_the_destination_is_drawn_in_its_colour():
    pattern = np.array([[1, 0, 0], [0.25, 0.75, 0], [0, 0, 1]], np.float32)
    found = cells(ET.fromstring(paper_pattern(pattern, ["a", "b", "c"], "L1H4", "Tiny")))
    # Cells of attention 0 have the colour of the triangle behind them.
    fills = [cell.get("fill") for cell in found]
    assert fills == [LIGHT.sequential[i] for i in (4, 1, 3, 4)]
    xs = [float(cell.get("x", "")) for cell in found]
    assert xs[0] == xs[1] < xs[2] < xs[3]


def test_a_difference_has_a_colour_for_either_sign():
    pattern = np.array([[0, 0], [-1, 1]], np.float32)
    drawing = ET.fromstring(paper_pattern(pattern, ["a", "b"], "B − A", "Tiny", diverging=True))
    assert [cell.get("fill") for cell in cells(drawing)] == [LIGHT.diverging[0], LIGHT.diverging[4]]
    assert {"−1", "0", "1", "difference"} <= set(texts(drawing))


def test_a_weighted_pattern_ends_its_scale_at_its_largest_size():
    pattern = np.array([[0, 0], [-4, 2]], np.float32)
    answer = WEIGHTINGS["answer"]
    drawing = ET.fromstring(paper_pattern(pattern, ["a", "b"], "L1H4", "Tiny", weighting=answer))
    fills = [cell.get("fill") for cell in cells(drawing)]
    assert fills == [LIGHT.diverging[0], LIGHT.diverging[3]]
    assert {"−4", "0", "4", "logits"} <= set(texts(drawing))
    value = WEIGHTINGS["value"]
    change = paper_pattern(pattern, ["a", "b"], "B − A", "Tiny", True, value)
    assert {"−4", "0", "4", "difference"} <= set(texts(ET.fromstring(change)))
    sheet = paper_grid(np.abs(pattern)[None], ["L1H4"], ["a", "b"], "Tiny", value, 4)
    assert {"0", "2", "4", "length"} <= set(texts(ET.fromstring(sheet)))
    page = still_grid(pattern[None], ["L1H4"], ["a", "b"], LIGHT, answer, 4)
    assert "Logits: -4 " in page
    assert ",".join(LIGHT.diverging) in page


@pytest.mark.parametrize(("tokens", "width"), [(20, COLUMN), (60, PAGE), (200, PAGE)])
def test_letters_have_the_size_of_print_and_do_not_touch(tokens, width):
    drawing = drawn(tokens)
    assert drawing.get("width") == f"{width:g}mm"
    assert drawing.get("viewBox", "").startswith(f"0 0 {width:g} ")
    sizes = {float(t.get("font-size", "")) / POINT for t in drawing.iter(f"{SVG}text")}
    assert min(sizes) > 5.9
    assert max(sizes) < 8.1
    rows = [t for t in drawing.iter(f"{SVG}text") if t.text == "x" and not t.get("transform")]
    assert (len(rows) == tokens) == (tokens <= 60)
    heights = [float(t.get("y", "")) for t in rows]
    assert min(np.diff(heights)) > 6 * POINT
    assert {"L1H4", "Tiny", "Destination (query)", "Source (key)", "attention"} <= set(
        texts(drawing)
    )


def test_hostile_tokens_are_text_and_nothing_comes_from_elsewhere():
    labels = [*HOSTILE, "\ufffe", "\ud800", "]]>", "<script>alert(1)</script>", " a", "a"][:60]
    n = len(labels)
    data = paper_pattern(np.eye(n, dtype=np.float32), labels, "L0H0 <b>\x00", "M & <i>")
    drawing = ET.fromstring(data)
    tags = {element.tag.removeprefix(SVG) for element in drawing.iter()}
    assert tags <= {"svg", "title", "rect", "g", "path", "text"}
    assert {short_token(label) for label in labels} <= set(texts(drawing))
    for element in drawing.iter():
        assert not [key for key in element.attrib if key.startswith("on") or "href" in key]
        assert not [value for value in element.attrib.values() if "url(" in value]
    assert re.findall("https?://[^\"' ]+", data.decode()) == ["http://www.w3.org/2000/svg"] or (
        any("http" in label for label in labels)
    )


def test_small_pictures_hold_their_pixels_and_escape_their_names():
    tokens = ["<i>", "b", "c"]
    page = still_grid(np.eye(3, dtype=np.float32)[None], ["<b>"], tokens, LIGHT)
    assert "<b>" not in page
    assert "<i>" not in page
    assert "0 &lt;i&gt;  1 b  2 c" in page
    (address,) = re.findall('src="([^"]*)"', page)
    assert address.startswith("data:image/png;base64,")
    assert base64.b64decode(address.partition(",")[2]).startswith(b"\x89PNG")


def test_the_grid_has_all_heads_their_scale_the_tokens_and_where_they_come_from():
    patterns = np.tril(np.full((6, 4, 4), 0.5, np.float32))
    names = [f"L0H{i}" for i in range(6)]
    origin = "Tiny · prompt “" + "a long prompt " * 20 + "” · numbers of 2026-01-31"
    drawing = ET.fromstring(paper_grid(patterns, names, ["<b>", "a", "b", "c"], origin))
    said = texts(drawing)
    assert set(names) | {"0", "0.5", "1", "attention"} <= set(said)
    assert "0 <b>  1 a  2 b  3 c" in said
    assert len([line for line in said if "a long prompt" in line]) > 1
    assert any("2026-01-31" in line for line in said)
    pictures = list(drawing.iter(f"{SVG}image"))
    assert len(pictures) == 6
    assert all(p.get("href", "").startswith("data:image/png;base64,") for p in pictures)


def test_a_passport_has_the_code_of_its_link() -> None:
    """Its black squares are the modules that another reading of the standard gives."""
    link = "http://127.0.0.1:8501/head?layer=1&head=4"
    modules = qr_modules(link)
    assert modules is not None
    drawing = ET.fromstring(
        paper_passport(np.eye(4, dtype=np.float32), "L1H4", "a head", "model", modules)
    )
    (path,) = [each for each in drawing.iter() if each.tag.endswith("path")]
    found = {(int(y), int(x)) for x, y in re.findall(r"M(\d+) (\d+)h", path.get("d") or "")}
    size = len(modules)
    assert found == {(y, x) for y in range(size) for x in range(size) if modules[y, x]}
    # The three corners that every reader looks for.
    for top, left in ((0, 0), (0, size - 7), (size - 7, 0)):
        assert modules[top, left : left + 7].all() and modules[top + 3, left + 3]
        assert not modules[top + 1, left + 1 : left + 6].any()
    assert qr_modules("http://127.0.0.1/" + "x" * 1000) is None
    assert b"<path" not in paper_passport(np.eye(4), "L1H4", "a head", "model")
