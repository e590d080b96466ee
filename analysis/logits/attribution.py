"""Direct logit attribution: what each component adds to a token's logit."""

from collections.abc import Sequence
from dataclasses import dataclass

import einops
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.kept import kept_property
from analysis.models.capabilities import require_head_writes, require_plain_logits
from analysis.models.loading import HeadModel
from analysis.runs.forward import run
from analysis.runs.inputs import Tokens
from analysis.runs.reads import read_direction
from analysis.runs.writes import bias_write, output_weights, write_points, written_z

# float32 rounding of a sum of a few dozen terms of size 10; measured 2e-5 on the bundled model.
TOLERANCE = 1e-2


@dataclass(frozen=True, eq=False)
class LayerTotals:
    """What each layer's heads together, and its MLP, add to a logit; None without MLPs."""

    attention: Float[np.ndarray, "batch pos layer"]
    mlp: Float[np.ndarray, "batch pos layer"] | None

    def __post_init__(self) -> None:
        freeze(self, "attention")
        if self.mlp is not None:
            freeze(self, "mlp")


@dataclass(frozen=True, eq=False)
class Attribution:
    """Contribution of each component to a logit (or to target minus foil), by position.

    Row p is what is known at position p. `labels` names the components: `Direct` (the token
    embedding), `Positions`, every head as `L0H3`, `MLP0` .., and `Biases` where they exist.
    """

    values: Float[np.ndarray, "batch pos component"]
    labels: tuple[str, ...]
    targets: Int[np.ndarray, "batch pos"]
    foils: Int[np.ndarray, "batch pos"] | None
    # The model's own: target's logit (minus foil's), before the cap of a model that bends them.
    logits: Float[np.ndarray, "batch pos"]
    unembed_bias: Float[np.ndarray, "batch pos"]  # b_U of the target (minus the foil's)

    def __post_init__(self) -> None:
        if self.values.shape[-1] != len(self.labels):
            raise ValueError(f"{self.values.shape[-1]} components but {len(self.labels)} labels")
        if not self.error < TOLERANCE:
            raise ValueError(f"components sum to the logit within {self.error:.2g} only")
        freeze(self, "values", "targets", "logits", "unembed_bias")
        if self.foils is not None:
            freeze(self, "foils")

    @property
    def error(self) -> float:
        """Largest difference between the components' sum and the logit minus b_U."""
        return float(np.abs(self.values.sum(-1) - (self.logits - self.unembed_bias)).max(initial=0))

    @kept_property
    def heads(self) -> dict[Head, int]:
        """The components that are heads, with their places among all."""
        return {Head.parse(name): i for i, name in enumerate(self.labels) if name.startswith("L")}

    @kept_property
    def by_layer(self) -> LayerTotals:
        """Sums over the heads of each layer, and its MLP. What heads share (b_O) is in neither."""
        count = 1 + max(head.layer for head in self.heads)
        places = [[i for head, i in self.heads.items() if head.layer == n] for n in range(count)]
        mlps = [i for i, name in enumerate(self.labels) if name.startswith("MLP")]
        return LayerTotals(
            np.stack([self.values[..., of_layer].sum(-1) for of_layer in places], -1),
            self.values[..., mlps] if mlps else None,
        )


def logit_attribution(
    model: HeadModel,
    tokens: Tokens,
    targets: int | Int[np.ndarray, "batch pos"] | None = None,
    foils: int | Int[np.ndarray, "batch pos"] | None = None,
    end: int | Int[np.ndarray, " batch"] | None = None,
) -> Attribution:
    """Split a logit into what every component wrote in its direction.

    value[pos, component] = write[pos] . W_U[:, target], in logits. With a final LayerNorm its
    scale is held at the value it had, so the split stays linear; likewise that of a norm between
    heads and stream (Gemma). W_U is not centred. The sum over components equals the logit minus
    b_U[target]; of a model that bends its logits (Gemma 2) the one before that. Source: ARENA 1.2,
    section 3.4.

    Args:
        model: The model.
        tokens: Its tokens.
        targets: Token ids whose logits are split. By default the token that comes next, at every
            position but the last. A number means that token at every position.
        foils: Token ids subtracted, for "why this rather than that": the result is then a logit
            difference. One for each target, or a number for all.
        end: Token id that is the target at the last position, where no token comes next, or one
            for each sequence; by default that position is left out. Of no use with `targets`.

    Raises:
        AnalysisError: An id outside the vocabulary; targets that cover neither every position nor
            all but the last; foils of another shape than the targets, or the same as all of them.
    """
    require_head_writes(model.info)
    require_plain_logits(model.info)
    target_ids, foil_ids = resolve_targets(model, tokens, targets, foils, end)
    n_pos = target_ids.shape[1]

    bridge = model.bridge
    layers = range(model.n_layers)
    stream = ["hook_embed"]
    if model.info.positions == "learned":  # others add nothing to the stream
        stream.append("hook_pos_embed")
    stream += [f"blocks.{layer}.hook_mlp_out" for layer in layers if model.info.has_mlp]
    heads = write_points(model, layers)
    scale = ["ln_final.hook_scale"] if model.info.normalization else []
    # Where a model bends its logits (Gemma 2), components add up to what they were before.
    straight = ["unembed.hook_out"] if bridge.cfg.output_logits_soft_cap > 0 else []
    logits, kept = run(model, tokens.tensor, capture=[*stream, *heads, *scale, *straight])
    kept = {name: value[:, :n_pos] for name, value in kept.items()}
    factor = model.info.traits.logit_factor
    logits = kept["unembed.hook_out"] * factor if straight else logits[:, :n_pos]

    def difference(values: Float[Tensor, "*shape d_vocab"]) -> Float[Tensor, "batch pos"]:
        def pick(ids: np.ndarray) -> Tensor:
            index = torch.tensor(ids, device=values.device)[..., None]
            return values.expand(*ids.shape, -1).gather(-1, index)[..., 0]

        return pick(target_ids) if foil_ids is None else pick(target_ids) - pick(foil_ids)

    direction, constant = read_direction(
        model, target_ids, foil_ids, kept.get("ln_final.hook_scale")
    )

    def along(write: Float[Tensor, "... d_model"]) -> Float[Tensor, "batch pos"]:
        return einops.einsum(write.expand(direction.shape), direction, "b p m, b p m -> b p")

    parts = {"Direct": along(kept["hook_embed"])}
    if "hook_pos_embed" in kept:
        parts["Positions"] = along(kept["hook_pos_embed"])
    for layer in layers:
        by_head = einops.einsum(
            written_z(kept, layer),
            output_weights(model, layer),
            direction,
            "b p h e, h e m, b p m -> b p h",
        )
        for head in range(model.n_heads):
            parts[Head(layer, head).label] = by_head[..., head]
        if (bias := bias_write(model, kept, layer)) is not None:
            constant = constant + along(bias)
        if model.info.has_mlp:
            parts[f"MLP{layer}"] = along(kept[f"blocks.{layer}.hook_mlp_out"])
    if constant.abs().max() > 0:
        parts["Biases"] = constant
    return Attribution(
        values=to_numpy(torch.stack(list(parts.values()), -1)),
        labels=tuple(parts),
        targets=np.array(target_ids),
        foils=None if foil_ids is None else np.array(foil_ids),
        logits=to_numpy(difference(logits)),
        unembed_bias=to_numpy(difference(bridge.b_U) * factor),
    )


def resolve_targets(
    model: HeadModel,
    tokens: Tokens,
    targets: int | Int[np.ndarray, "batch pos"] | None,
    foils: int | Int[np.ndarray, "batch pos"] | None,
    end: int | Int[np.ndarray, " batch"] | None = None,
) -> tuple[Int[np.ndarray, "batch pos"], Int[np.ndarray, "batch pos"] | None]:
    """Ids of the tokens whose logits are split, and of those subtracted; see `logit_attribution`.

    Raises:
        AnalysisError: As `logit_attribution`.
    """
    target_ids = tokens.ids[:, 1:]
    if targets is not None:
        target_ids = _ids(model, targets, "Targets", [tokens.ids.shape, target_ids.shape])
    elif end is not None:
        ends = np.broadcast_to(end, tokens.batch)[:, None]
        last = _ids(model, ends, "Targets at the end", [(tokens.batch, 1)])
        target_ids = np.concatenate([target_ids, last], 1)
    if foils is None:
        return target_ids, None
    foil_ids = _ids(model, foils, "Foils", [target_ids.shape])
    if np.array_equal(target_ids, foil_ids):
        raise AnalysisError(
            "Answer and foil are the same token, so there is no difference to explain. Choose two."
        )
    return target_ids, foil_ids


def _ids(
    model: HeadModel,
    ids: int | Int[np.ndarray, "batch pos"],
    what: str,
    shapes: Sequence[tuple[int, ...]],
) -> Int[np.ndarray, "batch pos"]:
    # A number means that token at every position of the first shape.
    array = np.asarray(ids, dtype=np.int64)
    if array.ndim == 0:
        array = np.full(shapes[0], array)
    if array.shape not in shapes:
        fitting = " or ".join(str(shape) for shape in shapes)
        raise AnalysisError(f"{what} of shape {array.shape} do not fit here; {fitting} would.")
    if array.min() < 0 or array.max() >= model.d_vocab:
        raise AnalysisError(
            f"A token id lies outside {model.name}'s vocabulary of {model.d_vocab} tokens."
        )
    return array
