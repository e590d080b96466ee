"""The way of queries and keys to the products that they meet in: norms and turns by position."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.models.info import Turn
from analysis.models.norms import weighted

Side = Literal["q", "k"]


def points(bridge: Any, layer: int, turn: Turn) -> list[str]:
    """The hook points that `compared` goes by."""
    attention = f"blocks.{layer}.attn"
    names = [f"{attention}.hook_cos", f"{attention}.hook_sin"] if turn.rule != "none" else []
    if norms_queries(bridge, layer):
        names += [f"{attention}.{side}_norm.hook_scale" for side in ("q", "k")]
    return names


def norms_queries(bridge: Any, layer: int) -> bool:
    """Whether the layer norms the queries and keys of each head, as Qwen 3 and Gemma 3 do."""
    return getattr(bridge.blocks[layer].attn, "q_norm", None) is not None


def compared(
    bridge: Any,
    kept: Mapping[str, Tensor],
    layer: int,
    side: Side,
    head: int,
    vectors: Float[Tensor, "*part batch pos d_head"],
    turn: Turn,
) -> Float[Tensor, "*part batch pos d_head"]:
    """A head's queries or keys, or parts of them, as they meet: `q . k` is then the score.

    A norm's scale is the one that the whole had, so that parts which sum to the whole still do.
    `kept` are activations at `points`.
    """
    if not norms_queries(bridge, layer):
        return turned(kept, layer, vectors, turn)
    scale = kept[f"blocks.{layer}.attn.{side}_norm.hook_scale"][:, head]
    norm = getattr(bridge.blocks[layer].attn, f"{side}_norm")
    if turn.norm_last:
        return weighted(norm, turned(kept, layer, vectors, turn) / scale)
    return turned(kept, layer, weighted(norm, vectors / scale), turn)


def turned(
    kept: Mapping[str, Tensor],
    layer: int,
    vectors: Float[Tensor, "*part batch pos d_head"],
    turn: Turn,
) -> Float[Tensor, "*part batch pos d_head"]:
    """Vectors turned by the angles of their positions, at `hook_cos` and `hook_sin`."""
    if turn.rule == "none":
        return vectors
    cos, sin = (kept[f"blocks.{layer}.attn.hook_{part}"] for part in ("cos", "sin"))
    turning, rest = vectors[..., : cos.shape[-1]], vectors[..., cos.shape[-1] :]
    if turn.rule == "pairs":
        cos, sin = _by_pair(cos), _by_pair(sin)
        first, second = turning[..., ::2], turning[..., 1::2]
        aside = torch.stack([-second, first], -1).flatten(-2)
    else:
        first, second = turning.chunk(2, -1)
        aside = torch.cat([-second, first], -1)
    return torch.cat([turning * cos + aside * sin, rest], -1)


def _by_pair(of_angles: Float[Tensor, "batch pos width"]) -> Float[Tensor, "batch pos width"]:
    # Some architectures hand out the angles of all pairs twice in a row, others each one twice.
    first, second = of_angles.chunk(2, -1)
    return first.repeat_interleave(2, -1) if torch.equal(first, second) else of_angles


def score_cap(bridge: Any, layer: int) -> float | None:
    """The size that a layer's scores are bent to stay below (Gemma 2); None without one."""
    cap = getattr(bridge.blocks[layer].attn.original_component, "attn_logit_softcapping", 0)
    return float(cap) if cap else None
