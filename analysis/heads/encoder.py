"""Scores of an encoder's heads, whose tokens look both ways."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float

from analysis.definitions import ENCODER_SCORES, SCORES
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models.loading import HeadModel
from analysis.runs.patterns import attention_patterns, layers_in_pieces
from analysis.runs.results import heads_above
from analysis.tokens import Tokens


@dataclass(frozen=True, eq=False)
class EncoderScores:
    """Scores of every head by name, and what attention spread evenly over all tokens has."""

    values: Mapping[str, Float[np.ndarray, "layer head"]]
    chance: Mapping[str, float]

    @property
    def known(self) -> dict[str, Float[np.ndarray, "layer head"]]:
        """The scores that this text has: there may be no token that comes twice."""
        return {name: each for name, each in self.values.items() if not np.isnan(each).all()}

    def above(self, name: str, threshold: float) -> list[tuple[Head, float]]:
        """Heads that score more than `threshold`, highest first."""
        return heads_above(self.values[name], threshold)

    def __post_init__(self) -> None:
        for values in self.values.values():
            values.setflags(write=False)
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))
        object.__setattr__(self, "chance", MappingProxyType(dict(self.chance)))


def encoder_scores(
    patterns: Float[np.ndarray, "layer head token token"],
    ids: Sequence[int],
    separators: Sequence[int] = (),
) -> EncoderScores:
    """What the heads of an encoder attend to in one sequence.

    `previous`, `current` and `entropy` are defined as for decoders
    (`analysis.definitions.scores`); `next`, `copies` and `separator` in
    `analysis.definitions.encoders`. NaN where the sequence has no such token. Chance is that of
    attention spread evenly over all tokens, before and after.

    Args:
        patterns: Attention, rows over src.
        ids: The tokens.
        separators: Ids of the tokens that frame a text.

    Raises:
        ValueError: Another number of ids than of tokens.
    """
    n = patterns.shape[-1]
    if len(ids) != n:
        raise ValueError(f"{len(ids)} ids for patterns of {n} tokens")
    targets = _targets(np.asarray(ids), np.isin(ids, list(separators)))
    uniform = np.full((1, 1, n, n), 1 / n, np.float32)
    return EncoderScores(
        {name: _score(name, patterns, targets) for name in ENCODER_SCORES},
        {name: float(_score(name, uniform, targets)[0, 0]) for name in ENCODER_SCORES},
    )


def scores_of_encoder(model: HeadModel, tokens: Tokens) -> EncoderScores:
    """`encoder_scores` of every head of an encoder on a text, from its own run.

    Raises:
        AnalysisError: Not an encoder.
    """
    if not tokens.segments:
        raise AnalysisError(
            f"These scores are of encoders; {model.name} predicts the next token. Take its head "
            "scores."
        )
    pieces = layers_in_pieces(model, tokens)
    patterns = [attention_patterns(model, tokens, layers).values[0] for layers in pieces]
    ids: list[int] = tokens.ids[0].tolist()
    frames = [ids[place] for place in tokens.frames]
    found = [encoder_scores(some, ids, frames) for some in patterns]
    values = {
        name: np.concatenate([each.values[name] for each in found]) for name in ENCODER_SCORES
    }
    return EncoderScores(values, found[0].chance)


def _targets(
    ids: np.ndarray, frames: Bool[np.ndarray, " token"]
) -> dict[str, Bool[np.ndarray, "token token"]]:
    n = len(ids)
    same = (ids[:, None] == ids) & ~np.eye(n, dtype=bool) & ~frames[:, None]
    return {
        "previous": np.eye(n, k=-1, dtype=bool),
        "next": np.eye(n, k=1, dtype=bool),
        "current": np.eye(n, dtype=bool),
        "copies": same,
        "separator": ~frames[:, None] & frames,
    }


def _score(
    name: str,
    patterns: Float[np.ndarray, "layer head token token"],
    targets: Mapping[str, Bool[np.ndarray, "token token"]],
) -> Float[np.ndarray, "layer head"]:
    if (measure := SCORES[name].measure if name in SCORES else None) is not None:
        return measure(patterns[None])[0]
    counted = int(targets[name].any(-1).sum())
    total = (patterns * targets[name]).sum((-1, -2))
    return np.asarray(total / counted if counted else total * np.nan, dtype=np.float32)
