"""The weights that circuits are computed from, with the norms folded in; the model stays as it is.

A circuit is a product of weight matrices. In a model without norms those are the raw weights. With
LayerNorm, what a head reads is not the residual stream x but (x - mean x) / scale * w + b, so the
linear part of the norm belongs to the matrices that read it: `circuit_weights` puts it there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.models.capabilities import require_foldable_norms, require_head_writes
from analysis.models.loading import HeadModel
from analysis.models.norms import norm_weight
from analysis.runs.writes import norm_after_heads, output_weights

RAW = "Raw weights: this model has no norms. Biases are left out of circuits."
FOLDED_RMS = (
    "Folded weights: the weight of each RMS norm is multiplied into the matrices that read the "
    "stream. The norm's scale depends on the prompt; here it counts as 1. Biases are left out of "
    "circuits."
)
FOLDED = (
    "Folded weights: the linear part of each LayerNorm (its weight, its bias and the subtraction "
    "of the mean) is multiplied into the matrices that read the stream, and what is written to the "
    "stream is centred, since no norm lets its mean through. The norm's scale depends on the "
    "prompt; here it counts as 1. Biases are left out of circuits."
)
AFTER_HEADS = (
    "The norm between a layer's heads and the stream is dealt with alike: its weight is multiplied "
    "into what heads write, and its scale counts as 1."
)


@dataclass(frozen=True, eq=False)
class Weights:
    """Weight matrices on the model's device, for right multiplication: new = old @ W.

    `assumes` says in words how the norms were dealt with; pages show it.
    """

    W_E: Float[Tensor, "d_vocab d_model"]
    W_pos: Float[Tensor, "n_ctx d_model"] | None  # None: there are no position vectors
    W_Q: Float[Tensor, "layer head d_model d_head"]
    W_K: Float[Tensor, "layer head d_model d_head"]
    W_V: Float[Tensor, "layer head d_model d_head"]
    W_O: Float[Tensor, "layer head d_head d_model"]
    W_U: Float[Tensor, "d_model d_vocab"]
    b_Q: Float[Tensor, "layer head d_head"]
    b_K: Float[Tensor, "layer head d_head"]
    assumes: str


def circuit_weights(model: HeadModel) -> Weights:
    """The weights of `model` as its circuits use them: raw without norms, else with them folded.

    Where a group of heads shares keys and values, each head has a copy of its group's.

    Raises:
        AnalysisError: Norms that cannot be folded.
    """
    bridge, info = model.bridge, model.info
    require_head_writes(info)
    require_foldable_norms(info)
    weights = Weights(
        W_E=token_embeddings(model),
        W_pos=bridge.W_pos if info.positions in ("learned", "shortformer") else None,
        W_Q=bridge.W_Q,
        W_K=_for_each_head(bridge.W_K, model),
        W_V=_for_each_head(bridge.W_V, model),
        W_O=torch.stack([output_weights(model, layer) for layer in range(model.n_layers)]),
        W_U=folded_unembedding(model),
        b_Q=_biases(model, "b_Q"),
        b_K=_biases(model, "b_K"),
        assumes=RAW,
    )
    match info.normalization:
        case "LN":
            return _fold(model, weights)
        case "RMS":
            return _fold_scale(model, weights)
        case _:
            return weights


def token_embeddings(
    model: HeadModel, ids: Sequence[int] | None = None
) -> Float[Tensor, "token d_model"]:
    """What each token, or each of `ids`, puts into the stream: W_E, and Gemma's factor."""
    w_e: Tensor = model.bridge.W_E
    rows = w_e if ids is None else w_e[torch.tensor(ids, device=w_e.device)]
    scale = getattr(model.bridge.embed.original_component, "embed_scale", None)
    return rows if scale is None else rows * scale


def folded_unembedding(model: HeadModel) -> Float[Tensor, "d_model d_vocab"]:
    """W_U with the linear part of the final norm multiplied in, where there is one.

    Raises:
        AnalysisError: A norm that cannot be folded.
    """
    require_foldable_norms(model.info)
    w_u: Tensor = model.bridge.W_U
    if model.info.normalization is None:
        return w_u
    folded = w_u * norm_weight(model.bridge.ln_final)[:, None]
    return _centred(folded, -2) if model.info.normalization == "LN" else folded


def _for_each_head(
    shared: Float[Tensor, "layer kv_head d_model d_head"], model: HeadModel
) -> Float[Tensor, "layer head d_model d_head"]:
    return shared.repeat_interleave(model.n_heads // shared.shape[1], 1)


def _biases(model: HeadModel, name: str) -> Float[Tensor, "layer head d_head"]:
    # One by one: the bridge's stacked form raises where a layer has none.
    width = (model.n_heads, model.d_head)
    found = [getattr(block.attn, name) for block in model.bridge.blocks]
    zero = torch.zeros(width, device=model.bridge.W_E.device)
    each = [zero if bias is None else bias.view(-1, model.d_head) for bias in found]
    return torch.stack([b.repeat_interleave(model.n_heads // len(b), 0) for b in each])


def _fold(model: HeadModel, raw: Weights) -> Weights:
    norms = [block.ln1.original_component for block in model.bridge.blocks]
    scale = _norm_weights(model)
    shift = torch.stack([norm.bias for norm in norms])

    def bias(b: Tensor, w: Tensor) -> Tensor:
        return b + torch.einsum("lm,lhmd->lhd", shift, w)

    return Weights(
        W_E=_centred(raw.W_E, -1),
        W_pos=None if raw.W_pos is None else _centred(raw.W_pos, -1),
        W_Q=_centred(raw.W_Q * scale, -2),
        W_K=_centred(raw.W_K * scale, -2),
        W_V=_centred(raw.W_V * scale, -2),
        W_O=_centred(raw.W_O, -1),
        W_U=raw.W_U,
        b_Q=bias(raw.b_Q, raw.W_Q),
        b_K=bias(raw.b_K, raw.W_K),
        assumes=FOLDED,
    )


def _fold_scale(model: HeadModel, raw: Weights) -> Weights:
    scale = _norm_weights(model)
    return replace(
        raw,
        W_Q=raw.W_Q * scale,
        W_K=raw.W_K * scale,
        W_V=raw.W_V * scale,
        assumes=f"{FOLDED_RMS} {AFTER_HEADS}" if norm_after_heads(model, 0) else FOLDED_RMS,
    )


def _norm_weights(model: HeadModel) -> Float[Tensor, "layer 1 d_model 1"]:
    norms = [norm_weight(block.ln1) for block in model.bridge.blocks]
    return torch.stack(norms)[:, None, :, None]


def _centred(matrix: Float[Tensor, "*shape"], d_model_axis: int) -> Float[Tensor, "*shape"]:
    return matrix - matrix.mean(d_model_axis, keepdim=True)
