"""Attention patterns with each cell weighted by what comes of it: a write, or part of a logit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from analysis.arrays import freeze, to_numpy
from analysis.definitions import WEIGHTINGS
from analysis.errors import AnalysisError
from analysis.head import Head, require_heads
from analysis.limits import rows_at_once
from analysis.logits.attribution import resolve_targets
from analysis.logits.sources import TOLERANCE, by_source, source_points
from analysis.models.capabilities import (
    require_head_writes,
    require_plain_logits,
    require_source_writes,
)
from analysis.models.loading import HeadModel
from analysis.runs.forward import Hook, run_without_logits, silence
from analysis.runs.patterns import chosen_layers
from analysis.runs.reads import read_direction
from analysis.runs.writes import output_gram, source_lengths
from analysis.tokens import Tokens


@dataclass(frozen=True, eq=False)
class WeightedPatterns:
    """Patterns of `layers`, weighted as `weighting` says; 0 for sources after the destination.

    `total` is what a row sums to, worked out in another way: of an answer-weighted pattern the
    head's direct attribution, from its z; None where rows have no such sum.
    """

    weighting: str
    values: Float[np.ndarray, "batch layer head dest src"]
    layers: tuple[int, ...]
    total: Float[np.ndarray, "batch layer head dest"] | None = None

    def __post_init__(self) -> None:
        if self.values.shape[1] != len(self.layers):
            raise ValueError(f"{self.values.shape[1]} layers of values for {len(self.layers)}")
        if not self.error < TOLERANCE:
            raise ValueError(f"rows sum to the heads' attribution within {self.error:.2g} only")
        freeze(self, "values")
        if self.total is not None:
            freeze(self, "total")

    @property
    def error(self) -> float:
        """Largest difference between a row's sum and the head's attribution."""
        if self.total is None:
            return 0.0
        return float(np.abs(self.values.sum(-1) - self.total).max(initial=0))


def weighted_patterns(
    model: HeadModel,
    tokens: Tokens,
    weighting: str,
    layers: Sequence[int] | None = None,
    targets: int | Int[np.ndarray, "batch pos"] | None = None,
    foils: int | Int[np.ndarray, "batch pos"] | None = None,
    end: int | Int[np.ndarray, " batch"] | None = None,
    without: Sequence[Head] = (),
) -> WeightedPatterns:
    """Patterns with every cell weighted by what the head makes of that source.

    value: pattern[dest, src] * |x[src] W_V W_O|, without b_V; a length in the stream, 0 or more.
    answer: pattern[dest, src] * (v[src] W_O . direction[dest]), in logits, of either sign; summed
    over src it is the head's entry of `logit_attribution`, whose direction this is. Source:
    Kobayashi et al. 2020; ARENA 1.2, section 3.4.

    Args:
        model: The model.
        tokens: Its tokens.
        weighting: "value" or "answer".
        layers: Layers to return, all by default.
        targets: As for `logit_attribution`; of no use by value, as the next two.
        foils: As there.
        end: As there; without targets and end the last position is left out.
        without: Heads that are zero-ablated meanwhile, as for `attention_patterns`.

    Raises:
        AnalysisError: Another weighting, a model in which it does not exist, targets that do not
            fit, or as `attention_patterns`.
    """
    chosen = chosen_layers(model, tokens, layers)
    hooks = silence(require_heads(model.info, without) if without else ())
    if weighting == "value":
        require_source_writes(model.info)
        return WeightedPatterns(weighting, _by_value(model, tokens, chosen, hooks), chosen)
    if weighting == "answer":
        require_head_writes(model.info)
        require_plain_logits(model.info)
        ids = resolve_targets(model, tokens, targets, foils, end)
        return WeightedPatterns(weighting, *_by_answer(model, tokens, chosen, hooks, *ids))
    known = ", ".join(each for each in WEIGHTINGS if not WEIGHTINGS[each].plain)
    raise AnalysisError(
        f"Patterns weighted by {weighting} were asked for; there are {known}. Choose one of these."
    )


def _by_value(
    model: HeadModel,
    tokens: Tokens,
    layers: tuple[int, ...],
    hooks: Sequence[tuple[str, Hook]],
) -> Float[np.ndarray, "batch layer head dest src"]:
    n = tokens.length
    values = np.empty((tokens.batch, len(layers), model.n_heads, n, n), np.float32)
    grams = [output_gram(model, layer) for layer in layers]
    names = [f"blocks.{layer}.attn.hook_{part}" for layer in layers for part in ("pattern", "v")]
    done = 0
    for some in tokens.tensor.split(rows_at_once(n, model.d_vocab)):
        kept = run_without_logits(model, some, names, hooks)
        for place, (layer, gram) in enumerate(zip(layers, grams, strict=True)):
            lengths = source_lengths(model, layer, kept[f"blocks.{layer}.attn.hook_v"], gram)
            pattern = kept.pop(f"blocks.{layer}.attn.hook_pattern")
            values[done : done + len(some), place] = to_numpy(pattern * lengths[:, :, None])
        done += len(some)
    return values


def _by_answer(
    model: HeadModel,
    tokens: Tokens,
    layers: tuple[int, ...],
    hooks: Sequence[tuple[str, Hook]],
    target_ids: Int[np.ndarray, "batch pos"],
    foil_ids: Int[np.ndarray, "batch pos"] | None,
) -> tuple[
    Float[np.ndarray, "batch layer head dest src"],
    tuple[int, ...],
    Float[np.ndarray, "batch layer head dest"],
]:
    n_pos, heads = target_ids.shape[1], range(model.n_heads)
    values = np.empty((tokens.batch, len(layers), len(heads), n_pos, n_pos), np.float32)
    total = np.empty(values.shape[:-1], np.float32)
    scale = ["ln_final.hook_scale"] if model.info.normalization else []
    done = 0
    for some in tokens.tensor.split(rows_at_once(tokens.length, model.d_vocab)):
        rows = slice(done, done + len(some))
        kept = run_without_logits(model, some, [*source_points(model, layers), *scale], hooks)
        direction, _ = read_direction(
            model,
            target_ids[rows],
            None if foil_ids is None else foil_ids[rows],
            kept[scale[0]][:, :n_pos] if scale else None,
        )
        for place, layer in enumerate(layers):
            split, whole = by_source(model, kept, layer, direction, heads)
            values[rows, place], total[rows, place] = to_numpy(split), to_numpy(whole)
        done += len(some)
    return values, layers, total
