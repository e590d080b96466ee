"""The pretrained model that needs no hub, where `make smollm2` has brought it."""

import numpy as np
import pytest

from analysis.circuits.composition import composition_scores
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.heads.scores import head_scores
from analysis.models import catalog
from analysis.models.catalog import find_model
from analysis.models.loading import HeadModel, load_model
from analysis.runs.inputs import repeated_tokens
from analysis.runs.predictions import next_token_stats
from tests.conftest import OWN_STORE

NAME = "SmolLM2-135M-Instruct"


@pytest.fixture(scope="module")
def smollm2() -> HeadModel:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSCOPE_CACHE", str(OWN_STORE))
        catalog.refresh()
        try:
            find_model(NAME)
        except AnalysisError:
            pytest.skip("make smollm2 has not been run, or its package cannot be installed")
        model = load_model(NAME)
    catalog.refresh()
    return model


def test_the_users_own_store_is_known_in_every_worker_of_the_tests() -> None:
    assert catalog.store() != OWN_STORE


def test_its_induction_heads_stand_out(smollm2: HeadModel) -> None:
    tokens = repeated_tokens(smollm2, length=50, batch=2)
    scores = head_scores(smollm2, tokens)
    found = scores.above("induction", 0.5)
    assert len(found) >= 4
    assert found[0][0].layer in (17, 18)
    assert len(scores.above("previous", 0.5)) >= 3
    losses = -next_token_stats(smollm2, tokens).log_probs.mean(0)
    assert losses[:50].mean() > losses[51:].mean() + 8


def test_its_circuits_count_query_heads(smollm2: HeadModel) -> None:
    values = composition_scores(smollm2, "K").values
    assert values.shape == (30, 9, 30, 9)
    # Three query heads share their keys: what differs between them is their queries alone.
    earlier = values[:17, :, 17]
    assert not np.allclose(earlier[..., 3], earlier[..., 4])
    assert Head(17, 3).label == "L17H3"
