"""Figures of patching and of found circuits: what is drawn, and what a click carries."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.effects.edges import Edge, EdgeAttribution, Reader, edge_attribution
from analysis.effects.patching import activation_patching, attribution_patching, prompt_pair
from analysis.head import Head
from analysis.runs.inputs import Tokens, repeated_tokens
from app.figures import patching as patching_figures
from app.figures.graph import head_graph
from app.figures.patching import BY_HEAD, BY_POSITION, NO_HEAD, restored
from app.theme import DARK, LIGHT
from tests.architectures import tiny
from tests.hostile import HOSTILE

LOGITS = Reader(-1, -1, "logits")


@pytest.fixture(scope="module")
def grouped():
    """Estimates on a model whose query heads share keys and values: 4 heads, 2 of them."""
    model = tiny("llama")
    rows = np.array([[0, 41, 52, 63, 41, 7], [0, 41, 99, 63, 41, 7]])
    labels = tuple(map(str, rows[0]))
    clean, corrupt = (Tokens(row[None], (labels,), None, has_bos=False) for row in rows)
    pair = prompt_pair(model, clean, corrupt, 11, 12)
    return model, pair, attribution_patching(model, pair)


def test_shared_keys_and_values_have_columns_of_their_own(grouped):
    model, _, maps = grouped
    keys = patching_figures.columns_of(maps["k"], (), model.n_heads)
    assert keys.title == "Key/value head"
    assert keys.names == ["KV0 (H0–H1)", "KV1 (H2–H3)"]
    assert keys.heads(2, 1) == (Head(2, 2), Head(2, 3))
    assert keys.cell(2, 1) == "L2KV1 (H2–H3)"
    queries = patching_figures.columns_of(maps["q"], (), model.n_heads)
    assert queries.cell(1, 3) == "L1H3"
    assert queries.heads(1, 3) == (Head(1, 3),)
    positions = patching_figures.columns_of(maps["resid_pre"], ["a", " b"], model.n_heads)
    assert positions.cell(1, 1) == "layer 1, position 1 “·b”"
    assert positions.heads(1, 1) == ()


@pytest.mark.parametrize("names", [BY_POSITION, BY_HEAD], ids=["position", "head"])
def test_a_cell_of_the_overview_chooses_its_patch(grouped, names):
    model, pair, maps = grouped
    figure, options = patching_figures.overview(
        maps, names, pair.clean.labels[0], model.n_heads, DARK
    )
    targets = [trace for trace in figure.data if trace.customdata is not None]
    heatmaps = [trace for trace in figure.data if trace.type == "heatmap"]
    assert [note.text for note in figure.layout.annotations] == list(names.values())
    for kind, trace, heatmap in zip(names, targets, heatmaps, strict=True):
        np.testing.assert_array_equal(np.array(heatmap.z), restored(maps[kind]))
        for (place,), x, y, text in zip(
            trace.customdata, trace.x, trace.y, trace.hovertext, strict=True
        ):
            assert options[place] == {"patch": kind, "layer": y, "column": x}
            assert f"{restored(maps[kind])[y, x]:+.3f}" in text
    assert len(options) == sum(maps[kind].values.size for kind in names)


def test_where_a_share_would_mislead_logits_are_drawn(grouped):
    _, _, maps = grouped
    found = maps["z"]
    assert found.no_share
    np.testing.assert_array_equal(restored(found), found.effects)
    assert patching_figures.unit_of(found) == "logits restored"
    shares = replace(found, clean=found.corrupt + 1, values=np.ones((3, 4)))
    np.testing.assert_array_equal(restored(shares), shares.values)
    assert patching_figures.unit_of(shares) == "share restored"


def test_exact_values_stand_beside_estimates_that_are_marked(grouped):
    model, pair, maps = grouped
    exact = restored(activation_patching(model, pair, "z", [(1, 2), (0, 0)]))
    columns = patching_figures.columns_of(maps["z"], (), model.n_heads)
    figure = patching_figures.patch_map(restored(maps["z"]), exact, columns, LIGHT, (1, 2))
    heatmap, targets = figure.data
    estimated = [[text.startswith("≈") for text in row] for row in heatmap.text]
    np.testing.assert_array_equal(estimated, np.isnan(exact))
    assert heatmap.z[1][2] == exact[1, 2]
    assert heatmap.z[2][1] == restored(maps["z"])[2, 1]
    assert [tuple(cell) for cell in targets.customdata] == list(np.ndindex(3, 4))
    assert f"exact {exact[1, 2]:+.3f}" in targets.hovertext[6]
    assert "exact" not in targets.hovertext[7]
    outline = figure.layout.shapes[0]
    assert (outline.x0 + 0.5, outline.y0 + 0.5) == (2, 1)


def test_a_wide_map_marks_exact_values_by_dots():
    values = np.zeros((2, patching_figures.MAX_NUMBERS + 4))
    exact = np.full(values.shape, np.nan)
    exact[1, 17] = 0.5
    columns = patching_figures.position_columns(["x"] * values.shape[1])
    heatmap, dots, _ = patching_figures.patch_map(values, exact, columns, LIGHT, (0, 0)).data
    assert heatmap.texttemplate is None
    assert [(y, x) for y, x in zip(dots.y, dots.x, strict=True)] == [(1, 17)]


def test_tokens_are_text_in_every_figure():
    columns = patching_figures.position_columns(HOSTILE)
    values = np.zeros((2, len(HOSTILE)))
    shown = patching_figures.patch_map(values, None, columns, LIGHT, (0, 0))
    for trace in shown.data:
        for text in trace.hovertext or ():
            assert "<" not in text.replace("<b>", "").replace("</b>", "").replace("<br>", "")
    assert not any("<" in tick for tick in shown.layout.xaxis.ticktext)


def test_the_circuit_of_the_bundled_model_is_drawn(bundled):
    """Previous-token head L0H0 to the keys of the induction heads, and these to the logits."""
    found = edge_attribution(bundled, repeated_tokens(bundled))
    edges = found.above(abs(found.edges[7].score))
    links = patching_figures.circuit_links(edges, LIGHT)
    induction = {Head(1, head) for head in (1, 2, 4, 6)}
    into = [link for link in links if link.reader]
    assert {link.writer for link in into} == {Head(0, 0)}
    assert {link.reader for link in into} == induction
    assert all(".K" in link.hover for link in into)
    assert {link.writer for link in links if link.reader is None} == induction
    figure = head_graph(links, (2, 8), LIGHT)
    nodes = figure.data[-1]
    assert {text for text in nodes.text if text} == {
        head.label for head in (Head(0, 0), *induction)
    }
    assert {tuple(data) for data in figure.data[-2].customdata} == {NO_HEAD}
    assert [note.text for note in figure.layout.annotations] == ["<b>logits</b>"]
    patching_figures.add_input_legend(figure, {edge.reader.input for edge in edges}, LIGHT)
    assert [trace.name for trace in figure.data[-2:]] == ["K: key", "to the logits"]


def test_an_edge_into_a_shared_key_leads_to_the_heads_that_are_in_the_circuit():
    shared = Edge(Head(0, 0), Reader(1, 1, "k", group=2), 1.0)
    out = Edge(Head(1, 3), LOGITS, -0.5)
    edges = EdgeAttribution((shared, out), 1.0, "mean", 0).above(0.1)
    links = patching_figures.circuit_links(edges, LIGHT)
    assert [(link.writer, link.reader) for link in links] == [
        (Head(0, 0), Head(1, 3)),
        (Head(1, 3), None),
    ]
    assert "key/value head 1 serves H2–H3" in links[0].hover
    assert links[1].share == pytest.approx(0.5)
    assert "hurts" in links[1].hover
