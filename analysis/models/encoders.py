"""Encoders such as BERT: telling one from its config, and comparing it with transformers.

An encoder's tokens see those before and after them. It is run with the segment of each token, up
to its last layer; where it has a head for masked tokens, up to that head's logits.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import MODEL_FOR_MASKED_LM_MAPPING, AutoModelForMaskedLM

from analysis.errors import AnalysisError
from analysis.models.check import largest_of, run_keeping, share_of_largest


@dataclass(frozen=True, eq=False)
class Encoded:
    """What transformers itself gives for a few tokens: patterns, and what comes out at the end.

    `last` are the logits of masked tokens, or without such a head the last layer's output.
    """

    ids: Int[Tensor, "batch pos"]
    segments: Int[Tensor, "batch pos"]
    patterns: tuple[Float[Tensor, "batch head dest src"], ...]
    last: Float[Tensor, "batch pos out"]
    has_head: bool


def is_encoder(config: Any) -> bool:
    """Whether transformers has a head for masked tokens for this config, and it is no decoder."""
    return type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)


def without_head(inner: Any, missing: list[str]) -> bool:
    """Whether the weights lack the head for masked tokens, and nothing else; it is then zeroed.

    transformers fills at random what a file of weights lacks.
    """
    own = f"{inner.base_model_prefix}."
    if not missing or any(name.startswith(own) for name in missing):
        return False
    for name, parameter in inner.named_parameters():
        if not name.startswith(own):
            parameter.data.zero_()
    return True


def masked_head(inner: Any) -> Any:
    """What makes logits of masked tokens of the last layer's output."""
    (head,) = _behind_base(inner)
    return head


def _behind_base(inner: Any) -> list[Any]:
    own = inner.base_model_prefix
    return [module for name, module in inner.named_children() if name != own]


def with_head(inner: Any) -> tuple[Any, bool]:
    """An encoder with a head for masked tokens, and whether that is its own; else it is zeroed.

    Of one that does something else, such as classify, it is the base that gets the head.
    """
    kind: Any = MODEL_FOR_MASKED_LM_MAPPING[type(inner.config)]
    if isinstance(inner, kind):
        return inner, True
    with torch.device("meta"):
        whole: Any = AutoModelForMaskedLM.from_config(inner.config, attn_implementation="eager")
    setattr(whole, whole.base_model_prefix, inner.base_model)
    for module in _behind_base(whole):
        for parameter in module.to_empty(device=inner.device).parameters():
            parameter.data.zero_()
    whole.tie_weights()
    return whole.eval(), False


def segment_count(inner: Any) -> int:
    """How many segments an encoder tells apart."""
    return max(1, int(getattr(inner.config, "type_vocab_size", 1) or 1))


def most_positions(inner: Any) -> int:
    """The most tokens that it has positions for: RoBERTa's begin behind that of padding."""
    table = inner.base_model.embeddings.position_embeddings
    padding = table.padding_idx
    return int(table.num_embeddings - (0 if padding is None else padding + 1))


def encode(inner: Any, ids: Int[Tensor, "batch pos"], name: str, has_head: bool) -> Encoded:
    """Run an encoder of transformers with eager attention, before a bridge takes it over.

    Raises:
        AnalysisError: It gives no pattern for a layer, none that looks ahead, or numbers that are
            not finite.
    """
    segments = torch.zeros_like(ids)
    segments[:, ids.shape[1] // 2 :] = min(1, segment_count(inner) - 1)
    with torch.inference_mode():
        found = inner(
            ids, token_type_ids=segments, output_attentions=True, output_hidden_states=True
        )
    patterns = tuple(found.attentions or ())
    if not patterns:
        raise AnalysisError(
            f"transformers gives no attention patterns for {name}, so there is nothing to check "
            "its attention against. Choose another model."
        )
    if not any(bool(pattern.triu(1).any()) for pattern in patterns):
        raise AnalysisError(
            f"{name} was taken for an encoder, and no token of it attends to a later one. Choose "
            "another model."
        )
    last = found.logits if has_head else found.hidden_states[-1]
    if not torch.isfinite(last).all():
        raise AnalysisError(
            f"{name} was run on {ids.numel()} tokens by transformers, and what comes out is not "
            "all finite. Choose another model."
        )
    kept = tuple(pattern.float().clone() for pattern in patterns)
    return Encoded(ids, segments, kept, last.float().clone(), has_head)


def encoder_difference(bridge: Any, known: Encoded, name: str) -> float:
    """How far a bridge is from transformers at most: of patterns, and of the end as a share.

    Raises:
        AnalysisError: More than `TOLERANCE`; the sentence names the place and the difference.
    """
    layers = range(len(known.patterns))
    points = [f"blocks.{layer}.attn.hook_pattern" for layer in layers]
    end = f"blocks.{layers[-1]}.hook_resid_post"
    logits, kept = run_keeping(bridge, known.ids, (*points, end), token_type_ids=known.segments)
    if missing := [point for point in (*points, end) if point not in kept]:
        raise AnalysisError(
            f"TransformerLens shows nothing at {missing[0]} of {name} that could be compared with "
            "transformers. Choose another model."
        )
    last = logits if known.has_head else kept[end]
    what = "the logits of masked tokens differ" if known.has_head else "the last layer differs"
    differences = [
        (f"the attention of layer {layer} differs", float((kept[point] - pattern).abs().max()))
        for layer, (point, pattern) in enumerate(zip(points, known.patterns, strict=True))
    ]
    share = share_of_largest(last, known.last)
    differences.append((f"{what}, as a share of the largest,", share))
    return largest_of(differences, known.ids.numel(), name)
