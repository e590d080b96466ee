"""Flip sets against brute force: every set of heads silenced in plain transformers."""

from functools import cache
from itertools import combinations

import numpy as np
import pytest
import torch

from analysis.effects import flip
from analysis.effects.flip import FlipSet, flip_set
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.runs.inputs import tokenize
from tests.architectures import plain, tiny

TEXT = "The cat sat on the mat"
EVERY = tuple(Head(layer, head) for layer in range(3) for head in range(4))


@cache
def brute(architecture: str, heads: frozenset[Head]) -> torch.Tensor:
    """Logits after the text without these heads, by hooks on what enters W_O."""
    inner, model = plain(architecture), tiny(architecture)
    handles = []
    for layer in range(3):
        gone = [head.head for head in heads if head.layer == layer]

        def silenced(module, args, gone=gone):  # noqa: ANN001, ANN202
            z = args[0].clone().unflatten(-1, (4, 8))
            z[..., gone, :] = 0
            return (z.flatten(-2),)

        place = (
            inner.transformer.h[layer].attn.c_proj
            if architecture == "gpt2"
            else inner.model.layers[layer].self_attn.o_proj
        )
        handles.append(place.register_forward_pre_hook(silenced))
    with torch.no_grad():
        return inner(tokenize(model, TEXT).tensor).logits[0, -1]


def difference(architecture: str, heads, answer: int, foil: int) -> float:  # noqa: ANN001
    logits = brute(architecture, frozenset(heads))
    return float(logits[answer] - logits[foil])


def ranked(architecture: str) -> list[int]:
    """Tokens by their logit as it is."""
    return brute(architecture, frozenset()).argsort(descending=True).tolist()


def found_for(architecture: str, above: int, below: int, **options) -> tuple[FlipSet, int, int]:  # noqa: ANN003
    order = ranked(architecture)
    answer, foil = order[above], order[below]
    model = tiny(architecture)
    return flip_set(model, tokenize(model, TEXT), answer, foil, **options), answer, foil


# A foil by its rank among the next tokens; how many heads the search removes (none: it gets
# stuck), how many of these are needed, and how many the smallest of all sets has: greedy may miss
# it by one.
CASES = [
    ("gpt2", 2, 2, 2, 2),
    ("gpt2", 80, 0, 0, 0),
    ("gpt2", 150, 4, 4, 3),
    ("llama", 20, 1, 1, 1),
    ("llama", 80, 2, 2, 2),
    ("llama", 2000, 3, 2, 2),
]


@pytest.mark.parametrize(("architecture", "rank", "removed", "needed", "smallest"), CASES)
def test_a_flip_set_is_what_greedy_brute_force_finds_and_each_head_is_needed(
    architecture, rank, removed, needed, smallest
):
    found, answer, foil = found_for(architecture, 0, rank, most=12)
    gone: list[Head] = []
    left = difference(architecture, gone, answer, foil)
    assert found.clean == pytest.approx(left, abs=1e-3)
    while left >= 0:
        each = {
            h: difference(architecture, [*gone, h], answer, foil) for h in EVERY if h not in gone
        }
        best = min(each, key=each.__getitem__)
        if each[best] >= left:
            break
        gone.append(best)
        left = each[best]
        assert found.after[len(gone) - 1] == pytest.approx(left, abs=1e-3)
    assert found.taken == tuple(gone)
    if left >= 0:
        assert (found.ended, found.heads, removed) == ("stuck", (), 0)
        return
    assert found.ended == "flipped"
    assert (len(gone), len(found.heads)) == (removed, needed)
    assert set(gone) == {*found.heads, *found.dropped}
    assert found.without == pytest.approx(
        difference(architecture, found.heads, answer, foil), abs=1e-3
    )
    assert found.without < 0
    assert found.back is not None
    for head, back in zip(found.heads, found.back, strict=True):
        others = set(found.heads) - {head}
        assert back == pytest.approx(difference(architecture, others, answer, foil), abs=1e-3)
        assert back >= 0
    sizes = (
        size
        for size in range(1, 13)
        for heads in combinations(EVERY, size)
        if difference(architecture, heads, answer, foil) < 0
    )
    assert next(sizes) == smallest
    for group, without in zip(found.groups, found.random if found.groups else (), strict=True):
        assert not set(group) & set(found.heads)
        assert sorted(h.layer for h in group) == sorted(h.layer for h in found.heads)
        assert without == pytest.approx(difference(architecture, group, answer, foil), abs=1e-3)


def test_a_model_that_takes_whole_runs_has_the_same_flip_set(monkeypatch):
    quick, *_ = found_for("gpt2", 0, 150)
    monkeypatch.setattr(flip, "runs_suffixes", lambda model: False)
    monkeypatch.setattr("analysis.runs.suffix.runs_suffixes", lambda model: False)
    slow, *_ = found_for("gpt2", 0, 150)
    assert slow.taken == quick.taken
    np.testing.assert_allclose(slow.after, quick.after, atol=1e-3)


def test_the_search_ends_at_the_most_heads_and_can_be_cancelled():
    found, *_ = found_for("gpt2", 0, 20, most=1)
    assert (len(found.taken), found.ended) == (1, "most")
    assert found.back is None

    class Cancelled(Exception):
        pass

    def cancel(done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        found_for("gpt2", 0, 20, progress=cancel)
    assert not tiny("gpt2").lock.locked()


def test_progress_counts_to_what_the_most_removals_take():
    seen: list[tuple[int, int]] = []
    found_for("gpt2", 0, 2, most=5, draws=3, progress=lambda *at: seen.append(at))
    assert {total for _, total in seen} == {5 * 12 + 3}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_what_cannot_be_flipped_is_said():
    with pytest.raises(AnalysisError, match=r"below the foil's.*Swap the two"):
        found_for("gpt2", 2, 0)
    with pytest.raises(AnalysisError, match="the same token"):
        found_for("gpt2", 0, 0)
    with pytest.raises(AnalysisError, match="1 is the least"):
        found_for("gpt2", 0, 2, most=0)
    model = tiny("gpt2")
    with pytest.raises(AnalysisError, match="is no id of gpt2"):
        flip_set(model, tokenize(model, TEXT), 5, 99_999)
