"""Edges between heads: the circuit of the bundled model, and small cuts against their estimate."""

import numpy as np
import pytest

from analysis.effects import edges, replacements
from analysis.effects.ablation import ablation_sweep
from analysis.effects.edges import (
    Edge,
    EdgeAttribution,
    Faithfulness,
    Reader,
    edge_attribution,
    faithfulness,
)
from analysis.effects.knockout import keep_only
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.runs.inputs import repeated_tokens, tokenize
from tests.architectures import tiny

ARCHITECTURES = ("native", "native-LN-MLP", "gpt2", "llama", "neox", "gemma2", "gemma3")
# Where only queries and keys see the positions, an edge's own copy of the stream has none.
FAMILIES = (*ARCHITECTURES, "shortformer")
LOGITS = Reader(-1, -1, "logits")


@pytest.fixture(scope="module")
def found(bundled):
    return edge_attribution(bundled, repeated_tokens(bundled, length=30, batch=4))


def test_the_induction_circuit_is_found_by_itself(found):
    """Previous-token head to the keys of the induction heads, and these to the logits."""
    labels = [edge.label for edge in found.edges]
    induction = {f"L1H{head}" for head in (1, 2, 4, 6)}
    assert set(labels[:4]) == {f"L0H0 → {head}.K" for head in induction}
    assert all(edge.score > 0 for edge in found.edges[:4])
    to_logits = [label for label in labels if label.endswith("logits")]
    assert set(to_logits[:4]) == {f"{head} → logits" for head in induction}


def test_the_strongest_edges_do_most_of_the_work(bundled, found):
    """A dozen of 208 edges; the same number of others does nothing."""
    tokens = repeated_tokens(bundled, length=30, batch=4)
    edges = found.above(0.1)
    circuit = faithfulness(bundled, tokens, edges)
    assert circuit.total == 208
    assert 8 <= circuit.kept <= 12
    assert circuit.recovered > 0.8
    others = faithfulness(bundled, tokens, found.edges[-circuit.kept :])
    assert abs(others.recovered) < 0.1


def test_a_threshold_keeps_whole_paths():
    """An edge into a head that goes nowhere explains nothing."""
    into_dead, into_live = (Edge(Head(0, h), Reader(1, h, "k"), 1.0) for h in (0, 1))
    out, weak = Edge(Head(1, 1), LOGITS, -0.5), Edge(Head(1, 0), LOGITS, 0.1)
    all_edges = EdgeAttribution((into_dead, into_live, out, weak), 1.0, "mean", 0)
    assert all_edges.above(0.5) == (into_live, out)
    assert all_edges.above(0.1) == all_edges.edges
    assert all_edges.above(2.0) == ()


def test_a_shared_key_lives_if_any_of_its_query_heads_does():
    shared = Edge(Head(0, 0), Reader(1, 1, "k", group=2), 1.0)
    other = Edge(Head(0, 0), Reader(1, 0, "k", group=2), 0.9)
    out = Edge(Head(1, 3), LOGITS, 0.8)
    found = EdgeAttribution((shared, other, out), 1.0, "mean", 0)
    assert found.above(0.5) == (shared, out)
    assert shared.label == "L0H0 → L1KV1.K"


@pytest.mark.parametrize("architecture", FAMILIES)
def test_with_every_edge_the_loss_is_the_models_own(architecture, monkeypatch):
    monkeypatch.setattr(edges, "LEAST_SHARED", -np.inf)  # heads of random weights are worth little
    model = tiny(architecture)
    tokens = repeated_tokens(model, length=4, batch=2)
    attribution = edge_attribution(model, tokens)
    whole = faithfulness(model, tokens, attribution.edges)
    own = ablation_sweep(model, tokens).clean_loss
    assert whole.kept == whole.total == len(attribution.edges)
    assert whole.loss == pytest.approx(own, abs=1e-5)
    assert whole.clean_loss == pytest.approx(own, abs=1e-5)
    assert attribution.clean_loss == pytest.approx(own, abs=1e-5)
    assert abs(whole.empty_loss - own) > 1e-3
    assert whole.recovered == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_estimate_is_the_effect_of_a_small_cut(architecture, monkeypatch):
    """With replacements near z itself, what cutting an edge does is what its score says."""
    exact = replacements.replacement

    def near(z, *how):
        return z + 0.1 * (exact(z, *how) - z)

    for module in (edges, replacements):
        monkeypatch.setattr(module, "replacement", near)
    model = tiny(architecture)
    tokens = repeated_tokens(model, length=4, batch=2)
    found = edge_attribution(model, tokens, "zero")
    scale = abs(found.edges[0].score)
    for kind in ("q", "k", "v", "logits"):
        strongest = next(edge for edge in found.edges if edge.reader.input == kind)
        rest = [edge for edge in found.edges if edge is not strongest]
        without = faithfulness(model, tokens, rest, "zero")
        effect = without.loss - without.clean_loss
        assert strongest.score == pytest.approx(effect, rel=0.2, abs=0.02 * scale), kind


def test_without_any_edge_an_attention_only_model_is_one_without_heads(attention_only, monkeypatch):
    monkeypatch.setattr(edges, "LEAST_SHARED", -np.inf)
    tokens = repeated_tokens(attention_only, length=5, batch=2)
    none = faithfulness(attention_only, tokens, [], "zero")
    assert none.loss == none.empty_loss
    assert none.loss == pytest.approx(keep_only(attention_only, tokens, []), abs=1e-5)
    assert none.recovered == 0


def test_shared_keys_and_values_are_one_reader():
    model = tiny("llama")
    found = edge_attribution(model, repeated_tokens(model, length=4, batch=2))
    readers = {edge.reader for edge in found.edges}
    assert {reader.label for reader in readers if reader.layer == 1} == {
        *(f"L1H{head}.Q" for head in range(4)),
        *(f"L1KV{head}.{each}" for head in range(2) for each in "KV"),
    }
    assert len(found.edges) == len({(edge.writer, edge.reader) for edge in found.edges})
    sizes = [abs(edge.score) for edge in found.edges]
    assert sizes == sorted(sizes, reverse=True)


def test_a_prompt_is_followed_against_the_reference_text(attention_only):
    tokens = tokenize(attention_only, "The cat sat.")
    found = edge_attribution(attention_only, tokens)
    assert any(edge.score for edge in found.edges)
    whole = faithfulness(attention_only, tokens, found.edges)
    assert whole.loss == pytest.approx(whole.clean_loss, abs=1e-5)
    assert whole.empty_loss != pytest.approx(whole.clean_loss, abs=1e-3)


@pytest.mark.parametrize(
    ("clean", "empty", "kept", "said"),
    [(8.084, 8.001, 8.127, "do harm"), (8.0, 8.04, 8.01, "noise"), (8.0, 8.0, 8.0, "noise")],
)
def test_a_share_of_noise_or_harm_is_not_given(clean, empty, kept, said):
    """151.6 % faithful, where the circuit is worse than no edge at all."""
    found = Faithfulness(loss=kept, clean_loss=clean, empty_loss=empty, kept=3, total=9)
    assert np.isnan(found.recovered)
    assert said in found.no_share
    assert f"{clean:.3f}" in found.no_share and f"{empty:.3f}" in found.no_share
    sound = Faithfulness(loss=8.5, clean_loss=8.0, empty_loss=9.0, kept=3, total=9)
    assert sound.recovered == pytest.approx(0.5) and sound.no_share == ""


def test_what_cannot_be_followed_is_refused(attention_only):
    nowhere = Edge(Head(1, 0), Reader(1, 0, "k"), 1.0)
    with pytest.raises(AnalysisError, match="does not have"):
        faithfulness(attention_only, repeated_tokens(attention_only, length=4, batch=2), [nowhere])


def test_scores_are_numbers(found):
    assert np.isfinite([edge.score for edge in found.edges]).all()
