"""Attention patterns."""

from collections.abc import Sequence

import numpy as np

from analysis.arrays import to_numpy
from analysis.errors import AnalysisError
from analysis.head import Head, require_heads
from analysis.limits import MAX_BYTES, rows_at_once
from analysis.models.loading import HeadModel
from analysis.runs.forward import run_without_logits, silence
from analysis.runs.results import Patterns
from analysis.tokens import Tokens


def attention_patterns(
    model: HeadModel,
    tokens: Tokens,
    layers: Sequence[int] | None = None,
    without: Sequence[Head] = (),
) -> Patterns:
    """Attention from every destination to every source, by head.

    pattern[dest, src] = softmax over src of q[dest] . k[src] * scale, src <= dest, with the
    model's own scale; in an encoder over every src. Range 0..1, rows sum to 1 (to less in a model
    with a sink outside the text), 0 above the diagonal but for encoders. Source: ARENA 1.2,
    sections 1.5-1.7.

    Args:
        model: The model.
        tokens: Its tokens.
        layers: Layers to return, all by default. Only these are kept.
        without: Heads that are zero-ablated meanwhile (z = 0). Patterns up to their own layer
            stay as they are; later ones lose what these heads tell them.

    Raises:
        AnalysisError: No layer, a layer or head the model lacks, or an answer larger than
            `analysis.limits.MAX_BYTES`.
    """
    chosen = chosen_layers(model, tokens, layers)
    ablated = require_heads(model.info, without) if without else ()
    names = {layer: f"blocks.{layer}.attn.hook_pattern" for layer in chosen}
    values = np.empty(
        (tokens.batch, len(chosen), model.n_heads, tokens.length, tokens.length), np.float32
    )
    done = 0
    for some in tokens.tensor.split(rows_at_once(tokens.length, model.d_vocab)):
        kept = run_without_logits(
            model, some, list(names.values()), silence(ablated), segments=tokens.segment_tensor
        )
        for place, layer in enumerate(chosen):
            values[done : done + len(some), place] = to_numpy(kept.pop(names[layer]))
        done += len(some)
    return Patterns(values, chosen, model.info.traits.rows_sum_to_1)


def chosen_layers(
    model: HeadModel, tokens: Tokens, layers: Sequence[int] | None
) -> tuple[int, ...]:
    """The layers whose patterns are asked for, all by default.

    Raises:
        AnalysisError: No layer, a layer that the model lacks, or more than
            `analysis.limits.MAX_BYTES` of patterns.
    """
    chosen = tuple(range(model.n_layers)) if layers is None else tuple(layers)
    if not chosen:
        raise AnalysisError("No layer was chosen. Choose at least one layer.")
    for layer in chosen:
        if not 0 <= layer < model.n_layers:
            raise AnalysisError(
                f"Layer {layer} was asked for; {model.name} has layers 0 to {model.n_layers - 1}."
            )
    size = 4 * tokens.batch * len(chosen) * model.n_heads * tokens.length**2
    if size > MAX_BYTES:
        raise AnalysisError(
            f"These patterns would take {size / 2**20:,.0f} MiB; the limit is "
            f"{MAX_BYTES / 2**20:,.0f}. Ask for fewer layers, sequences or tokens."
        )
    return chosen


def layers_in_pieces(model: HeadModel, tokens: Tokens) -> list[range]:
    """All layers, as many at a time as `attention_patterns` returns on these tokens."""
    size = 4 * tokens.batch * model.n_heads * tokens.length**2
    at_once = max(1, MAX_BYTES // size)
    layers = range(model.n_layers)
    return [layers[first : first + at_once] for first in range(0, model.n_layers, at_once)]
