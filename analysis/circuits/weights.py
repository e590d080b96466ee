"""The weights that circuits are computed from, with the norms folded in; the model stays as it is.

A circuit is a product of weight matrices. In a model without norms those are the raw weights. With
LayerNorm, what a head reads is not the residual stream x but (x - mean x) / scale * w + b, so the
linear part of the norm belongs to the matrices that read it: `circuit_weights` puts it there.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.head import Head
from analysis.kept import kept_property
from analysis.models.capabilities import require_foldable_norms, require_head_writes
from analysis.models.loading import HeadModel
from analysis.models.norms import norm_bias, weighted
from analysis.runs.writes import norm_after_heads, output_weights

Part = Literal["Q", "K", "V"]
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


class Weights:
    """Weight matrices on the model's device, for right multiplication: new = old @ W.

    Nothing is folded or copied before it is asked for: a question about one head takes that head's
    matrices (`read`, `write`), and no W_U is folded for it (`unembed`). `assumes` says in words how
    the norms were dealt with; pages show it.
    """

    def __init__(self, model: HeadModel) -> None:
        self._model, self._norm = model, model.info.normalization
        self.n_layers = model.n_layers
        self.assumes = {None: RAW, "LN": FOLDED, "RMS": FOLDED_RMS}[self._norm]
        if self._norm == "RMS" and norm_after_heads(model, 0):
            self.assumes = f"{FOLDED_RMS} {AFTER_HEADS}"

    def read(self, part: Part, head: Head) -> Float[Tensor, "d_model d_head"]:
        """W_Q, W_K or W_V of one head."""
        each = self._own(part, head.layer)
        # Of the head's group, where several heads share their keys and values.
        return self._folded(each[head.head * len(each) // self._model.n_heads], head.layer)

    def write(self, head: Head) -> Float[Tensor, "d_head d_model"]:
        """W_O of one head."""
        return self._centred(output_weights(self._model, head.layer)[head.head], -1)

    def bias(self, part: Part, head: Head) -> Float[Tensor, " d_head"]:
        """b_Q or b_K of one head."""
        return self._biases(part, head.layer)[head.head]

    def reads(self, part: Part, layer: int) -> Float[Tensor, "head d_model d_head"]:
        """W_Q, W_K or W_V of a layer; each head of a group has a copy."""
        each = self._folded(self._own(part, layer), layer)
        return each.repeat_interleave(self._model.n_heads // len(each), 0)

    def writes(self, layer: int) -> Float[Tensor, "head d_head d_model"]:
        """W_O of a layer."""
        return self._centred(output_weights(self._model, layer), -1)

    @kept_property
    def W_E(self) -> Float[Tensor, "d_vocab d_model"]:
        """The embedding."""
        return self._centred(token_embeddings(self._model), -1)

    @property
    def W_pos(self) -> Float[Tensor, "n_ctx d_model"] | None:
        """Position vectors, where there are any."""
        learned = self._model.info.positions in ("learned", "shortformer")
        return self._centred(self._model.bridge.W_pos, -1) if learned else None

    @property
    def W_Q(self) -> Float[Tensor, "layer head d_model d_head"]:
        """Queries of every head: `reads` of every layer."""
        return self._stacked("Q")

    @property
    def W_K(self) -> Float[Tensor, "layer head d_model d_head"]:
        """Keys of every head, likewise."""
        return self._stacked("K")

    @property
    def W_V(self) -> Float[Tensor, "layer head d_model d_head"]:
        """Values of every head, likewise."""
        return self._stacked("V")

    @property
    def W_O(self) -> Float[Tensor, "layer head d_head d_model"]:
        """What every head's z is multiplied by."""
        return torch.stack([self.writes(layer) for layer in range(self._model.n_layers)])

    @property
    def W_U(self) -> Float[Tensor, "d_model d_vocab"]:
        """The unembedding."""
        return folded_unembedding(self._model)

    @property
    def b_Q(self) -> Float[Tensor, "layer head d_head"]:
        """Biases of the queries."""
        return torch.stack([self._biases("Q", i) for i in range(self._model.n_layers)])

    @property
    def b_K(self) -> Float[Tensor, "layer head d_head"]:
        """Biases of the keys."""
        return torch.stack([self._biases("K", i) for i in range(self._model.n_layers)])

    def _own(self, part: Part, layer: int) -> Float[Tensor, "kv_head d_model d_head"]:
        own: Tensor = getattr(self._model.bridge.blocks[layer].attn, f"W_{part}").detach()
        return own

    def _stacked(self, part: Part) -> Float[Tensor, "layer head d_model d_head"]:
        return torch.stack([self.reads(part, layer) for layer in range(self._model.n_layers)])

    def _folded(
        self, matrix: Float[Tensor, "*head d_model d_head"], layer: int
    ) -> Float[Tensor, "*head d_model d_head"]:
        if self._norm is None:
            return matrix
        return self._centred(weighted(self._model.bridge.blocks[layer].ln1, matrix, -2), -2)

    def _centred(self, matrix: Float[Tensor, "*shape"], axis: int) -> Float[Tensor, "*shape"]:
        return _centred(matrix, axis) if self._norm == "LN" else matrix

    def _biases(self, part: Part, layer: int) -> Float[Tensor, "head d_head"]:
        model, block = self._model, self._model.bridge.blocks[layer]
        own = getattr(block.attn, f"b_{part}")
        width = (model.n_heads, model.d_head)
        each = torch.zeros(width, device=block.attn.W_O.device) if own is None else own.detach()
        each = each.view(-1, model.d_head)
        if self._norm == "LN" and (shift := norm_bias(block.ln1)) is not None:
            shifts = torch.einsum("m,hmd->hd", shift, self._own(part, layer))
            shared = shifts.repeat_interleave(model.n_heads // len(shifts), 0)
            return each.repeat_interleave(model.n_heads // len(each), 0) + shared
        return each.repeat_interleave(model.n_heads // len(each), 0)


def circuit_weights(model: HeadModel) -> Weights:
    """The weights of `model` as its circuits use them: raw without norms, else with them folded.

    Where a group of heads shares keys and values, each head has a copy of its group's.

    Raises:
        AnalysisError: Norms that cannot be folded.
    """
    require_head_writes(model.info)
    require_foldable_norms(model.info)
    return Weights(model)


def unembed(
    model: HeadModel,
    writes: Float[Tensor, "*write d_model"],
    ids: Sequence[int] | None = None,
) -> Float[Tensor, "*write token"]:
    """What writes add to each logit, or to those of `ids`, with the final norm's linear part.

    The same as `writes @ folded_unembedding(model)`, of which no copy is made.

    Raises:
        AnalysisError: A norm that cannot be folded.
    """
    require_foldable_norms(model.info)
    if model.info.normalization == "LN":
        writes = _centred(writes, -1)
    if model.info.normalization is not None:
        writes = weighted(model.bridge.ln_final, writes)
    w_u: Tensor = model.bridge.W_U
    writes = writes * model.info.traits.logit_factor
    return writes @ (w_u if ids is None else w_u[:, torch.tensor(ids, device=w_u.device)])


def token_embeddings(
    model: HeadModel, ids: Sequence[int] | None = None
) -> Float[Tensor, "token d_model"]:
    """What each token, or each of `ids`, puts into the stream: W_E, and the model's factor."""
    w_e: Tensor = model.bridge.W_E
    rows = w_e if ids is None else w_e[torch.tensor(ids, device=w_e.device)]
    scale = getattr(model.bridge.embed.original_component, "embed_scale", None)
    rows = rows if scale is None else rows * scale
    factor = model.info.traits.embed_factor
    return rows if factor == 1 else rows * factor


def folded_unembedding(model: HeadModel) -> Float[Tensor, "d_model d_vocab"]:
    """W_U with the linear part of the final norm multiplied in, where there is one.

    Raises:
        AnalysisError: A norm that cannot be folded.
    """
    require_foldable_norms(model.info)
    w_u: Tensor = model.bridge.W_U
    if (factor := model.info.traits.logit_factor) != 1:
        w_u = w_u * factor
    if model.info.normalization is None:
        return w_u
    folded = weighted(model.bridge.ln_final, w_u, -2)
    return _centred(folded, -2) if model.info.normalization == "LN" else folded


def _centred(matrix: Float[Tensor, "*shape"], d_model_axis: int) -> Float[Tensor, "*shape"]:
    return matrix - matrix.mean(d_model_axis, keepdim=True)
