"""Figures of the ablation, induction and attribution sections: what is drawn is what is given."""

import numpy as np
import pytest

from analysis.heads import Head
from app.ablation_figures import offset_map, pair_bars, signed
from app.induction_figures import distance_bars, resting_bars
from app.lens_figures import lens_map
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
    figure = lens_map(probabilities, guesses, ["Embedding", "L0"], at, palette)
    heatmap, cells = figure.data
    assert heatmap.z.shape == (n, 2)
    ticked = [text.startswith("✓") for text in cells.text]
    assert ticked[1::2] == [True] * (n - 1) + [False]  # nothing is known to follow the last one
    assert "60.0%" in cells.hovertext[0]
    text = figure.to_json()
    for tag in ("script", "img", "svg", "iframe"):
        assert f"<{tag}" not in text
        assert f"\\u003c{tag}" not in text
