"""Files that a person takes along: their numbers, and that no text in them does anything."""

import csv
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import plotly.graph_objects as go
import pytest

from analysis.definitions import PATTERN
from analysis.head import Head
from app.figures import base as figures
from app.frame.export import (
    About,
    Exhibit,
    exhibit_files,
    figure_body,
    figure_table,
    file_name,
    framed_body,
    pattern_table,
    record_table,
    to_csv,
    to_json,
)
from app.text import display_token, plain_cell
from app.theme import DARK, LIGHT
from tests.hostile import HOSTILE
from tests.views import subject

LABELS = ["<b>", " a$b$", "=1+1"]
PATTERN_OF_3 = np.array([[1, 0, 0], [0.25, 0.75, 0], [0.2, 0.3, 0.5]], np.float32)
ABOUT = About(subject(head=Head(1, 4)), "Title", "Reading", (PATTERN,), "2026-01-31")


def read_csv(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))


def test_a_figure_gives_its_cells_with_the_tokens_as_they_are_and_none_ahead():
    header, *rows = read_csv(to_csv(figure_table(figures.pattern_map(PATTERN_OF_3, LABELS, LIGHT))))
    assert header == ["series", "Destination (query)", "Source (key)", "attention", "text"]
    assert [(int(y), int(x), float(value)) for _, y, x, value, _ in rows] == [
        (0, 0, 1), (1, 0, 0.25), (1, 1, 0.75), (2, 0, 0.2), (2, 1, 0.3), (2, 2, 0.5)
    ]  # fmt: skip
    assert rows[3][-1] == "2 =1+1; 0 <b>"
    assert rows[4][-1] == "2 =1+1; 1 ·a$b$"


def test_points_that_only_take_clicks_are_no_data():
    values = np.array([[0.1, np.nan], [0.3, 0.4]], np.float32)
    rows = read_csv(to_csv(figure_table(figures.head_map(values, DARK, unit="score"))))[1:]
    assert [float(row[3]) for row in rows] == [0.1, 0.3, 0.4]


def test_bars_and_lines_are_rows_too():
    figure = go.Figure(go.Bar(x=["L0", "L1"], y=[1.5, -2], name="bars"))
    figure.add_scatter(x=[0, 1], y=[np.nan, 3], name="line")
    table = figure_table(figure)
    assert [row[:3] for row in table.rows()] == [
        ("bars", 1.5, "L0"), ("bars", -2, "L1"), ("line", None, 0), ("line", 3, 1)
    ]  # fmt: skip


def test_json_says_what_the_numbers_are():
    table = pattern_table(PATTERN_OF_3[None], ["L1H4"], LABELS)
    document = json.loads(to_json(table, ABOUT))
    assert document["quantities"][0]["formula"] == PATTERN.formula
    assert document["model"] == "Attention-only, 2 layers"
    assert document["input"] == "prompt “The cat sat.”"
    assert document["view"] == {"prompt": "The cat sat."}
    assert (document["about"], document["date"]) == ("L1H4", "2026-01-31")
    assert document["rows"][2] == ["L1H4", "1 ·a$b$", "1 ·a$b$", 0.75]


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+a", "-a", "@a", "\t=1", "\r=1", "\n=1", " =1", "\u00a0=1", "\u3000@a"]
    # Full-width, small and raised signs; the minus of mathematics.
    + ["\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20a", "\ufe661", "\u207a1", "\u22121"]
    # What shows as nothing: a zero-width space, a byte order mark, controls of direction.
    + ["\u200b=1", "\ufeff=1", "\u202e=1", "\u2066\u200d =1", "\x00=1", "\x1f\uff1d1"]
    # Fillers, the blank of braille and selectors, which are letters, a symbol and marks.
    + ["\u3164=1", "\uffa0+1", "\u2800=1", "\ufe0f@a", "\u115f\u034f=1", "\U000e0100=1"],
)
def test_no_cell_of_a_csv_file_is_a_formula(text):
    assert plain_cell(text) == f"'{text}"
    assert f"'{text}".encode() in to_csv(record_table([{"token": text}]))


@pytest.mark.parametrize("text", ["", "a=1", "1-2", "L0H1", " a", "\u200b", "·=", "日本"])
def test_other_cells_are_as_they_were(text):
    assert plain_cell(text) == text


@pytest.mark.parametrize(
    ("about", "what", "name"),
    [
        ({"head": Head(1, 4)}, "pattern", "L1H4-pattern-attn-only-2l"),
        ({"head": Head(1, 4)}, "L1H4 pattern", "L1H4-pattern-attn-only-2l"),
        ({"layer": 2, "neuron": 17}, "activation", "L2N17-activation-attn-only-2l"),
        ({"head": Head(1, 4), "writer": Head(0, 0)}, "x", "L0H0-L1H4-x-attn-only-2l"),
        ({"heads": (Head(0, 1), Head(1, 2))}, "copying", "L0H1-L1H2-copying-attn-only-2l"),
        ({}, "../../etc/passwd\0", "etc-passwd-attn-only-2l"),
        ({}, "日本 \u202e", "attn-only-2l"),
    ],
)
def test_file_names_begin_with_what_they_are_about_and_are_plain(about, what, name):
    assert file_name(subject(**about), what) == name


class _Parts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag, attrs):  # noqa: ANN001
        self.tags.append(tag)
        values = dict(attrs)
        self.outside += [v for k, v in values.items() if k.startswith("on") or k == "src"]
        if tag == "link":
            self.outside.append(values.get("href"))


def test_a_standalone_page_holds_hostile_text_as_text_and_loads_nothing():
    labels = [*HOSTILE, "</script><script>alert(1)</script>"]
    figure = figures.pattern_map(np.eye(len(labels), dtype=np.float32), labels, DARK)
    title = " ".join(map(display_token, labels))
    about = About(subject(title), title, title, (PATTERN,), "2026-01-31")
    exhibit = Exhibit(
        "x",
        lambda: figure_table(figure),
        page=lambda name: figure_body(figure, DARK, name),
        chart="a chart of Plotly's",
    )
    page = exhibit_files(exhibit, about, DARK, "name", "http://here/?a=1&b=2")["HTML"]().decode()
    # Plotly's own text is long; what stands around it is ours.
    ours = re.sub(r"<script[^>]*>/\*\*.*?</script>", "", page, count=1, flags=re.S)
    assert len(ours) < 400_000
    parts = _Parts()
    parts.feed(ours)
    plain = About(subject("t"), "t", "t", (PATTERN,), "2026-01-31")
    reference = _Parts()
    simple = figures.pattern_map(np.eye(2, dtype=np.float32), ["a", "b"], DARK)
    harmless = Exhibit("x", exhibit.table, page=lambda name: figure_body(simple, DARK, name))
    text = exhibit_files(harmless, plain, DARK, "name", "/")["HTML"]().decode()
    reference.feed(re.sub(r"<script[^>]*>/\*\*.*?</script>", "", text, count=1, flags=re.S))
    assert parts.tags == reference.tags
    assert parts.outside == []


def test_a_page_inside_another_is_cut_off_from_it():
    parts = _Parts()
    parts.feed(framed_body('<script>alert("x")</script>', 100))
    assert parts.tags == ["iframe"]


def test_a_table_of_more_rows_than_a_file_takes_is_refused_with_its_size():
    """144 heads of 120 tokens were cut at the millionth row, in the middle of a head."""
    patterns = np.zeros((144, 120, 120), np.float32)
    labels, names = ["a"] * 120, [f"L{i // 12}H{i % 12}" for i in range(144)]
    table = pattern_table(patterns, names, labels)
    assert table.count == 144 * 120 * 121 // 2
    assert "1,045,440 rows" in table.too_long
    files = exhibit_files(Exhibit("grid", lambda: table), ABOUT, LIGHT, "name", "/")
    assert not files.keys() & {"CSV", "JSON"}
    short = pattern_table(patterns[:2, :3, :3], names[:2], labels[:3])
    assert (short.count, short.too_long) == (12, "")
    assert len(list(short.rows())) == 12
