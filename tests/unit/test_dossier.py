"""The dossier's numbers are those of the pages that they come from."""

import numpy as np
import pytest

from analysis.effects.ablation import ablation_sweep
from analysis.head import Head
from app.compute import calls
from app.compute.server import current_server
from app.compute.visitor import Nobody
from app.links.selection import Selection
from tests.views import view

HEADS = [Head(0, 2), Head(1, 4)]


@pytest.fixture(params=["prompt", "repeated"])
def selection(request) -> Selection:
    return view("head", input=request.param, length=12, batch=3)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.label)
@pytest.mark.parametrize("method", ["zero", "mean"])
def test_a_heads_ablation_is_its_entry_of_the_sweep(selection, head, method) -> None:  # noqa: ANN001
    model = current_server().models.get(selection.info, Nobody())
    tokens = calls.tokens_of(selection)
    sweep = ablation_sweep(model, tokens, method)
    mine = calls.head_ablation(selection, head, method)
    assert mine.value == pytest.approx(sweep.values[head.layer, head.head], abs=1e-6)
    assert mine.clean_loss == pytest.approx(sweep.clean_loss, abs=1e-6)
    np.testing.assert_allclose(mine.per_token, sweep.per_token[head.layer, head.head], atol=1e-6)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.label)
def test_sources_sum_to_the_attribution_page(selection, head) -> None:  # noqa: ANN001
    whole = calls.attribution(selection, 0, None, None)
    mine = calls.source_attribution(selection, 0, head, None, None)
    expected = whole.values[0, :, whole.labels.index(head.label)]
    np.testing.assert_allclose(mine.values[0].sum(-1), expected, atol=1e-4)
    np.testing.assert_allclose(mine.total[0], expected, atol=1e-4)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.label)
def test_split_scores_give_the_pattern_that_is_drawn(selection, head) -> None:  # noqa: ANN001
    """Softmax of the scores that the split explains, over a whole row."""
    dest = 9
    pattern = calls.patterns(selection, 0, (head.layer,)).values[0, 0, head.head]
    scores = []
    for src in range(dest + 1):
        split = calls.score_split(selection, 0, head, dest, src)
        assert split.query_side.sum() == pytest.approx(split.score, abs=1e-4)
        assert split.key_side.sum() == pytest.approx(split.score, abs=1e-4)
        scores.append(split.score)
    weights = np.exp(np.array(scores) - max(scores))
    np.testing.assert_allclose(weights / weights.sum(), pattern[dest, : dest + 1], atol=1e-4)


def test_profiles_hold_the_scores_of_the_induction_page(selection) -> None:  # noqa: ANN001
    profiles, scores = calls.profiles(selection), calls.scores(selection)
    for name, values in profiles.items():
        if name == "eigenvalue":
            eigenvalues = calls.ov_eigenvalues(selection)
            np.testing.assert_array_equal(values, eigenvalues.vocabulary_score)
        else:
            np.testing.assert_array_equal(values, scores[name])
    assert ("induction" in profiles) == (not np.isnan(scores.induction).all())
