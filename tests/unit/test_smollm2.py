"""The pretrained model that needs no hub, where `make smollm2` has brought it."""

import numpy as np
import torch

from analysis.circuits.composition import composition_scores
from analysis.circuits.embeddings import EMBEDDINGS, default_embedding, token_vectors
from analysis.effects.estimate import ablation_estimate
from analysis.head import Head
from analysis.heads.scores import head_scores
from analysis.models import catalog
from analysis.models.loading import HeadModel
from analysis.runs.forward import run
from analysis.runs.inputs import repeated_tokens, tokenize
from analysis.runs.predictions import next_token_stats
from tests.conftest import OWN_STORE
from tests.unit.test_ablation import STORY


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


def test_the_estimates_order_finds_nine_of_its_ten_most_needed_heads(smollm2: HeadModel) -> None:
    """At the price of a tenth of a sweep by whole runs; the exact ten are from such a sweep."""
    estimate = ablation_estimate(smollm2, tokenize(smollm2, STORY))
    exact = ["L1H5", "L1H3", "L1H6", "L1H4", "L2H6", "L0H8", "L0H2", "L1H0", "L6H8", "L2H5"]
    tried = [head.label for head in estimate.order[:20]]
    assert sum(label in tried for label in exact) >= 9
    by_value = np.argsort(-estimate.values, axis=None)[:20]
    old = [f"L{i // 9}H{i % 9}" for i in by_value.tolist()]
    assert sum(label in old for label in exact) == 7


def test_its_heads_read_the_effective_embedding_and_not_the_raw_one(smollm2: HeadModel) -> None:
    """The stream of a text after the first block points along one and not along the other."""
    ids = tokenize(smollm2, STORY).ids[0, 1:].tolist()
    _, kept = run(smollm2, torch.tensor([ids]), capture=["blocks.1.hook_resid_pre"])
    stream = kept["blocks.1.hook_resid_pre"][0]
    along = {
        each: float(torch.cosine_similarity(token_vectors(smollm2, 1, each, ids), stream).mean())
        for each in EMBEDDINGS
    }
    assert default_embedding(smollm2) == "effective"
    assert along["effective"] > 0.7 and abs(along["raw"]) < 0.1


def test_its_circuits_count_query_heads(smollm2: HeadModel) -> None:
    values = composition_scores(smollm2, "K").values
    assert values.shape == (30, 9, 30, 9)
    # Three query heads share their keys: what differs between them is their queries alone.
    earlier = values[:17, :, 17]
    assert not np.allclose(earlier[..., 3], earlier[..., 4])
    assert Head(17, 3).label == "L17H3"
