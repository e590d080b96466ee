"""Scores that say what a head attends to, with their chance level and spread over sequences."""

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float

from analysis.definitions import SCORE_NAMES, TARGETED, ScoreName
from analysis.head import Head
from analysis.models.loading import HeadModel
from analysis.runs.inputs import repeated_tokens
from analysis.runs.patterns import attention_patterns
from analysis.runs.results import HeadScores, Patterns, Tokens


def head_scores(
    model: HeadModel,
    tokens: Tokens | None = None,
    seed: int = 0,
    without: Sequence[Head] = (),
) -> HeadScores:
    """All scores of all heads; see `analysis.definitions.SCORES` for what each one is.

    Args:
        model: The model.
        tokens: What to run it on; by default 10 sequences of 50 random tokens repeated.
        seed: Seed of those sequences.
        without: Heads that are zero-ablated meanwhile, as for `attention_patterns`.
    """
    if tokens is None:
        tokens = repeated_tokens(model, seed=seed)
    return score_patterns(attention_patterns(model, tokens, without=without), tokens)


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
    uniform = np.tril(np.ones((tokens.length, tokens.length), np.float32))
    uniform = np.broadcast_to(
        uniform / uniform.sum(-1, keepdims=True), (tokens.batch, 1, 1, *uniform.shape)
    )
    by_sequence: dict[ScoreName, np.ndarray] = {"entropy": _entropy(values)}
    chance: dict[ScoreName, np.ndarray] = {"entropy": _entropy(uniform)}
    for name in TARGETED:
        mask = targets(name, tokens)
        by_sequence[name] = _attention_on(values, mask)
        chance[name] = _attention_on(uniform, mask)
    return HeadScores(
        **{name: _mean(by_sequence[name]) for name in SCORE_NAMES},
        spread=MappingProxyType({name: _spread(by_sequence[name]) for name in SCORE_NAMES}),
        chance=MappingProxyType({name: _mean(chance[name]).item() for name in SCORE_NAMES}),
        course_stripe=_course_stripe(values, tokens.half_length),
        layers=patterns.layers,
    )


def targets(name: ScoreName, tokens: Tokens) -> Bool[np.ndarray, "batch dest src"]:
    """The sources that count for a score, at each destination.

    A destination with no such source (position 0 for `previous`, a token seen for the first time
    for `induction`) is left out of the score's mean.
    """
    n = tokens.length
    shape = (tokens.batch, n, n)
    match name:
        case "current":
            return np.broadcast_to(np.eye(n, dtype=bool), shape)
        case "previous":
            return np.broadcast_to(np.eye(n, k=-1, dtype=bool), shape)
        case "first":
            return np.broadcast_to(np.arange(n) == 0, shape)
        case "duplicate":
            return _earlier_copies(tokens)
        case "induction":
            after = np.zeros(shape, dtype=bool)
            after[:, :, 1:] = _earlier_copies(tokens)[:, :, :-1]
            # When a token comes twice in a row, "the one after its earlier copy" is itself.
            return after & np.tri(n, k=-1, dtype=bool)
        case _:
            raise ValueError(f"{name!r} is not a share of attention; choose one of {TARGETED}")


def _earlier_copies(tokens: Tokens) -> Bool[np.ndarray, "batch dest src"]:
    n = tokens.length
    if tokens.half_length is not None:
        # The stripe itself: also right for tokens that were drawn with replacement.
        stripe = np.eye(n, k=-tokens.half_length, dtype=bool)
        stripe[: tokens.half_length + 1] = False
        return np.broadcast_to(stripe, (tokens.batch, n, n))
    return (tokens.ids[:, :, None] == tokens.ids[:, None, :]) & np.tri(n, k=-1, dtype=bool)


def _attention_on(
    values: Float[np.ndarray, "batch layer head dest src"],
    mask: Bool[np.ndarray, "batch dest src"],
) -> Float[np.ndarray, "batch layer head"]:
    counted = mask.any(-1).sum(-1)[:, None, None]
    total = np.einsum("blhds,bds->blh", values, mask.astype(np.float32))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(counted > 0, total / counted, np.nan), dtype=np.float32)


def _entropy(
    values: Float[np.ndarray, "batch layer head dest src"],
) -> Float[np.ndarray, "batch layer head"]:
    # x ln x tends to 0, and so does this floor of it.
    information = -(values * np.log(np.maximum(values, 1e-30))).sum(-1)
    return np.asarray(information.mean(-1), dtype=np.float32)


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
