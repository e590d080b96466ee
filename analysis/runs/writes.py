"""What heads write to the stream, also where a norm stands between them and it.

Gemma 2 and 3 norm the sum of a layer's heads before it is added to the stream. With the scale of
that norm held at the value it had at each position, every head has a write of its own again, and
these sum to what was added.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.models.loading import HeadModel
from analysis.models.norms import weighted


def norm_after_heads(model: HeadModel, layer: int) -> Any | None:
    """The norm between the heads' sum and the stream; None where nothing is between."""
    return getattr(model.bridge.blocks[layer], "ln1_post", None)


def write_points(model: HeadModel, layers: Iterable[int]) -> list[str]:
    """The hook points that `written_z` and `bias_write` go by."""
    points = []
    for layer in layers:
        points.append(f"blocks.{layer}.attn.hook_z")
        if norm_after_heads(model, layer) is not None:
            points.append(scale_after_heads(layer))
    return points


def scale_after_heads(layer: int) -> str:
    """The hook point of the scale of the norm after a layer's heads."""
    return f"blocks.{layer}.ln1_post.hook_scale"


def output_weights(model: HeadModel, layer: int) -> Float[Tensor, "head d_head d_model"]:
    """W_O, with what follows the heads multiplied in: a norm's weight, or a factor (Granite)."""
    w_o: Tensor = model.bridge.blocks[layer].attn.W_O.detach()
    norm = norm_after_heads(model, layer)
    w_o = w_o if norm is None else weighted(norm, w_o)
    return _times(w_o, model.info.traits.write_factor)


def written_z(
    kept: Mapping[str, Tensor],
    layer: int,
    z: Float[Tensor, "batch pos head d_head"] | None = None,
) -> Float[Tensor, "batch pos head d_head"]:
    """What times `output_weights` is the heads' write: z, over the scale of a norm after them.

    `z` is the run's own, or another that takes its place under the run's scale.
    """
    z = kept[f"blocks.{layer}.attn.hook_z"] if z is None else z
    scale = kept.get(scale_after_heads(layer))
    return z if scale is None else z / scale[..., None]


def bias_write(
    model: HeadModel, kept: Mapping[str, Tensor], layer: int
) -> Float[Tensor, "*batch_pos d_model"] | None:
    """What the bias of a layer's heads adds to the stream; None without one."""
    bias: Tensor | None = model.bridge.blocks[layer].attn.b_O
    norm = norm_after_heads(model, layer)
    if bias is None:
        return None
    bias = _times(bias, model.info.traits.write_factor)
    return bias if norm is None else weighted(norm, bias) / kept[scale_after_heads(layer)]


def _times(values: Float[Tensor, "*shape"], factor: float) -> Float[Tensor, "*shape"]:
    return values if factor == 1 else values * factor  # without a copy where nothing changes


def output_gram(model: HeadModel, layer: int) -> Float[Tensor, "head d_head d_head"]:
    """W_O W_O^T: with it the length of v W_O is had without that product."""
    w_o = output_weights(model, layer)
    return torch.einsum("hem,hfm->hef", w_o, w_o)


def source_lengths(
    model: HeadModel,
    layer: int,
    v: Float[Tensor, "batch pos kv_head d_head"],
    gram: Float[Tensor, "head d_head d_head"],
) -> Float[Tensor, "batch head pos"]:
    """|x W_V W_O|: how long what each head would write of each source is, without b_V.

    `v` is the layer's values, `gram` its `output_gram`. Source: Kobayashi et al. 2020.
    """
    bias = model.bridge.blocks[layer].attn.b_V
    if bias is not None:
        v = v - bias.view(v.shape[2:])
    v = v.repeat_interleave(len(gram) // v.shape[2], 2)
    return torch.einsum("bphe,hef,bphf->bhp", v, gram, v).clamp(min=0).sqrt()
