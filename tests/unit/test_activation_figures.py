"""Figures of activations, and neurons in CircuitsVis: what is drawn is what was asked for."""

import json
import re

import numpy as np
import pytest

from analysis.activations import hook_points
from app.components.circuitsvis import COLUMNS, TOP_TOKENS, text_neuron_activations, topk_tokens
from app.figures.activations import architecture, slice_map, token_bars
from app.theme import DARK, LIGHT
from tests.architectures import tiny
from tests.hostile import HOSTILE

NEURONS = [17, 3, 99, 4, 8, 21]


def properties(page: str) -> dict:
    """What the page hands to CircuitsVis."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert found
    return json.loads(found[1])["properties"]


@pytest.mark.parametrize("name", ["native", "native-LN-MLP", "neox", "llama", "shortformer"])
@pytest.mark.parametrize("layer", [0, 1])
def test_the_picture_has_every_hook_point_and_a_click_gives_its_place(
    name: str, layer: int
) -> None:
    model = tiny(name)
    points = [point for point in hook_points(model) if point.layer in (None, layer)]
    names = [point.short_name for point in points]
    meanings = {point.short_name: point.meaning for point in points}
    figure = architecture(meanings, "pattern", layer, 2, DARK)
    dots = figure.data[-1]
    assert [re.sub("</?b>", "", text) for text in dots.text] == names
    assert [row[0] for row in dots.customdata] == list(range(len(names)))
    assert len(set(zip(dots.x, dots.y, strict=True))) == len(names)
    chosen = names.index("pattern")
    assert dots.marker.color[chosen] == DARK.accent
    assert dots.marker.color.count(DARK.accent) == 1
    # Every point hangs together with the others.
    ends = {end for line in figure.data[:-1] for end in zip(line.x, line.y, strict=True)}
    on_stream = {(0, y) for x, y in zip(dots.x, dots.y, strict=True) if x == 0}
    assert set(zip(dots.x, dots.y, strict=True)) <= ends | on_stream


def test_a_slice_keeps_its_numbers_and_its_rows_apart() -> None:
    values = np.arange(6, dtype=np.float32).reshape(3, 2) - 2
    figure = slice_map(values, ["a", "a", "<b>"], ["0", "1"], "neuron", LIGHT)
    np.testing.assert_array_equal(figure.data[0].z, values)
    assert list(figure.data[0].y) == ["0 a", "1 a", "2 &lt;b&gt;"]
    assert figure.data[0].zmin == -figure.data[0].zmax


def test_one_huge_value_does_not_pale_the_others() -> None:
    values = np.ones((20, 20), np.float32)
    values[0, 0] = 1000
    figure = slice_map(values, ["a"] * 20, list(map(str, range(20))), "neuron", LIGHT)
    assert figure.data[0].zmax == pytest.approx(1)


def test_bars_name_tokens_as_text() -> None:
    figure = token_bars(np.zeros(len(HOSTILE)), HOSTILE, LIGHT, "activation")
    assert not [text for text in figure.data[0].customdata if "<" in text]


def test_circuitsvis_gets_the_neurons_asked_for_with_their_numbers() -> None:
    values = np.arange(12, dtype=np.float32).reshape(2, 6) / 8
    page = text_neuron_activations(values, [" a", "b"], 3, NEURONS, dark=False)
    given = properties(page)
    assert given["tokens"] == ["·a", "b"]
    assert given["firstDimensionLabels"] == ["3"]
    assert given["secondDimensionLabels"] == [str(neuron) for neuron in NEURONS]
    np.testing.assert_allclose(np.array(given["activations"])[:, 0], values, atol=5e-4)


def test_circuitsvis_ranks_the_tokens_of_each_neuron() -> None:
    values = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    page = topk_tokens(values, list("abcdefghijklmnopqrst"), 3, NEURONS, dark=False)
    given = properties(page)
    order = np.argsort(-values[:, :COLUMNS], axis=0)
    np.testing.assert_array_equal(given["topkIdxs"][0][0], order[:TOP_TOKENS])
    np.testing.assert_array_equal(given["bottomkIdxs"][0][0], order[-TOP_TOKENS:])
    share = np.take_along_axis(values[:, :COLUMNS], order, 0) / values[:, :COLUMNS].max()
    np.testing.assert_allclose(given["topkVals"][0][0], share[:TOP_TOKENS], atol=5e-4)
    for i, neuron in enumerate(NEURONS[:COLUMNS]):
        assert f'nth-child({i + 2})::after{{content:"{neuron}"}}' in page


@pytest.mark.parametrize("draw", [text_neuron_activations, topk_tokens])
def test_tokens_cannot_become_markup_in_circuitsvis(draw) -> None:  # noqa: ANN001
    page = draw(np.zeros((len(HOSTILE), 1), np.float32), HOSTILE, 0, [5], dark=True)
    tokens = properties(page)["tokens"]
    tokens = tokens[0] if isinstance(tokens[0], list) else tokens
    assert len(tokens) == len(HOSTILE)
    assert not [token for token in tokens if re.search("[<&](?!\u2060)", token)]
    with pytest.raises(ValueError, match="does not fit"):
        draw(np.zeros((2, 1), np.float32), ["a"], 0, [5], dark=True)
