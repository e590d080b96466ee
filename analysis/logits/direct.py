"""What each head adds directly to the answers of a set of prompts."""

from collections.abc import Sequence

import einops
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.arrays import to_numpy
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.logits.attribution import read_direction
from analysis.models.capabilities import require_head_writes, require_plain_logits
from analysis.models.loading import HeadModel
from analysis.runs.forward import run_without_logits, silence
from analysis.runs.writes import output_weights, write_points, written_z
from analysis.sets.fitted import FittedSet, fit_set
from analysis.sets.metrics import parts
from analysis.sets.rows import PromptSet


def mean_direct_effects(
    model: HeadModel, prompts: PromptSet, *, prepend_bos: bool = True
) -> Float[np.ndarray, "layer head"]:
    """Mean of `direct_effects` over the rows of a set, in logits."""
    return direct_effects(model, fit_set(model, prompts, prepend_bos)).mean(0)


def direct_effects(
    model: HeadModel, fitted: FittedSet, without: Sequence[Head] = ()
) -> Float[np.ndarray, "row layer head"]:
    """What each head adds to logit(answer) - logit(foil) after each prompt, or to the answer's.

    value[row, layer, head] = z[end] W_O . direction, as in `logit_attribution`: the final norm's
    scale is held at the value it had. Rows without a foil have the answer's logit alone. In logits.
    Source: Wang et al. 2022.

    Args:
        model: The model.
        fitted: The set; every row needs an answer.
        without: Heads that are zero-ablated meanwhile: later heads may make up for them.

    Raises:
        AnalysisError: A row without an answer, or heads without a write of their own.
    """
    require_head_writes(model.info)
    require_plain_logits(model.info)
    if not fitted.has_answers:
        raise AnalysisError("Direct effects need an answer in every row. Add a column `answer`.")
    layers = range(model.n_layers)
    points = write_points(model, layers)
    scales = ["ln_final.hook_scale"] if model.info.normalization else []
    found = np.empty((len(fitted.rows), model.n_layers, model.n_heads), np.float32)
    for batch in parts(fitted):
        captured = [*points, *scales]
        kept = run_without_logits(model, batch.tokens.tensor, captured, silence(without))
        end: dict[str, Tensor] = {name: value[:, -1:] for name, value in kept.items()}
        foils = batch.foils[:, None] if fitted.has_foils else None
        scale = end["ln_final.hook_scale"] if scales else None
        direction, _ = read_direction(model, batch.answers[:, None], foils, scale)
        each = [
            einops.einsum(
                written_z(end, layer),
                output_weights(model, layer),
                direction,
                "b p h e, h e m, b p m -> b h",
            )
            for layer in layers
        ]
        found[batch.rows] = to_numpy(torch.stack(each, 1))
    return found
