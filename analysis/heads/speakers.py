"""Attention from the answer in a conversation, by who speaks what it goes to."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from analysis.arrays import freeze
from analysis.errors import AnalysisError
from analysis.models.loading import HeadModel
from analysis.runs.patterns import attention_patterns, layers_in_pieces
from analysis.tokens import Tokens
from analysis.turns import PARTS


@dataclass(frozen=True, eq=False)
class SpeakerAttention:
    """What every head gives to the tokens of each of `parts`, from the answer.

    `values` are means over the answer's tokens, `spread` their sample standard deviation (NaN for
    a single one), and `chance` the share of uniform attention. `dests` are the positions that
    attend: the answer's tokens, or the last position where there is no answer yet.
    """

    values: Float[np.ndarray, "layer head part"]
    spread: Float[np.ndarray, "layer head part"]
    chance: Float[np.ndarray, " part"]
    parts: tuple[str, ...]
    dests: tuple[int, ...]

    def __post_init__(self) -> None:
        # To less in a model with a sink outside the text.
        beyond = float((self.values.sum(-1) - 1).max(initial=0))
        if not beyond < 1e-4:
            raise ValueError(f"shares sum to 1 and {beyond:.2g} more")
        freeze(self, "values", "spread", "chance")


def speaker_attention(model: HeadModel, tokens: Tokens) -> SpeakerAttention:
    """Share of every head's attention that goes from the answer to each speaker's tokens.

    value[part] = mean over the answer's dest of the sum over src of that part of
    pattern[dest, src]; 0..1, over all parts 1. Chance is the same of uniform attention, which
    gives 1 / (dest + 1) to each token up to dest. The answer is the assistant's turn at the end,
    if there is one, else the last position, which is asked for its first token.

    Raises:
        AnalysisError: No conversation, or as `attention_patterns`.
    """
    members = part_members(tokens)
    dests = [at for at, part in enumerate(tokens.parts) if part == "answer"] or [tokens.length - 1]
    shares = np.concatenate(
        [
            attention_patterns(model, tokens, layers).values[0][:, :, dests] @ members.T
            for layers in layers_in_pieces(model, tokens)
        ]
    )
    even = np.tri(tokens.length, dtype=np.float32)[dests]
    chance = (even / even.sum(-1, keepdims=True) @ members.T).mean(0)
    spread = np.full_like(shares[:, :, 0], np.nan)
    if len(dests) > 1:
        spread = shares.std(2, ddof=1)
    return SpeakerAttention(shares.mean(2), spread, chance, parts_of(tokens), tuple(dests))


def parts_of(tokens: Tokens) -> tuple[str, ...]:
    """The parts that a conversation has, in the order of `PARTS`.

    Raises:
        AnalysisError: It is none.
    """
    if not tokens.speakers:
        raise AnalysisError(
            "Who speaks was asked of tokens that are no conversation. Choose a conversation."
        )
    return tuple(part for part in PARTS if part in tokens.parts)


def part_members(tokens: Tokens) -> Float[np.ndarray, "part pos"]:
    """1 where a token is of a part, else 0; rows as `parts_of` has them."""
    rows = [[part == each for each in tokens.parts] for part in parts_of(tokens)]
    return np.array(rows, dtype=np.float32)
