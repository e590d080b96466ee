"""A model's parameters: what there is, and what one head multiplies by."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.errors import AnalysisError
from analysis.head import Head, require_heads
from analysis.models.loading import HeadModel

# The axis of keys and values that several heads share.
KV_HEAD = "kv_head"
WeightName = Literal["W_Q", "W_K", "W_V", "W_O"]
WEIGHT_NAMES: tuple[WeightName, ...] = get_args(WeightName)
_Row = tuple[str, str, tuple[str, ...], str]  # name, short name, axes, meaning


@dataclass(frozen=True, slots=True)
class Parameter:
    """One weight tensor: `name` is its path on the model, `short_name` the usual symbol."""

    name: str
    short_name: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    meaning: str


@dataclass(frozen=True, eq=False)
class HeadWeight:
    """One head's own part of a weight, with the names of its axes.

    `number` is its place among the heads of that weight: several heads may share keys and values.
    """

    head: Head
    number: int
    axes: tuple[str, str]
    values: Float[np.ndarray, "row column"]

    def __post_init__(self) -> None:
        freeze(self, "values")


def parameters(model: HeadModel) -> tuple[Parameter, ...]:
    """Every weight tensor of the model, in the order a token meets them.

    `name` can be followed from the model (`model.bridge.` + name). Weights multiply on the right:
    new = old @ W. Source: ARENA 1.2, section 1.1; TransformerLens naming.
    """
    heads = ("head", "d_model", "d_head")
    rows: list[_Row] = [
        ("W_E", "W_E", ("d_vocab", "d_model"), "Embedding: one vector for each token"),
        ("W_pos", "W_pos", ("n_ctx", "d_model"), "One learned vector for each position"),
    ]
    for layer in range(model.n_layers):
        block, attn = f"blocks.{layer}", f"blocks.{layer}.attn"
        if model.info.normalization:
            rows += _norm_rows(f"{block}.ln1", f"ln1[{layer}]", "the norm before attention")
        for letter, what in (("Q", "queries"), ("K", "keys"), ("V", "values")):
            rows.append(
                (f"{attn}.W_{letter}", f"W_{letter}[{layer}]", heads, f"Stream to {what}, by head")
            )
            rows.append(
                (f"{attn}.b_{letter}", f"b_{letter}[{layer}]", heads[::2], f"Bias of the {what}")
            )
            norm = letter.lower()
            rows.append(
                (
                    f"{attn}.{norm}_norm.weight",
                    f"{norm}_norm[{layer}].w",
                    ("d_head",),
                    f"Weight of the norm of each head's {what}",
                )
            )
        rows.append(
            (
                f"{attn}.W_O",
                f"W_O[{layer}]",
                ("head", "d_head", "d_model"),
                "Each head's output to the stream",
            )
        )
        rows.append((f"{attn}.b_O", f"b_O[{layer}]", ("d_model",), "Bias of all heads together"))
        rows += _norm_rows(f"{block}.ln1_post", f"ln1_post[{layer}]", "the norm after attention")
        if model.info.has_mlp:
            if model.info.normalization:
                rows += _norm_rows(f"{block}.ln2", f"ln2[{layer}]", "the norm before the MLP")
            mlp = f"{block}.mlp"
            rows += [
                (
                    f"{mlp}.W_gate",
                    f"W_gate[{layer}]",
                    ("d_model", "d_mlp"),
                    "Stream to the gates of the neurons",
                ),
                (f"{mlp}.W_in", f"W_in[{layer}]", ("d_model", "d_mlp"), "Stream to neurons"),
                (f"{mlp}.b_in", f"b_in[{layer}]", ("d_mlp",), "Bias of the neurons"),
                (f"{mlp}.W_out", f"W_out[{layer}]", ("d_mlp", "d_model"), "Neurons to stream"),
                (f"{mlp}.b_out", f"b_out[{layer}]", ("d_model",), "Bias of the MLP's output"),
                *_norm_rows(f"{block}.ln2_post", f"ln2_post[{layer}]", "the norm after the MLP"),
            ]
    if model.info.normalization:
        rows += _norm_rows("ln_final", "ln_final", "the norm before the unembedding")
    rows += [
        ("W_U", "W_U", ("d_model", "d_vocab"), "Unembedding: stream to one logit for each token"),
        ("b_U", "b_U", ("d_vocab",), "Bias of the logits"),
    ]
    # An architecture has some of them; heads may share keys and values.
    there = [(row, tensor) for row in rows if (tensor := _tensor(model, row[0])) is not None]
    return tuple(
        Parameter(name, short, _own_axes(model, axes, tensor), tuple(tensor.shape), meaning)
        for (name, short, axes, meaning), tensor in there
    )


def head_weight(model: HeadModel, head: Head, name: WeightName) -> HeadWeight:
    """What one head multiplies by: W_Q, W_K and W_V [d_model, d_head], W_O [d_head, d_model].

    As it is in the file, with no norm folded in. Weights multiply on the right: q = x @ W_Q.
    Source: ARENA 1.2, section 1.1; TransformerLens naming.

    Raises:
        AnalysisError: A head that the model does not have, a name of no such weight, or a model
            that does not keep it by head.
    """
    require_heads(model.info, head)
    if name not in WEIGHT_NAMES:
        raise AnalysisError(f"{name!r} is no weight of a head; choose {', '.join(WEIGHT_NAMES)}.")
    every = _tensor(model, f"blocks.{head.layer}.attn.{name}")
    if every is None or every.ndim != 3:
        raise AnalysisError(
            f"{model.name} does not keep {name} by head, so one head's part cannot be shown. "
            "Choose another model."
        )
    number = head.head * len(every) // model.n_heads
    axes = ("d_head", "d_model") if name == "W_O" else ("d_model", "d_head")
    return HeadWeight(head, number, axes, to_numpy(every[number]))


def _tensor(model: HeadModel, name: str) -> Tensor | None:
    """What is at a name, followed from the bridge; None where nothing is."""
    part: Any = model.bridge
    for step in name.split("."):
        try:
            part = part[int(step)] if step.isdigit() else getattr(part, step, None)
        except NotImplementedError:  # latent attention keeps no such matrix
            return None
    return part


def _own_axes(model: HeadModel, axes: tuple[str, ...], tensor: Tensor) -> tuple[str, ...]:
    shared = axes[0] == "head" and tensor.shape[0] != model.n_heads
    return (KV_HEAD, *axes[1:]) if shared else axes


def _norm_rows(name: str, short: str, what: str) -> list[_Row]:
    return [
        (f"{name}.weight", f"{short}.w", ("d_model",), f"Weight of {what}"),
        (f"{name}.bias", f"{short}.b", ("d_model",), f"Bias of {what}"),
    ]
