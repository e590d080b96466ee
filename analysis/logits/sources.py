"""What one head adds to a logit, split by the source tokens it reads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import einops
import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.errors import AnalysisError
from analysis.head import Head, require_heads
from analysis.limits import MAX_BYTES
from analysis.logits.attribution import resolve_targets
from analysis.models.capabilities import (
    require_head_writes,
    require_plain_logits,
    require_seen_values,
)
from analysis.models.loading import HeadModel
from analysis.runs.forward import run_without_logits
from analysis.runs.inputs import Tokens
from analysis.runs.reads import read_direction
from analysis.runs.writes import output_weights, scale_after_heads, write_points

# float32 rounding of a sum over sources; measured below 1e-5 on the bundled model.
TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class SourceAttribution:
    """A head's part of a logit (or of target minus foil) at each destination, by source.

    `values` are 0 for sources after the destination, which the head cannot read. `total` is the
    head's direct logit attribution, computed from its output z and not from the split.
    """

    head: Head
    values: Float[np.ndarray, "batch dest src"]
    total: Float[np.ndarray, "batch dest"]
    targets: Int[np.ndarray, "batch dest"]

    def __post_init__(self) -> None:
        if not self.error < TOLERANCE:
            raise ValueError(f"sources sum to the head's attribution within {self.error:.2g} only")
        freeze(self, "values", "total", "targets")

    @property
    def error(self) -> float:
        """Largest difference between the sum over sources and the head's attribution."""
        return float(np.abs(self.values.sum(-1) - self.total).max(initial=0))


def source_attribution(
    model: HeadModel,
    tokens: Tokens,
    head: Head,
    targets: int | Int[np.ndarray, "batch pos"] | None = None,
    foils: int | Int[np.ndarray, "batch pos"] | None = None,
    end: int | Int[np.ndarray, " batch"] | None = None,
) -> SourceAttribution:
    """Split what one head adds to a logit by the source it reads.

    value[dest, src] = pattern[dest, src] * (v[src] W_O . direction[dest]), in logits; direction is
    W_U[:, target] (minus the foil's), read through the final norm with its scale held fixed (and
    through one between heads and stream, alike). The
    sum over src is the head's entry of `logit_attribution`. Targets, foils and end are as there.
    Source: ARENA 1.2, section 3.4, with z written out.

    Raises:
        AnalysisError: A head that does not exist, targets or foils that do not fit, or an answer
            larger than `analysis.limits.MAX_BYTES`.
    """
    require_heads(model.info, head)
    size = 4 * tokens.batch * tokens.length**2
    if size > MAX_BYTES:
        raise AnalysisError(
            f"This split would take {size / 2**20:,.0f} MiB; the limit is "
            f"{MAX_BYTES / 2**20:,.0f}. Use fewer sequences or tokens."
        )
    require_head_writes(model.info)
    require_plain_logits(model.info)
    target_ids, foil_ids = resolve_targets(model, tokens, targets, foils, end)
    n_pos = target_ids.shape[1]
    scale = ["ln_final.hook_scale"] if model.info.normalization else []
    kept = run_without_logits(model, tokens.tensor, [*source_points(model, [head.layer]), *scale])
    direction, _ = read_direction(
        model, target_ids, foil_ids, kept[scale[0]][:, :n_pos] if scale else None
    )
    values, total = by_source(model, kept, head.layer, direction, [head.head])
    return SourceAttribution(
        head, to_numpy(values[:, 0]), to_numpy(total[:, 0]), np.array(target_ids)
    )


def source_points(model: HeadModel, layers: Iterable[int]) -> list[str]:
    """The hook points that `by_source` goes by."""
    chosen = list(layers)
    attention = [f"blocks.{i}.attn.hook_{part}" for i in chosen for part in ("pattern", "v")]
    require_seen_values(model.info)
    return [*attention, *write_points(model, chosen)]


def by_source(
    model: HeadModel,
    kept: Mapping[str, Tensor],
    layer: int,
    direction: Float[Tensor, "batch dest d_model"],
    heads: Sequence[int],
) -> tuple[Float[Tensor, "batch head dest src"], Float[Tensor, "batch head dest"]]:
    """What some heads of a layer add along a direction, by source; and in all, worked out from z.

    `kept` are activations at `source_points`. Destinations are those that have a direction.
    """
    n_pos, chosen = direction.shape[1], list(heads)
    pattern = kept[f"blocks.{layer}.attn.hook_pattern"][:, chosen, :n_pos, :n_pos]
    values = kept[f"blocks.{layer}.attn.hook_v"][:, :n_pos]
    # Of each head's group, where several heads share their values.
    group = [head * values.shape[2] // model.n_heads for head in chosen]
    z = kept[f"blocks.{layer}.attn.hook_z"][:, :n_pos, chosen]
    # The same direction as each head's values meet it.
    read = einops.einsum(direction, output_weights(model, layer)[chosen], "b p m, h e m -> b h p e")
    if (after := kept.get(scale_after_heads(layer))) is not None:
        read = read / after[:, None, :n_pos]
    split = pattern * einops.einsum(read, values[:, :, group], "b h p e, b s h e -> b h p s")
    return split, einops.einsum(z, read, "b p h e, b h p e -> b h p")
