"""Figures of circuits and of pairs of heads: what is drawn, and what a click carries."""

import numpy as np
import pytest
from plotly.colors import hex_to_rgb, unlabel_rgb

from analysis.head import Head
from app.figures import circuits as circuit_figures
from app.figures import composition as composition_figures
from app.figures import graph as graph_figures
from app.theme import DARK, LIGHT
from tests.hostile import HOSTILE

PALETTES = pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])


def scores(n_layers: int = 3, n_heads: int = 2) -> np.ndarray:
    """A different score for every pair that can compose, NaN for the others."""
    shape = (n_layers, n_heads, n_layers, n_heads)
    values = np.linspace(0.05, 0.2, int(np.prod(shape))).reshape(shape)
    writer, reader = np.indices(shape)[0], np.indices(shape)[2]
    return np.where(writer < reader, values, np.nan)


def test_a_cell_of_the_pair_map_carries_its_own_pair() -> None:
    values = scores()
    figure, left_out = composition_figures.pair_map(
        values, (0.1, 0.01), LIGHT, (Head(0, 1), Head(2, 0))
    )
    heatmap, points = figure.data
    assert left_out == 0
    assert len(points.customdata) == 12  # of 3 layers x 2 heads: 4 + 4 + 4 pairs
    for pair, x, y, text in zip(
        points.customdata, points.x, points.y, points.hovertext, strict=True
    ):
        writer, reader = Head(*pair[:2]), Head(*pair[2:])
        assert figure.layout.yaxis.ticktext[y] == writer.label
        assert figure.layout.xaxis.ticktext[x] == reader.label
        assert heatmap.z[y][x] == values[tuple(pair)]
        assert f"{writer.label} to {reader.label}" in text
    outline = figure.layout.shapes[0]
    assert (outline.x0 + 0.5, outline.y0 + 0.5) == (2, 1)


def test_the_middle_colour_lies_at_the_random_mean() -> None:
    scale = composition_figures.centred_scale(LIGHT.diverging, 0.02, 0.0625, 0.162)
    places = dict(scale)
    middle = (0.0625 - 0.02) / (0.162 - 0.02)
    nearest = min(places, key=lambda place: abs(place - middle))
    assert nearest == pytest.approx(middle)
    quiet = hex_to_rgb(LIGHT.diverging[len(LIGHT.diverging) // 2])
    assert unlabel_rgb(places[nearest]) == quiet
    assert [place for place, _ in scale] == sorted(places)
    assert (scale[0][0], scale[-1][0]) == (0, 1)
    # Both arms keep the same pace: the longer one ends in its last colour, the shorter does not.
    dark_blue, dark_red = "rgb(18,63,140)", "rgb(166,30,30)"
    assert scale[-1][1].replace(" ", "") == dark_blue
    assert scale[0][1].replace(" ", "") != dark_red


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.1), (0.2, 0.3), (0.01, 0.05)])
def test_a_scale_with_its_middle_at_the_edge_can_be_drawn(low: float, high: float) -> None:
    scale = composition_figures.centred_scale(LIGHT.diverging, low, 0.1, high)
    assert [place for place, _ in scale] == sorted({place for place, _ in scale})


def test_many_heads_are_cut_to_those_that_stand_out() -> None:
    values = np.full((12, 12, 12, 12), np.nan)
    writer, reader = np.indices(values.shape)[0], np.indices(values.shape)[2]
    values[writer < reader] = 0.1
    values[3, 7, 9, 11] = 0.9
    figure, left_out = composition_figures.pair_map(
        values, (0.1, 0.01), LIGHT, (Head(3, 7), Head(9, 11))
    )
    most = composition_figures.MAX_ROWS
    assert left_out == 2 * (11 * 12 - most)
    assert np.nanmax(np.array(figure.data[0].z, float)) == 0.9
    assert "L3H7" in figure.layout.yaxis.ticktext
    assert len(figure.layout.xaxis.ticktext) == most
    assert figure.layout.height < 1200


def test_every_pair_is_reached_layer_by_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composition_figures, "MAX_ROWS", 2)
    values, chosen = scores(5, 2), (Head(0, 0), Head(1, 0))
    reached = set()
    for writer in range(4):
        for reader in range(writer + 1, 5):
            figure, left_out = composition_figures.pair_map(
                values, (0.1, 0.01), LIGHT, chosen, (writer, reader)
            )
            assert left_out == 0
            reached |= {tuple(map(int, pair)) for pair in figure.data[1].customdata}
    assert reached == set(map(tuple, np.argwhere(~np.isnan(values)).tolist()))
    figure, left_out = composition_figures.pair_map(values, (0.1, 0.01), LIGHT, chosen, (None, 2))
    assert figure.layout.xaxis.ticktext == ("L2H0", "L2H1")
    assert left_out == 6  # of 8 writers 2 are drawn


def test_nodes_and_edges_of_the_graph_carry_what_a_click_needs() -> None:
    pairs = [(Head(0, 0), Head(1, 1), 0.2), (Head(0, 1), Head(2, 0), 0.1)]
    links = composition_figures.composition_links(pairs, (0.05, 0.01), LIGHT, pairs[0][:2])
    figure = graph_figures.head_graph(links, (3, 2), LIGHT, pairs[0][:2])
    edges, nodes = figure.data[-2:]
    assert {tuple(data) for data in edges.customdata} == {(0, 0, 1, 1), (0, 1, 2, 0)}
    assert [tuple(data) for data in nodes.customdata] == list(np.ndindex(3, 2))
    assert list(zip(nodes.y, nodes.x, strict=True)) == list(np.ndindex(3, 2))
    assert nodes.text == ("L0H0", "L0H1", "", "L1H1", "L2H0", "")
    # The stronger pair has the thicker line.
    assert figure.data[0].line.width > figure.data[1].line.width
    # An edge over a layer is bent around the head that stands in its way.
    middle = len(figure.data[1].x) // 2
    assert figure.data[1].x[middle] != pytest.approx(0.5)


def test_the_baseline_figure_counts_every_draw_and_every_pair() -> None:
    sample = np.random.default_rng(0).normal(0.06, 0.001, 300)
    pairs = [(Head(0, 0), Head(1, 1), 0.2)]
    figure = composition_figures.baseline_figure(
        sample, 0.0625, {"Q": pairs, "K": pairs * 2, "V": []}, LIGHT
    )
    assert sum(figure.data[0].y) == 300
    assert [len(dots.x) for dots in figure.data[1:]] == [1, 2, 0]
    assert tuple(figure.data[1].customdata[0]) == (0, 0, 1, 1)


def test_a_cell_of_the_component_map_carries_both_components() -> None:
    stds = np.arange(9.0).reshape(3, 3)
    figure, left_out = composition_figures.component_map(stds, ["a", "b", "c"], (2, 1), LIGHT)
    assert left_out == 0
    points = figure.data[1]
    assert [tuple(data) for data in points.customdata] == list(np.ndindex(3, 3))
    assert "query from <b>c</b><br>key from <b>b</b><br>sd 7.000" in points.hovertext[7]
    assert (figure.layout.shapes[0].y0, figure.layout.shapes[0].x0) == (1.5, 0.5)


def test_components_that_are_left_out_do_not_shift_the_others() -> None:
    n = composition_figures.MAX_ROWS + 5
    stds = np.zeros((n, n))
    stds[n - 1, 2] = 1
    names = [f"part {i}" for i in range(n)]
    figure, left_out = composition_figures.component_map(stds, names, (n - 1, 2), LIGHT)
    assert left_out == 5
    at = int(np.array(figure.data[0].z, float).argmax())
    assert tuple(figure.data[1].customdata[at]) == (n - 1, 2)


def test_bars_are_red_where_the_target_needs_the_head() -> None:
    figure = composition_figures.change_bars(np.array([-0.8, 0.1]), ["L0H0", "L0H1"], LIGHT)
    assert figure.data[0].marker.color == (LIGHT.diverging[1], LIGHT.diverging[3])
    assert figure.layout.yaxis.range[0] < -0.8


def test_a_positional_pattern_is_cut_and_empty_above_the_diagonal() -> None:
    n = circuit_figures.MAX_POSITIONS + 20
    pattern = np.tri(n) / np.arange(1, n + 1)[:, None]
    z = np.array(circuit_figures.position_map(pattern, LIGHT).data[0].z, float)
    assert z.shape == (circuit_figures.MAX_POSITIONS,) * 2
    assert np.isnan(z[np.triu_indices(len(z), 1)]).all()
    np.testing.assert_array_equal(np.tril(z)[5, :6], pattern[5, :6])


def test_the_ov_map_keeps_rows_as_sources_and_names_equal_tokens_apart() -> None:
    values = np.array([[1.0, -2.0], [3.0, 4.0]])
    heatmap = circuit_figures.ov_map(values, np.array([5, 9]), ["a", "a"], LIGHT).data[0]
    np.testing.assert_array_equal(heatmap.z, values)
    assert heatmap.x == heatmap.y == ("“a” (id 5)", "“a” (id 9)")
    assert (heatmap.zmin, heatmap.zmax) == (-4, 4)


def test_eigenvalues_are_drawn_where_they_lie() -> None:
    values = np.array([3 + 4j, 3 - 4j])
    figure = circuit_figures.eigenvalue_plane(values, LIGHT)
    assert list(figure.data[0].x) == [3, 3]
    assert list(figure.data[0].y) == [4, -4]
    assert figure.layout.xaxis.range == figure.layout.yaxis.range == (-5.5, 5.5)
    assert figure.layout.yaxis.scaleanchor == "x"


@PALETTES
def test_no_figure_of_circuits_holds_markup_from_tokens(palette) -> None:  # noqa: ANN001
    n = len(HOSTILE)
    drawn = [
        circuit_figures.ov_map(np.eye(n), np.arange(n), HOSTILE, palette),
        composition_figures.norm_map(np.ones((2, n)), ["a", "b"], HOSTILE, palette, 1.0),
    ]
    for figure in drawn:
        text = figure.to_json()
        for tag in ("script", "img", "svg", "iframe"):
            assert f"<{tag}" not in text
            assert f"\\u003c{tag}" not in text


@pytest.mark.parametrize(("n_layers", "least", "most"), [(2, 340, 400), (30, 900, 1100)])
def test_the_graph_of_many_layers_still_fits_a_screen(n_layers, least, most) -> None:
    pairs = [(Head(0, 3), Head(n_layers - 1, 3), 0.5)]
    links = composition_figures.composition_links(pairs, (0.1, 0.01), LIGHT, pairs[0][:2])
    figure = graph_figures.head_graph(links, (n_layers, 4), LIGHT)
    assert least <= figure.layout.height <= most
    low, high = figure.layout.xaxis.range
    assert all(low <= across <= high for trace in figure.data for across in trace.x)
