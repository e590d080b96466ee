"""Comparing a model as it is run here with transformers itself, once, when it is loaded.

An architecture has switches that TransformerLens may not read, such as GPT-2's
`scale_attn_weights`; a model that sets one would run, and be wrong. Whoever thought of a switch or
not: about twenty tokens show it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.errors import AnalysisError

# Largest difference that counts as rounding: of a pattern's entries (0 to 1), of the loss (nats),
# and of logits as a share of the largest. Measured: up to 3e-6 on tiny models of 20 architectures,
# 0 on SmolLM2; a switch that is not read, or is by one of the two only, gave .0025 to .8.
TOLERANCE = 2e-4
_SEQUENCES, _TOKENS = 2, 20


@dataclass(frozen=True, eq=False)
class Reference:
    """What transformers itself gives for a few tokens."""

    ids: Int[Tensor, "batch pos"]
    logits: Float[Tensor, "batch pos d_vocab"]
    patterns: tuple[Float[Tensor, "batch head dest src"], ...]


def trial_ids(n_tokens: int, d_vocab: int, device: Any = None) -> Int[Tensor, "batch pos"]:
    """A few token ids, the same every time, that leave the global random state alone."""
    random = torch.Generator().manual_seed(0)
    size = (_SEQUENCES, min(_TOKENS, n_tokens))
    return torch.randint(d_vocab, size, generator=random).to(device)


def reference(inner: Any, ids: Int[Tensor, "batch pos"], name: str) -> Reference:
    """Run a model of transformers with eager attention, before a bridge takes it over.

    Raises:
        AnalysisError: It gives no patterns to compare with, or logits that are no numbers.
    """
    with torch.inference_mode():
        found = inner(ids, output_attentions=True, use_cache=False)
    given = getattr(found, "attentions", None) or ()
    patterns = tuple(each for each in given if isinstance(each, Tensor))
    if not patterns or len(patterns) != len(given):
        raise AnalysisError(
            f"transformers gives {len(patterns)} attention patterns for {name}, not one for each "
            "layer, so there is nothing to check its attention against. Choose another model."
        )
    for layer, pattern in enumerate(patterns):
        if bool(pattern.triu(1).any()):
            raise AnalysisError(
                f"In layer {layer} of {name} tokens attend to later ones; what is run here "
                "predicts the next token from those before it. Choose another model."
            )
    logits = found.logits.float().clone()
    if not torch.isfinite(logits).all():
        raise AnalysisError(
            f"{name} was run on {ids.numel()} tokens by transformers, and its logits are not all "
            "finite. Choose another model."
        )
    return Reference(ids, logits, tuple(p.float().clone() for p in patterns))


def largest_difference(bridge: Any, known: Reference, name: str) -> float:
    """How far a bridge is from transformers, at most; units as for `TOLERANCE`.

    Raises:
        AnalysisError: More than `TOLERANCE`; the sentence names the layer and the difference.
    """
    layers = range(len(known.patterns))
    points = [f"blocks.{layer}.attn.hook_pattern" for layer in layers]
    logits, kept = run_keeping(bridge, known.ids, points)
    by_layer = []
    for layer, (point, expected) in enumerate(zip(points, known.patterns, strict=True)):
        if point not in kept or kept[point].shape != expected.shape:
            raise AnalysisError(
                f"TransformerLens shows no attention pattern of layer {layer} of {name} that "
                "could be compared with transformers. Choose another model."
            )
        by_layer.append(float((kept[point] - expected).abs().max()))
    # NaN, which is no number to be larger than another, counts as the largest.
    layer = max(layers, key=lambda i: by_layer[i] if by_layer[i] == by_layer[i] else math.inf)
    logit = share_of_largest(logits, known.logits)
    loss = abs(_loss(logits, known.ids) - _loss(known.logits, known.ids))
    differences = [
        (f"the attention of layer {layer} differs", by_layer[layer]),
        ("the loss differs in nats", loss),
        ("the logits differ, as a share of the largest,", logit),
    ]
    return largest_of(differences, known.ids.numel(), name)


def run_keeping(
    bridge: Any, ids: Int[Tensor, "batch pos"], points: Sequence[str], **beside: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits of a bridge, and what it shows at these points; without those it does not have.

    `beside` is what it is called with besides the tokens.
    """
    kept: dict[str, Tensor] = {}

    def keep(point: str) -> Any:
        def store(value: Tensor, hook: object) -> None:
            kept[point] = value.detach().float().clone()

        return store

    with torch.inference_mode():
        logits = bridge.run_with_hooks(
            ids,
            return_type="logits",
            fwd_hooks=[(point, keep(point)) for point in points],
            **beside,
        )
    return logits.float(), kept


def share_of_largest(found: Tensor, known: Tensor) -> float:
    """The largest difference, as a share of the largest size."""
    return float((found - known).abs().max() / known.abs().max().clamp(min=1e-6))


def largest_of(differences: Sequence[tuple[str, float]], n_tokens: int, name: str) -> float:
    """The largest of what was found to differ; each is said as in "the attention differs".

    Raises:
        AnalysisError: One is more than `TOLERANCE`.
    """
    for what, off in differences:
        if not off <= TOLERANCE:  # nor NaN
            raise AnalysisError(
                f"{name} was run on {n_tokens} tokens by transformers and by "
                f"TransformerLens, and {what} by {off:.2g}, where {TOLERANCE:g} at most is "
                "rounding: what is shown of it would be wrong. Choose another model."
            )
    return max(off for _, off in differences)


def require_finite(tensors: Any, name: str) -> None:
    """Refuse weights that are not all numbers.

    Raises:
        AnalysisError: NaN or infinite entries; the sentence names the first tensor with one.
    """
    for tensor, value in tensors:
        if not value.is_floating_point() or not value.numel():
            continue
        # One pass: a sum of finite numbers of a model's size is finite, and no other is.
        if not torch.isfinite(value.detach().sum()):
            count = int((~torch.isfinite(value)).sum())
            raise AnalysisError(
                f"{count} of the {value.numel():,} numbers in the weights {tensor} of {name} are "
                "NaN or infinite; all have to be finite. Copy the weights anew."
            )


def _loss(logits: Float[Tensor, "batch pos d_vocab"], ids: Int[Tensor, "batch pos"]) -> float:
    following = ids[:, 1:, None].to(logits.device)
    return -float(logits[:, :-1].log_softmax(-1).gather(-1, following).mean())
