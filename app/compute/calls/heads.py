"""Questions about what heads do by their patterns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, TypeVar

import numpy as np

import analysis
from analysis.definitions import SCORES
from analysis.errors import AnalysisError
from analysis.head import Head, all_heads
from analysis.limits import MAX_MASKED
from app.compute.calls.inputs import of_sequence, of_tokens
from app.compute.calls.weights import ov_eigenvalues
from app.compute.imports import import_all
from app.compute.question import Question
from app.links.fits import longest_half
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.effects.masked import MaskedAblation, MaskedLoss
    from analysis.effects.replacements import Method
    from analysis.heads.distances import RestingAttention
    from analysis.heads.encoder import EncoderScores
    from analysis.heads.scores import HeadScores
    from analysis.models.info import ModelInfo
    from analysis.models.loading import HeadModel
    from analysis.runs.results import Patterns
    from analysis.tokens import Tokens

R = TypeVar("R")


def _of_every_layer(
    summary: Callable[[Patterns, Tokens], R], join: Callable[[list[R]], R]
) -> Callable[[HeadModel, Tokens], R]:
    """A summary of the patterns of every layer, which are not themselves kept, nor all at once."""

    @wraps(summary)
    def compute(model: HeadModel, tokens: Tokens) -> R:
        from analysis.runs.patterns import layers_in_pieces

        return join(
            [
                summary(analysis.attention_patterns(model, tokens, layers), tokens)
                for layers in layers_in_pieces(model, tokens)
            ]
        )

    return compute


def _resting(pieces: list[RestingAttention]) -> RestingAttention:
    return replace(
        pieces[0],
        first_half=np.concatenate([each.first_half for each in pieces]),
        second_half=np.concatenate([each.second_half for each in pieces]),
    )


def _masked_rows(info: ModelInfo, tokens: int) -> int:
    """Memory of a text run once for each of its tokens, with the logits of that one, in bytes."""
    rows = min(tokens, MAX_MASKED)
    layer = rows * (12 * info.d_model + 2 * info.d_mlp + 4 * info.n_heads * rows)
    return 4 * rows * (layer + 4 * info.d_vocab)


HEAD_SCORES = Question("head_scores", lambda: analysis.head_scores, logits="none")
DISTANCE_PROFILE = Question(
    "distance_profile",
    lambda: _of_every_layer(analysis.distance_profile, np.concatenate),
    logits="none",
)
RESTING_ATTENTION = Question(
    "resting_attention",
    lambda: _of_every_layer(analysis.resting_attention, _resting),
    logits="none",
)
KEEP_ONLY = Question("keep_only", lambda: analysis.keep_only, logits="some")
SCORES_OF_ENCODER = Question("scores_of_encoder", lambda: analysis.scores_of_encoder, logits="none")
# Of each row the logits of one token: `_masked_rows` tells them.
MASKED_LOSS = Question(
    "masked_loss", lambda: analysis.masked_loss, logits="none", beside=_masked_rows
)
MASKED_ABLATION = Question(
    "masked_ablation", lambda: analysis.masked_ablation, logits="none", beside=_masked_rows
)
ATTENTION_PATTERNS = Question(
    "attention_patterns", lambda: analysis.attention_patterns, logits="none"
)


def patterns(
    selection: Selection,
    sequence: int,
    layers: tuple[int, ...],
    without: tuple[Head, ...] = (),
) -> Patterns:
    """Attention patterns of one of the view's sequences, batch of 1; `without` ablates heads."""
    return of_sequence(ATTENTION_PATTERNS, selection, sequence, layers, without)


def pattern_change(one: Selection, other: Selection) -> np.ndarray:
    """How much of every head's attention goes elsewhere on another prompt, [layer, head]."""
    layers = tuple(range(one.info.n_layers))
    found = [patterns(view, 0, layers) for view in (one, other)]
    import_all()
    return analysis.pattern_change(*found)


def scores(selection: Selection, without: tuple[Head, ...] = ()) -> HeadScores:
    """Every head's scores on the view's tokens; `without` ablates heads."""
    return of_tokens(HEAD_SCORES, selection, without=without)


def encoder_scores(selection: Selection) -> EncoderScores:
    """Every head's scores of an encoder on the view's text."""
    return of_tokens(SCORES_OF_ENCODER, selection)


def masked_loss(selection: Selection) -> MaskedLoss:
    """What an encoder says of each token of the view's text when that one is masked."""
    return of_tokens(MASKED_LOSS, selection)


def masked_ablation(
    selection: Selection, method: Method, progress: Callable[[int, int], None]
) -> MaskedAblation:
    """How much that loss rises without each head; `progress` may raise to cancel."""
    return of_tokens(MASKED_ABLATION, selection, method, progress=progress)


def loss(selection: Selection, without: tuple[Head, ...] = ()) -> float:
    """Loss on the view's tokens, nats per token; on their second half if they are repeated."""
    kept = tuple(head for head in all_heads(selection.info) if head not in without)
    return of_tokens(KEEP_ONLY, selection, kept)


def reference_scores(selection: Selection) -> HeadScores:
    """Every head's scores on the course's repeated tokens, whatever the input of the view.

    Only there does every head show what it is, and what a page picks by them does not jump while
    a prompt is typed.
    """
    length = min(50, longest_half(selection.info))
    return scores(selection.with_values(input="repeated", length=length, batch=10, seed=0))


def distance_profile(selection: Selection) -> np.ndarray:
    """Mean attention of every head by distance, [layer, head, distance]."""
    return of_tokens(DISTANCE_PROFILE, selection)


def resting_attention(selection: Selection) -> RestingAttention:
    """Mean attention of every head to the first token, in each half of repeated tokens."""
    return of_tokens(RESTING_ATTENTION, selection)


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
    import_all()
    return analysis.similar_heads(profiles, head)


def alike_within(profiles: Mapping[str, np.ndarray]) -> float:
    """The distance that few pairs of heads are within: those are alike."""
    import_all()
    return analysis.alike_within(profiles)
