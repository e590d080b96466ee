"""Figures: the numbers drawn are the numbers given, and labels are text."""

import json

import numpy as np
import pytest

from analysis.head import Head
from app.components.chips import Chip, chips_html
from app.components.circuitsvis import MAX_CELLS, attention_heads, heads_that_fit, script
from app.figures import base as figures
from app.figures.heads import position_bars
from app.text import display_token
from app.theme import DARK, LIGHT
from tests.hostile import HOSTILE

PALETTES = pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])


@PALETTES
def test_a_head_map_has_one_point_to_click_for_every_cell(palette) -> None:  # noqa: ANN001
    values = np.arange(6.0).reshape(2, 3)
    heatmap, points = figures.head_map(values, palette, unit="nats", focus=Head(1, 2)).data
    np.testing.assert_array_equal(heatmap.z, values)
    assert [tuple(data) for data in points.customdata] == list(np.ndindex(2, 3))
    for (layer, head), x, y, text in zip(
        points.customdata, points.x, points.y, points.hovertext, strict=True
    ):
        assert (layer, head) == (y, x)
        assert text == f"<b>L{layer}H{head}</b><br>nats {values[layer, head]:.3f}"


def test_a_diverging_map_is_centred_on_zero() -> None:
    heatmap = figures.head_map(np.array([[-1.0, 3.0]]), LIGHT, unit="nats", diverging=True).data[0]
    assert (heatmap.zmin, heatmap.zmax) == (-3, 3)
    assert [place for place, colour in heatmap.colorscale if colour == LIGHT.diverging[2]] == [0.5]


def test_one_cell_that_towers_leaves_the_others_their_colours_and_the_bar_says_so() -> None:
    values = np.array([[8.5, 1.16], [-1.0, 0.2]])
    heatmap = figures.head_map(values, LIGHT, unit="nats", diverging=True).data[0]
    assert (heatmap.zmin, heatmap.zmax) == (-3, 3)
    assert heatmap.colorbar.title.text == "nats; colours end at 3"
    three = figures.head_map(np.array([[8.5, 8.0], [-7.0, 0.2]]), LIGHT, unit="nats").data[0]
    assert (three.zmax, three.colorbar.title.text) == (8.5, "nats")
    assert figures.colour_limit(np.array([[8.5, 0.0], [0.0, np.nan]])) == 8.5


def test_numbers_that_are_unknown_are_left_out_of_the_hover() -> None:
    details = {"sd": np.array([[np.nan, 0.5]]), "absent": None}
    points = figures.head_map(np.ones((1, 2)), LIGHT, unit="x", details=details).data[1]
    assert points.hovertext == ("<b>L0H0</b><br>x 1.000", "<b>L0H1</b><br>x 1.000<br>sd 0.500")


def test_a_map_of_nothing_known_can_be_drawn() -> None:
    figures.head_map(np.full((2, 2), np.nan), LIGHT, unit="x")


@PALETTES
def test_no_figure_holds_markup_from_tokens(palette) -> None:  # noqa: ANN001
    n = len(HOSTILE)
    pattern, line = np.eye(n), -np.ones((1, n - 1))
    drawn = [
        figures.pattern_map(pattern, HOSTILE, palette),
        figures.log_prob_line(line, HOSTILE, None, palette),
        figures.effect_line(line[0], HOSTILE, None, palette),
        figures.attribution_map(pattern, ["Direct"] * n, HOSTILE, HOSTILE, palette),
    ]
    for figure in drawn:
        text = figure.to_json()
        for tag in ("script", "img", "svg", "iframe"):
            assert f"<{tag}" not in text
            assert f"\\u003c{tag}" not in text


def test_the_means_of_both_halves_leave_out_the_entry_that_nothing_predicts() -> None:
    log_probs = np.zeros((2, 8))
    log_probs[:, :4], log_probs[:, 4] = -8, -100
    figure = figures.log_prob_line(log_probs, ["t"] * 9, 4, LIGHT)
    assert [trace.name for trace in figure.data[-2:]] == ["first half: -8.00", "second half: 0.00"]
    first, second = figure.layout.shapes
    assert (first.x0, first.x1, second.x0, second.x1) == (-0.5, 3.5, 4.5, 7.5)


def test_no_band_reaches_above_a_log_probability_of_0() -> None:
    log_probs = np.array([[-0.1, -8.0], [-0.1, -10.0], [-0.1, -9.0], [-4.1, -9.0]])
    mean, sd = log_probs.mean(0), log_probs.std(0)
    assert mean[0] + sd[0] > 0 > mean[1] + sd[1]
    band = figures.log_prob_line(log_probs, ["t"] * 3, None, LIGHT).data[0]
    np.testing.assert_allclose(band.y, [0, mean[1] + sd[1], *(mean - sd)[::-1]])


def test_a_pattern_is_as_wide_as_it_is_high() -> None:
    layout = figures.pattern_map(np.eye(3), ["a", "b", "c"], LIGHT).layout
    assert (layout.yaxis.scaleanchor, layout.yaxis.constrain) == ("x", "domain")
    assert layout.xaxis.constrain == "domain"


def test_equal_tokens_keep_their_own_rows() -> None:
    figure = figures.pattern_map(np.eye(3), ["a", "a", "a"], LIGHT)
    assert list(figure.layout.yaxis.tickvals) == [0, 1, 2]
    assert list(figure.layout.yaxis.ticktext) == ["a", "a", "a"]


def test_the_pattern_above_the_diagonal_is_empty() -> None:
    drawn = figures.pattern_map(np.full((3, 3), 0.5), ["a", "b", "c"], LIGHT).data[0].z
    assert np.isnan(drawn[np.triu_indices(3, 1)]).all()
    assert (drawn[np.tril_indices(3)] == 0.5).all()


def test_circuitsvis_gets_escaped_tokens_and_no_address() -> None:
    n = len(HOSTILE)
    pattern = np.eye(n)[None]
    html, _ = attention_heads(pattern, HOSTILE, HOSTILE[:1], dark=False)
    _, data = html.split('<script type="application/json" id="data">')
    data, after = data.split("</script>", 1)  # the element's own end
    assert json.loads(data)["properties"]["tokens"] == [display_token(text) for text in HOSTILE]
    assert "<" not in data
    assert after == f'<script type="module">{script()}</script></body></html>'
    assert "unpkg" not in html


def test_circuitsvis_is_the_same_page_for_the_same_view() -> None:
    """Another page would be rebuilt by Streamlit, and what the visitor locked would be lost."""
    pattern = np.eye(4)[None]
    first = attention_heads(pattern, list("abcd"), ["L0H0"], dark=False)
    assert attention_heads(pattern.copy(), list("abcd"), ["L0H0"], dark=False) == first
    assert attention_heads(pattern, list("abcd"), ["L0H1"], dark=False) != first
    assert attention_heads(pattern, list("abcd"), ["L0H0"], dark=True) != first


@pytest.mark.parametrize(("top", "digits"), [(1, 3), (0.02, 5), (30, 2)])
def test_circuitsvis_gets_weights_with_their_sign_and_ends_that_are_as_far_from_0(
    top: float, digits: int
) -> None:
    """It mixes each sign with white by its own end: alike sizes would look unlike."""
    weights = np.tril(np.random.default_rng(0).normal(size=(1, 3, 3))) * top
    html, _ = attention_heads(weights, list("abc"), ["L0H0"], dark=False, top=top)
    given = json.loads(html.split('id="data">')[1].split("</script>")[0])["properties"]
    assert (given["minValue"], given["maxValue"]) == (-top, top)
    assert np.array(given["attention"]) == pytest.approx(np.round(weights, digits), abs=1e-12)
    assert np.array(given["attention"]).min() < 0


def test_circuitsvis_refuses_tokens_that_are_not_those_of_the_pattern() -> None:
    with pytest.raises(ValueError, match="3 tokens"):
        attention_heads(np.eye(4)[None], list("abc"), ["L0H0"], dark=False)


@pytest.mark.parametrize("n_tokens", [5, 50, 100, 200, 512])
def test_circuitsvis_never_draws_more_than_it_can(n_tokens: int) -> None:
    heads = heads_that_fit(n_tokens)
    assert heads >= 1
    assert heads * min(n_tokens, 120) ** 2 <= MAX_CELLS


@PALETTES
def test_chips_hold_no_markup_from_tokens(palette) -> None:  # noqa: ANN001
    chips = [Chip(text, False, [(text, text)], text) for text in HOSTILE]
    html = chips_html(chips, palette)
    for tag in ("script", "img", "svg", "iframe", "b>"):
        assert f"<{tag}" not in html
    assert html.count('class="hs-chip"') == len(HOSTILE)


def test_bars_by_position_carry_tokens_as_far_as_there_is_room() -> None:
    values = np.linspace(-1, 1, 40)
    words = [f"word{i}" for i in range(41)]
    for figure in (
        figures.effect_line(values, words, None, LIGHT),
        position_bars(values, words[:40], words[1:], LIGHT),
    ):
        axis = figure.layout.xaxis
        assert list(axis.tickvals) == list(range(0, 40, 2))
        assert list(axis.ticktext) == [f"word{i}" for i in range(0, 40, 2)]
    # Several sequences have other tokens each.
    assert figures.effect_line(values, None, 20, LIGHT).layout.xaxis.tickvals is None
