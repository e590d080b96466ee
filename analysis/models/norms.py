"""What a norm of a bridge multiplies by."""

from typing import Any

from jaxtyping import Float
from torch import Tensor


def norm_weight(norm: Any) -> Float[Tensor, " width"]:
    """What a norm multiplies by; Gemma's weights are kept as the difference from 1."""
    weight: Tensor = norm.original_component.weight
    return 1 + weight if norm.uses_weight_offset else weight
