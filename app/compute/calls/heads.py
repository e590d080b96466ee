"""Questions about what heads do by their patterns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from analysis.definitions import SCORES
from analysis.errors import AnalysisError
from analysis.head import Head, all_heads
from app.compute.calls.inputs import of_sequence, of_tokens, over_layers
from app.compute.calls.weights import ov_eigenvalues
from app.compute.engine import engine
from app.links.fits import longest_half
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.heads.distances import RestingAttention
    from analysis.heads.scores import HeadScores
    from analysis.runs.patterns import Patterns


def patterns(
    selection: Selection,
    sequence: int,
    layers: tuple[int, ...],
    without: tuple[Head, ...] = (),
) -> Patterns:
    """Attention patterns of one of the view's sequences, batch of 1; `without` ablates heads."""
    return of_sequence(selection, sequence, "attention_patterns", layers, without)


def scores(selection: Selection, without: tuple[Head, ...] = ()) -> HeadScores:
    """Every head's scores on the view's tokens; `without` ablates heads."""
    return of_tokens(selection, "head_scores", without=without)


def loss(selection: Selection, without: tuple[Head, ...] = ()) -> float:
    """Loss on the view's tokens, nats per token; on their second half if they are repeated."""
    kept = tuple(head for head in all_heads(selection.info) if head not in without)
    return of_tokens(selection, "keep_only", kept)


def reference_scores(selection: Selection) -> HeadScores:
    """Every head's scores on the course's repeated tokens, whatever the input of the view.

    Only there does every head show what it is, and what a page picks by them does not jump while
    a prompt is typed.
    """
    length = min(50, longest_half(selection.info))
    return scores(selection.with_values(input="repeated", length=length, batch=10, seed=0))


def distance_profile(selection: Selection) -> np.ndarray:
    """Mean attention of every head by distance, [layer, head, distance]."""
    return over_layers(selection, "distance_profile")


def resting_attention(selection: Selection) -> RestingAttention:
    """Mean attention of every head to the first token, in each half of repeated tokens."""
    return over_layers(selection, "resting_attention")


def profiles(selection: Selection) -> dict[str, np.ndarray]:
    """The scores of `definitions.PROFILE` that this model and input have, [layer, head] each."""
    result = scores(selection)
    known: dict[str, np.ndarray] = {
        name: result[name] for name in SCORES if not np.isnan(result[name]).all()
    }
    try:
        return {**known, "eigenvalue": ov_eigenvalues(selection).vocabulary_score}
    except AnalysisError:  # circuits are not defined for this model; its other scores are
        return known


def similar_heads(profiles: Mapping[str, np.ndarray], head: Head) -> list[tuple[Head, float]]:
    """All other heads by the distance of their profiles."""
    similar: list[tuple[Head, float]] = engine().similar_heads(profiles, head)
    return similar
