"""What a norm of a bridge multiplies by and adds."""

from typing import Any

from jaxtyping import Float
from torch import Tensor


def norm_weight(norm: Any) -> Float[Tensor, " width"] | None:
    """What a norm multiplies by; Gemma's weights are kept as the difference from 1. None: by 1."""
    weight: Tensor | None = getattr(norm.original_component, "weight", None)
    if weight is None or not getattr(norm, "uses_weight_offset", False):
        return weight
    return 1 + weight


def norm_bias(norm: Any) -> Float[Tensor, " width"] | None:
    """What a LayerNorm adds; None: nothing, as in OLMo and Cohere."""
    bias: Tensor | None = getattr(norm.original_component, "bias", None)
    return bias


def weighted(norm: Any, values: Float[Tensor, "*shape"], axis: int = -1) -> Float[Tensor, "*shape"]:
    """Values times a norm's weight along that axis, the last or the one before it."""
    weight = norm_weight(norm)
    if weight is None:
        return values
    return values * (weight if axis == -1 else weight[:, None])
