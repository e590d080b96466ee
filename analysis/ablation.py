"""Ablation: the loss when one head's output is replaced."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.errors import AnalysisError
from analysis.forward import Hook, next_token_log_probs, run
from analysis.heads import Head, require_heads
from analysis.inputs import Tokens
from analysis.models import HeadModel

Method = Literal["zero", "mean"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, eq=False)
class Ablation:
    """Effect of ablating each head on the loss, nats; positive means the head helped.

    `values` averages over sequences and the entries `tokens.scored`; `per_token` over sequences
    only, and covers every entry (entry i scores token i+1). `clean_loss` is the loss of the whole
    model over the same entries as `values`.
    """

    values: Float[np.ndarray, "layer head"]
    per_token: Float[np.ndarray, "layer head entry"]
    clean_loss: float
    method: Method

    def __post_init__(self) -> None:
        if not np.isfinite(self.values).all():
            raise ValueError("an ablation effect is not finite")
        freeze(self, "values", "per_token")


@dataclass(frozen=True, eq=False)
class HeadAblation:
    """Effect of ablating one head: its entry of the sweep, at the price of two forward passes."""

    head: Head
    value: float
    per_token: Float[np.ndarray, " entry"]
    clean_loss: float
    method: Method

    def __post_init__(self) -> None:
        if not np.isfinite(self.value):
            raise ValueError("an ablation effect is not finite")
        freeze(self, "per_token")


def ablation_sweep(
    model: HeadModel,
    tokens: Tokens,
    method: Method = "zero",
    progress: Callable[[int, int], None] | None = None,
) -> Ablation:
    """Ablate every head by itself and measure how much the loss rises.

    effect[layer, head] = loss with that head's z replaced - loss as it is. The loss is averaged
    over `tokens.scored`: the predictable part of the second half for repeated tokens, every
    prediction for a prompt. Source: ARENA 1.2, sections 3.7 and 3.8.

    Args:
        model: The model. Its lock is taken for one forward pass at a time, so others wait
            milliseconds, not for the whole sweep.
        tokens: Its tokens.
        method: "zero" replaces z by 0; "mean" by its mean over the sequences, position by
            position, which keeps what a head writes whatever the input.
        progress: Called without the lock as `progress(heads done, heads in all)`. It may raise
            to cancel the sweep; nothing is left behind.

    Raises:
        AnalysisError: An unknown method, or "mean" with a single sequence (its mean over the
            batch is the head's own output, so nothing would be ablated).
    """
    _check_method(method, tokens)
    clean = _log_probs(model, tokens)
    per_token = np.empty((model.n_layers, model.n_heads, tokens.length - 1), np.float32)
    values = np.empty((model.n_layers, model.n_heads), np.float32)
    total = model.n_layers * model.n_heads
    for done, head in enumerate(_all_heads(model)):
        if progress:
            progress(done, total)
        rise = clean - _log_probs(model, tokens, head, method)
        per_token[head.layer, head.head] = to_numpy(rise.mean(0))
        values[head.layer, head.head] = float(rise[:, tokens.scored].mean())
    if progress:
        progress(total, total)
    return Ablation(
        values, per_token, clean_loss=-float(clean[:, tokens.scored].mean()), method=method
    )


def ablate_head(
    model: HeadModel, tokens: Tokens, head: Head, method: Method = "zero"
) -> HeadAblation:
    """Ablate one head and measure how much the loss rises; see `ablation_sweep`.

    Raises:
        AnalysisError: As `ablation_sweep`, or a head that does not exist.
    """
    require_heads(model.info, head)
    _check_method(method, tokens)
    clean = _log_probs(model, tokens)
    rise = clean - _log_probs(model, tokens, head, method)
    return HeadAblation(
        head,
        float(rise[:, tokens.scored].mean()),
        to_numpy(rise.mean(0)),
        clean_loss=-float(clean[:, tokens.scored].mean()),
        method=method,
    )


def _check_method(method: str, tokens: Tokens) -> None:
    if method not in METHODS:
        raise AnalysisError(f"Method {method!r} is unknown. Choose one of: {', '.join(METHODS)}.")
    if method == "mean" and tokens.batch < 2:
        raise AnalysisError(
            "Mean ablation replaces a head's output by its mean over sequences, and there is only "
            "one. Use at least 2 sequences of repeated tokens, or zero ablation."
        )


def _log_probs(
    model: HeadModel, tokens: Tokens, ablated: Head | None = None, method: Method = "zero"
) -> Float[Tensor, "batch entry"]:
    hooks = []
    if ablated is not None:
        hooks = [(f"blocks.{ablated.layer}.attn.hook_z", _replace(ablated.head, method))]
    logits, _ = run(model, tokens.tensor, hooks=hooks)
    return next_token_log_probs(logits, tokens.tensor)


def _all_heads(model: HeadModel) -> Iterator[Head]:
    for layer in range(model.n_layers):
        for head in range(model.n_heads):
            yield Head(layer, head)


def _replace(head: int, method: Method) -> Hook:
    def edit(z: Float[Tensor, "batch pos head d_head"], hook: object) -> Tensor:
        # On a clone: an edit in place would also reach whatever shares this memory.
        edited = z.clone()
        if method == "zero":
            edited[:, :, head] = 0
        else:
            edited[:, :, head] = z[:, :, head].mean(0)
        return edited

    return edit
