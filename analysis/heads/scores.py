"""Scores that say what a head attends to, with their chance level and spread over sequences."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from analysis.definitions import SCORES, TARGETED, ScoreName
from analysis.head import Head
from analysis.models.capabilities import require_decoder
from analysis.models.loading import HeadModel
from analysis.runs.inputs import repeated_tokens
from analysis.runs.patterns import attention_patterns, layers_in_pieces
from analysis.runs.results import HeadScores, Patterns
from analysis.tokens import Tokens


def head_scores(
    model: HeadModel,
    tokens: Tokens | None = None,
    seed: int = 0,
    without: Sequence[Head] = (),
) -> HeadScores:
    """All scores of all heads; see `analysis.definitions.scores` for what each one is.

    Args:
        model: The model.
        tokens: What to run it on; by default 10 sequences of 50 random tokens repeated.
        seed: Seed of those sequences.
        without: Heads that are zero-ablated meanwhile, as for `attention_patterns`.
    """
    if tokens is None:
        tokens = repeated_tokens(model, seed=seed)
    require_decoder(model.info, "Scores of a decoder's heads")
    pieces = layers_in_pieces(model, tokens)  # of a wide model all patterns are too many
    return _joined(
        [
            score_patterns(attention_patterns(model, tokens, layers, without), tokens)
            for layers in pieces
        ]
    )


def score_patterns(patterns: Patterns, tokens: Tokens) -> HeadScores:
    """The scores of given patterns, by their layers.

    Raises:
        ValueError: The patterns are not of these tokens.
    """
    values = patterns.values
    if values.shape[0] != tokens.batch or values.shape[-1] != tokens.length:
        raise ValueError(
            f"patterns of {values.shape[0]} x {values.shape[-1]} tokens, "
            f"but {tokens.batch} x {tokens.length} tokens"
        )
    uniform = _uniform(tokens)
    by_sequence = {name: scores_by_sequence(name, values, tokens) for name in SCORES}
    chance = {name: scores_by_sequence(name, uniform, tokens) for name in SCORES}
    return HeadScores(
        values={name: _mean(found) for name, found in by_sequence.items()},
        spread={name: _spread(found) for name, found in by_sequence.items()},
        chance={name: _mean(found).item() for name, found in chance.items()},
        course_stripe=_course_stripe(values, tokens.half_length),
        layers=patterns.layers,
    )


def _joined(pieces: Sequence[HeadScores]) -> HeadScores:
    """The scores of some layers after the other."""
    stripes = [each.course_stripe for each in pieces if each.course_stripe is not None]
    return HeadScores(
        values={name: np.concatenate([each.values[name] for each in pieces]) for name in SCORES},
        spread={name: np.concatenate([each.spread[name] for each in pieces]) for name in SCORES},
        chance=pieces[0].chance,
        course_stripe=np.concatenate(stripes) if stripes else None,
        layers=tuple(layer for each in pieces for layer in each.layers),
    )


def targets(name: ScoreName, tokens: Tokens) -> Bool[np.ndarray, "batch dest src"]:
    """The sources that count for a score, at each destination.

    A destination with no such source (position 0 for `previous`, a token seen for the first time
    for `induction`) is left out of the score's mean.
    """
    if (of_tokens := SCORES[name].targets) is None:
        raise ValueError(f"{name!r} is not a share of attention; choose one of {TARGETED}")
    return of_tokens(tokens)


def chance_by_sequence(name: ScoreName, tokens: Tokens) -> Float[np.ndarray, " batch"]:
    """A score of attention spread evenly over all sources, for each sequence; NaN as the score."""
    return scores_by_sequence(name, _uniform(tokens), tokens)[:, 0, 0]


def scores_by_sequence(
    name: ScoreName, values: Float[np.ndarray, "batch layer head dest src"], tokens: Tokens
) -> Float[np.ndarray, "batch layer head"]:
    """A score of patterns for each sequence; NaN where no destination of it has a source."""
    if (measure := SCORES[name].measure) is not None:
        return measure(values)
    return _attention_on(values, targets(name, tokens))


def _uniform(tokens: Tokens) -> Float[np.ndarray, "batch 1 1 dest src"]:
    rows = np.tril(np.ones((tokens.length, tokens.length), np.float32))
    return np.broadcast_to(rows / rows.sum(-1, keepdims=True), (tokens.batch, 1, 1, *rows.shape))


def _attention_on(
    values: Float[np.ndarray, "batch layer head dest src"],
    mask: Bool[np.ndarray, "batch dest src"],
) -> Float[np.ndarray, "batch layer head"]:
    counted = mask.any(-1).sum(-1)[:, None, None]
    total = np.einsum("blhds,bds->blh", values, mask.astype(np.float32))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(counted > 0, total / counted, np.nan), dtype=np.float32)


def _course_stripe(
    values: Float[np.ndarray, "batch layer head dest src"], half_length: int | None
) -> Float[np.ndarray, "layer head"] | None:
    if half_length is None:
        return None
    return values.diagonal(-(half_length - 1), axis1=-2, axis2=-1).mean((0, -1))


def _mean(by_sequence: Float[np.ndarray, "batch layer head"]) -> Float[np.ndarray, "layer head"]:
    known = ~np.isnan(by_sequence)
    with np.errstate(invalid="ignore"):
        mean = np.where(known, by_sequence, 0).sum(0) / known.sum(0)
    return np.asarray(mean, dtype=np.float32)


def _spread(by_sequence: Float[np.ndarray, "batch layer head"]) -> Float[np.ndarray, "layer head"]:
    if len(by_sequence) < 2:
        return np.full(by_sequence.shape[1:], np.nan, dtype=np.float32)
    return np.asarray(by_sequence.std(0, ddof=1), dtype=np.float32)
