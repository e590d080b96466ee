"""Edges between heads between two prompts: small cuts against their estimate, identities, words."""

import numpy as np
import pytest
import torch

from analysis.effects import pair_edges
from analysis.effects.edges import Edge, Reader
from analysis.effects.pair_edges import (
    PairFaithfulness,
    pair_edge_attribution,
    pair_faithfulness,
)
from analysis.effects.patching import activation_patching, prompt_pair
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.runs.inputs import tokenize
from app.links.parameters import CLEAN_PROMPT, CORRUPT_PROMPT
from tests.architectures import tiny

ARCHITECTURES = ("native", "native-LN-MLP", "gpt2", "llama", "neox", "gemma2")


def pair_of(model, clean="The old sea sang.", corrupt="The red sea sang."):  # noqa: ANN001, ANN201
    first, second = (tokenize(model, text) for text in (clean, corrupt))
    return prompt_pair(model, first, second, answer=5, foil=9)


@pytest.fixture(scope="module")
def red(bundled):  # noqa: ANN001, ANN201
    """The pair that the page begins with."""
    clean, corrupt = (tokenize(bundled, text) for text in (CLEAN_PROMPT, CORRUPT_PROMPT))
    house, horse = (
        bundled.tokenizer.encode(text, add_special_tokens=False)[0] for text in (" house", " horse")
    )
    return prompt_pair(bundled, clean, corrupt, house, horse)


def test_the_circuit_of_the_answer_is_induction(bundled, red) -> None:  # noqa: ANN001
    """What stood behind an earlier "red": the previous-token head to keys, and these to logits."""
    found = pair_edge_attribution(bundled, red)
    strongest = {edge.label for edge in found.edges[:8]}
    assert {f"L0H0 → L1H{head}.K" for head in (1, 4, 6)} <= strongest
    assert {f"L1H{head} → logits" for head in (1, 4, 6)} <= strongest
    kept = found.above(abs(found.edges[15].score))
    assert pair_faithfulness(bundled, red, kept).recovered > 0.8
    others = found.edges[-len(kept) :]
    assert abs(pair_faithfulness(bundled, red, others).recovered) < 0.1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_with_every_edge_the_difference_is_the_models_own(architecture: str) -> None:
    model = tiny(architecture)
    pair = pair_of(model)
    found = pair_edge_attribution(model, pair)
    whole = pair_faithfulness(model, pair, found.edges)
    with torch.no_grad():
        logits = model.bridge(pair.clean.tensor)[:, -1]
        own = float((logits[:, 5] - logits[:, 9]).mean())
    assert whole.kept == whole.total == len(found.edges)
    for each in (whole.difference, whole.clean, found.clean):
        assert each == pytest.approx(own, abs=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_estimate_is_the_effect_of_a_small_change(architecture: str, monkeypatch) -> None:  # noqa: ANN001
    """With a corrupt run near the clean one, exchanging an edge does what its score says."""
    exact = pair_edges.run
    model = tiny(architecture)
    pair = pair_of(model)
    points = pair_edges.z_points(model)
    _, clean = exact(model, pair.clean.tensor, capture=points)

    def near(model, ids, capture=()):  # noqa: ANN001, ANN202
        logits, seen = exact(model, ids, capture=capture)
        return logits, {name: clean[name] + 0.1 * (z - clean[name]) for name, z in seen.items()}

    monkeypatch.setattr(pair_edges, "run", near)
    monkeypatch.setattr(pair_edges, "run_without_logits", lambda *asked: near(*asked)[1])
    found = pair_edge_attribution(model, pair)
    scale = abs(found.edges[0].score)
    for kind in ("q", "k", "v", "logits"):
        strongest = next(edge for edge in found.edges if edge.reader.input == kind)
        rest = [edge for edge in found.edges if edge is not strongest]
        without = pair_faithfulness(model, pair, rest)
        effect = without.clean - without.difference
        assert strongest.score == pytest.approx(effect, rel=0.2, abs=0.02 * scale), kind


def test_the_edges_of_the_last_layer_to_the_logits_are_patched_heads(attention_only) -> None:  # noqa: ANN001
    """Without a norm what a last head writes goes to the logits alone: corrupt it there, exactly.

    Patching from the other side: the corrupt prompt as the clean one.
    """
    pair = pair_of(attention_only)
    back = prompt_pair(attention_only, pair.corrupt, pair.clean, pair.answer, pair.foil)
    patched = activation_patching(attention_only, back, "z").effects
    last = attention_only.n_layers - 1
    scores = {
        edge.writer: edge.score
        for edge in pair_edge_attribution(attention_only, pair).edges
        if edge.writer.layer == last
    }
    for head in range(attention_only.n_heads):
        assert scores[Head(last, head)] == pytest.approx(-float(patched[last, head]), abs=1e-5)


@pytest.mark.parametrize(
    ("clean", "empty", "said"), [(1.0, 2.0, "for the foil"), (1.0, 0.95, "noise")]
)
def test_a_share_of_noise_or_harm_is_not_given(clean: float, empty: float, said: str) -> None:
    found = PairFaithfulness(difference=0.5, clean=clean, empty=empty, kept=3, total=9)
    assert np.isnan(found.recovered)
    assert said in found.no_share and f"{clean:+.3f}" in found.no_share
    sound = PairFaithfulness(difference=3.0, clean=4.0, empty=2.0, kept=3, total=9)
    assert sound.recovered == pytest.approx(0.5) and sound.no_share == ""


def test_what_cannot_be_followed_is_refused(attention_only) -> None:  # noqa: ANN001
    nowhere = Edge(Head(1, 0), Reader(1, 0, "k"), 1.0)
    with pytest.raises(AnalysisError, match="does not have"):
        pair_faithfulness(attention_only, pair_of(attention_only), [nowhere])
