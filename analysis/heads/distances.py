"""How far back heads look, and when induction heads rest: patterns summed up by distance."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from analysis.arrays import freeze
from analysis.errors import AnalysisError
from analysis.runs.inputs import Tokens
from analysis.runs.patterns import Patterns


@dataclass(frozen=True, eq=False)
class RestingAttention:
    """Mean attention to position 0 in each half of repeated tokens, [layer, head], 0..1."""

    first_half: Float[np.ndarray, "layer head"]
    second_half: Float[np.ndarray, "layer head"]
    chance: tuple[float, float]

    def __post_init__(self) -> None:
        freeze(self, "first_half", "second_half")


def distance_profile(patterns: Patterns, tokens: Tokens) -> Float[np.ndarray, "layer head pos"]:
    """Mean attention of each head at every distance dest - src.

    profile[l, h, d] = mean over sequences and destinations of pattern[l, h, dest, dest - d]. On
    repeated tokens the destinations are those of the second half (S+1..2S), which all have
    sources up to distance S+1; larger distances, and on a prompt all of them, are averaged over
    the destinations that reach so far. 0..1. Source: ARENA 1.2, section 2.8, where single
    diagonals are averaged.

    Raises:
        ValueError: The patterns are not of these tokens.
    """
    values = _checked(patterns, tokens)
    first = 0 if tokens.half_length is None else tokens.half_length + 1
    profile = np.empty((*values.shape[1:3], tokens.length), np.float32)
    for distance in range(tokens.length):
        # Entry i of this diagonal is destination i + distance.
        diagonal = np.diagonal(values, -distance, axis1=-2, axis2=-1)
        profile[..., distance] = diagonal[..., max(first - distance, 0) :].mean((0, -1))
    profile.setflags(write=False)
    return profile


def pattern_change(one: Patterns, other: Patterns) -> Float[np.ndarray, "layer head"]:
    """How much of each head's attention goes elsewhere in other patterns.

    change[l, h] = mean over sequences and dest >= 1 of half the sum over src of
    |other[dest, src] - one[dest, src]|: the total variation, 0 for the same patterns, 1 for ones
    that share no source. The first token has only itself and is left out, and so are positions
    that only one of both has.

    Raises:
        AnalysisError: One of them has a single token.
    """
    shared = min(one.values.shape[-1], other.values.shape[-1])
    if shared < 2:
        raise AnalysisError("A text of one token has nothing to look back at. Type a longer one.")
    rows = (..., slice(1, shared), slice(shared))
    moved = np.abs(other.values[rows] - one.values[rows]).sum(-1) / 2
    change = np.asarray(moved.mean((0, -1)), dtype=np.float32)
    change.setflags(write=False)
    return change


def resting_attention(patterns: Patterns, tokens: Tokens) -> RestingAttention:
    """How much heads rest on the first token while nothing repeats, and while everything does.

    first half: mean over dest 1..S of pattern[dest, 0]; second half: over dest S+1..2S. An
    induction head that has nothing to copy rests there, and leaves when it finds a match. 0..1;
    chance is the same for uniform attention. Source: ARENA 1.2, section 2.8.

    Raises:
        AnalysisError: Tokens that are not repeated.
        ValueError: The patterns are not of these tokens.
    """
    half = tokens.half_length
    if half is None:
        raise AnalysisError(
            "A prompt has no random and no repeated half. Set the input to repeated tokens."
        )
    values = _checked(patterns, tokens)[..., 0]
    uniform = 1 / np.arange(1, tokens.length + 1)
    halves = slice(1, half + 1), slice(half + 1, 2 * half + 1)
    first, second = (values[..., rows].mean((0, -1)) for rows in halves)
    chance = float(uniform[halves[0]].mean()), float(uniform[halves[1]].mean())
    return RestingAttention(first, second, chance)


def _checked(patterns: Patterns, tokens: Tokens) -> Float[np.ndarray, "batch layer head dest src"]:
    values = patterns.values
    if values.shape[0] != tokens.batch or values.shape[-1] != tokens.length:
        raise ValueError(
            f"patterns of {values.shape[0]} x {values.shape[-1]} tokens, "
            f"but {tokens.batch} x {tokens.length} tokens"
        )
    return values
