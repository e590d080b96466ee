"""What a logit reads of the stream."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.models.loading import HeadModel
from analysis.models.norms import norm_bias, weighted


def read_direction(
    model: HeadModel,
    target_ids: Int[np.ndarray, "batch pos"],
    foil_ids: Int[np.ndarray, "batch pos"] | None,
    scale: Float[Tensor, "batch pos 1"] | None,
) -> tuple[Float[Tensor, "batch pos d_model"], Float[Tensor, "batch pos"]]:
    """The direction of the stream that a logit reads, and what the final norm's bias adds to it.

    A write's part of the logit is its product with the direction. `scale` is that of the final
    norm at each position, for models that have one.
    """
    unembedding = model.bridge.W_U.T  # [d_vocab, d_model]; stacked anew at each access

    def rows(ids: np.ndarray) -> Tensor:
        return unembedding[torch.tensor(ids, device=unembedding.device)]

    direction = rows(target_ids)
    if foil_ids is not None:
        direction = direction - rows(foil_ids)
    direction = direction * model.info.traits.logit_factor
    constant = torch.zeros(target_ids.shape, device=direction.device)
    if scale is not None:
        # LayerNorm(x) = (x - mean x) / scale * w + b, with the scale frozen: centring x is the
        # same as centring the direction it is read in.
        norm = model.bridge.ln_final
        gained = weighted(norm, direction)
        if model.info.normalization == "LN":  # an RMS norm takes no mean and has no bias
            if (bias := norm_bias(norm)) is not None:
                constant = constant + direction @ bias
            gained = gained - gained.mean(-1, keepdim=True)
        direction = gained / scale
    return direction, constant
