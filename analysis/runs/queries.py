"""Queries and keys as attention compares them: after the model's norms and turns of them."""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.models.loading import HeadModel
from analysis.models.norms import norm_weight

Side = Literal["q", "k"]


def comparison_points(model: HeadModel, layer: int) -> list[str]:
    """The hook points that `as_compared` goes by, of those that the model has."""
    attention = f"blocks.{layer}.attn"
    points = []
    if model.info.positions == "rotary":
        points += [f"{attention}.hook_cos", f"{attention}.hook_sin"]
    if norms_queries(model, layer):
        points += [f"{attention}.{side}_norm.hook_scale" for side in ("q", "k")]
    return points


def norms_queries(model: HeadModel, layer: int) -> bool:
    """Whether the layer norms the queries and keys of each head, as Qwen 3 and Gemma 3 do."""
    return getattr(model.bridge.blocks[layer].attn, "q_norm", None) is not None


def as_compared(
    model: HeadModel,
    kept: Mapping[str, Tensor],
    layer: int,
    side: Side,
    head: int,
    vectors: Float[Tensor, "*part batch pos d_head"],
) -> Float[Tensor, "*part batch pos d_head"]:
    """A head's queries or keys, or parts of them, as they meet: `q . k` is then the score.

    Where the model norms them each is divided by the scale that the whole had at its position, and
    with rotary positions each is turned by the angle of its position. Both are linear once the
    scale is given, so parts that sum to the whole still do.

    Args:
        model: The model.
        kept: Activations at `comparison_points`.
        layer: The head's layer.
        side: Queries or keys.
        head: The head, of the key/value heads for keys.
        vectors: What the layer's weights and biases gave.
    """
    attention = f"blocks.{layer}.attn"
    if norms_queries(model, layer):
        scale = kept[f"{attention}.{side}_norm.hook_scale"][:, head]
        norm = getattr(model.bridge.blocks[layer].attn, f"{side}_norm")
        vectors = vectors / scale * norm_weight(norm)
    if model.info.positions != "rotary":
        return vectors
    cos, sin = kept[f"{attention}.hook_cos"], kept[f"{attention}.hook_sin"]
    turning, rest = vectors[..., : cos.shape[-1]], vectors[..., cos.shape[-1] :]
    first, second = turning.chunk(2, -1)
    return torch.cat([turning * cos + torch.cat([-second, first], -1) * sin, rest], -1)


def score_cap(model: HeadModel, layer: int) -> float | None:
    """The size that a layer's scores are bent to stay below (Gemma 2); None without one."""
    cap = getattr(model.bridge.blocks[layer].attn.original_component, "attn_logit_softcapping", 0)
    return float(cap) if cap else None
