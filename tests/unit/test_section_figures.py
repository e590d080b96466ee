"""Figures of the ablation, induction and attribution sections: what is drawn is what is given."""

import numpy as np
import pytest

from analysis.effects.ablation import PairAblation
from analysis.head import Head
from app.figures.ablation import (
    effect_map,
    estimate_scatter,
    excess_map,
    offset_map,
    pair_bars,
    signed,
)
from app.figures.induction import distance_bars, resting_bars
from app.figures.lens import lens_map
from app.theme import DARK, LIGHT
from tests.hostile import HOSTILE

PALETTES = pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])


@PALETTES
def test_distances_are_coloured_by_each_heads_own_loss(palette) -> None:  # noqa: ANN001
    """8 nats beside 0.5: in nats the second head's row would be all of one colour."""
    values = np.array([[8.0, 0.5, 0.001], [0.0, 0.25, 0.002], [9.0, -0.1, 0.0]])
    heatmap, numbers = offset_map(values, [(), (1,), (0, 2)], 3, palette).data
    np.testing.assert_allclose(heatmap.z[:, 0], [1, 0, 1])
    np.testing.assert_allclose(heatmap.z[:, 1], [1, 0.5, 0])
    assert np.isnan(heatmap.z[:, 2]).all()  # it loses nothing, so it has no share of it
    assert numbers.text == (*("+8.00", "+0.50", "0", "0", "+0.25", "0", "+9.00", "-0.10", "0"),)
    assert "L3H1</b>, distances kept: 0, 2<br>loss -0.100" in numbers.hovertext[7]


@PALETTES
def test_an_estimate_is_marked_until_the_exact_value_is_known(palette) -> None:  # noqa: ANN001
    estimate = np.array([[1.0, 2.0], [3.0, 4.0]])
    exact = np.array([[np.nan, 0.5], [np.nan, np.nan]])
    figure = effect_map(estimate, exact, palette, focus=Head(1, 0))
    heatmap, targets, rings = figure.data
    np.testing.assert_array_equal(heatmap.z, [[1, 0.5], [3, 4]])
    assert [list(row) for row in heatmap.text] == [
        ["≈+1.00", "+0.50"],
        ["≈+3.00", "≈+4.00"],
    ]
    assert [(round(x), round(y)) for x, y in zip(rings.x, rings.y, strict=True)] == [
        (0, 0),
        (0, 1),
        (1, 1),
    ]
    assert rings.showlegend
    assert "exact" not in targets.hovertext[0]
    assert "exact 0.500<br>estimate 2.000" in targets.hovertext[1]
    done = effect_map(estimate, estimate, palette)
    assert not done.data[2].showlegend
    many = effect_map(np.ones((2, 20)), np.full((2, 20), np.nan), palette)
    assert many.data[0].text is None
    assert len(many.data[2].x) == 40  # no room for numbers: the rings alone say it


def test_the_scatter_holds_exact_heads_only_and_the_line_where_both_are_the_same() -> None:
    estimate, exact = np.array([[1.0, -2.0, 0.0]]), np.array([[3.0, 0.5, np.nan]])
    dots, line = estimate_scatter(estimate, exact, LIGHT).data
    assert [list(head) for head in dots.customdata] == [[0, 0], [0, 1]]
    assert (list(dots.x), list(dots.y)) == ([1, -2], [3, 0.5])
    assert list(line.x) == list(line.y) == [-2, 3]


@PALETTES
def test_a_cell_of_the_excess_carries_its_pair(palette) -> None:  # noqa: ANN001
    found = PairAblation(
        (Head(0, 1), Head(1, 2)),
        alone=np.array([1.0, 2.0], np.float32),
        together=np.array([[1.0, 3.5], [3.5, 2.0]], np.float32),
        clean_loss=0.1,
        method="zero",
    )
    heatmap, targets = excess_map(found, palette).data
    assert [list(row) for row in heatmap.text] == [["", "+0.50"], ["+0.50", ""]]
    assert [list(place) for place in targets.customdata] == [[0], [1], [2], [3]]
    assert "L0H1 and L1H2</b><br>together +3.500 nats" in targets.hovertext[1]
    assert targets.hovertext[3] == "<b>L1H2</b> alone +2.000 nats"


def test_what_rounds_to_nothing_has_no_minus() -> None:
    assert [signed(value) for value in (-0.001, 0.0, -0.02)] == ["+0.00", "+0.00", "-0.02"]


@PALETTES
def test_a_pair_bar_is_what_is_left_of_the_heads_effect(palette) -> None:  # noqa: ANN001
    heads = [Head(0, 3), Head(1, 2)]
    (bars,) = pair_bars(np.array([0.5, 2.0]), np.array([-0.25, 3.0]), heads, palette).data
    np.testing.assert_allclose(bars.y, [-0.5, 1.5])
    assert [list(head) for head in bars.customdata] == [[0, 3], [1, 2]]
    assert bars.marker.color[0] == palette.accent != bars.marker.color[1]


def test_the_induction_distance_is_marked() -> None:
    figure = distance_bars(np.arange(12.0), 5, LIGHT)
    assert [(note.text, note.x) for note in figure.layout.annotations] == [("S-1", 4), ("S", 5)]
    colours = figure.data[0].marker.color
    assert [i for i, colour in enumerate(colours) if colour == LIGHT.accent] == [4]
    assert not distance_bars(np.arange(12.0), None, LIGHT).layout.annotations


def test_resting_bars_stand_in_the_order_of_the_heads() -> None:
    figure = resting_bars(
        np.array([0.9, 0.8]), np.array([0.1, 0.2]), [Head(1, 2), Head(1, 0)], DARK
    )
    assert [trace.name for trace in figure.data] == ["random half", "repeated half"]
    assert figure.data[1].x == ("L1H2", "L1H0")
    np.testing.assert_array_equal(figure.data[1].y, [0.1, 0.2])


@PALETTES
def test_the_lens_ticks_what_came_and_holds_no_markup(palette) -> None:  # noqa: ANN001
    at = HOSTILE
    n = len(at)
    # The second depth knows what comes next; the first says the same everywhere.
    guesses = [[[at[0], at[1]]] * n, [[token, at[0]] for token in [*at[1:], "end"]]]
    probabilities = np.tile([0.6, 0.1], (2, n, 1))
    ends = np.array([[0.01] * n, [0.6] * n])
    figure = lens_map(ends, probabilities, guesses, ["Embedding", "L0"], at, palette)
    heatmap, cells = figure.data
    np.testing.assert_array_equal(heatmap.z, ends.T)  # not how sure each depth is of its own guess
    plain = [text.removeprefix("<b>") for text in cells.text]
    assert all(text.startswith("<b>") for text in cells.text[1::2])  # it ends with these
    assert not cells.text[2].startswith("<b>")
    ticked = [text.startswith("✓") for text in plain]
    assert ticked[1::2] == [True] * (n - 1) + [False]  # nothing is known to follow the last one
    assert "60.0%" in cells.hovertext[0]
    assert "The model ends with" in cells.hovertext[0]
    assert cells.hovertext[0].endswith("1.0% here")
    text = figure.to_json()
    for tag in ("script", "img", "svg", "iframe"):
        assert f"<{tag}" not in text
        assert f"\\u003c{tag}" not in text
