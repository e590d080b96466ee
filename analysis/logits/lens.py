"""The logit lens: what the model would predict if it stopped after each layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from analysis.arrays import freeze, to_numpy
from analysis.errors import AnalysisError
from analysis.head import Head, require_heads
from analysis.limits import positions_at_once
from analysis.logits.attribution import TOLERANCE
from analysis.models.capabilities import require_readable_stream
from analysis.models.loading import HeadModel
from analysis.runs.forward import run, silence
from analysis.runs.inputs import Tokens
from analysis.runs.predictions import top_by_id


@dataclass(frozen=True, eq=False)
class Lens:
    """Predictions read from the residual stream at each depth.

    `labels` names the depths: `Embedding` (before the first block), then `L0`, `L1`, .. (after
    that block). Entry i of `log_probs` scores token i+1. `error` is the largest difference, in
    logits, between the last depth and the model's own output: they should be the same.
    `end_probs` is how likely the top guess of the last depth, the model's own, is at each depth.
    """

    labels: tuple[str, ...]
    error: float
    # Before the others: jaxtyping reads `pos-1` only once `pos` is known.
    top_ids: Int[np.ndarray, "batch depth pos k"]
    top_probs: Float[np.ndarray, "batch depth pos k"]  # 0..1, largest first
    log_probs: Float[np.ndarray, "batch depth pos-1"]  # nats, of the token that came
    end_probs: Float[np.ndarray, "batch depth pos"]  # 0..1

    def __post_init__(self) -> None:
        if self.top_ids.shape[1] != len(self.labels):
            raise ValueError(f"{self.top_ids.shape[1]} depths but {len(self.labels)} labels")
        if not self.error < TOLERANCE:
            raise ValueError(f"the last depth equals the logits within {self.error:.2g} only")
        freeze(self, "top_ids", "top_probs", "log_probs", "end_probs")


def logit_lens(
    model: HeadModel,
    tokens: Tokens,
    top_k: int = 5,
    at: int | None = None,
    without: Sequence[Head] = (),
) -> Lens:
    """The most likely next tokens, read from the residual stream after each block.

    p[depth, pos] = softmax(norm(resid[depth, pos]) W_U + b_U), with the model's own final norm,
    applied with the scale that this stream has, and its soft cap of logits where it has one;
    after the last block it is the model's own prediction. Streams of early layers were never
    trained to be read like this: a flat or odd row need not mean that nothing is known there.
    Source: nostalgebraist 2020.

    Args:
        model: The model.
        tokens: Its tokens.
        top_k: How many tokens to list at each place, at least 1; no more than `d_vocab` are
            returned.
        at: The one position that is read, which takes far less; the result has no other, and no
            token that came. All by default.
        without: Heads that are zero-ablated meanwhile, as for `attention_patterns`.

    Raises:
        AnalysisError: `top_k` below 1, a position or head that is not there, or a model whose
            logits are something else.
    """
    if top_k < 1:
        raise AnalysisError(f"The {top_k} most likely tokens were asked for. Ask for at least 1.")
    if at is not None and not 0 <= at < tokens.length:
        raise AnalysisError(
            f"Position {at} was asked for; there are positions 0 to {tokens.length - 1}."
        )
    require_readable_stream(model.info)
    hooks = silence(require_heads(model.info, without) if without else ())
    places = torch.arange(tokens.length) if at is None else torch.tensor([at])
    names = ["blocks.0.hook_resid_pre"]
    names += [f"blocks.{layer}.hook_resid_post" for layer in range(model.n_layers)]
    only = None if at is None else places
    own, streams = run(model, tokens.tensor, capture=names, hooks=hooks, positions=only)
    bridge = model.bridge
    unembed, bias, cap = bridge.W_U, bridge.b_U, bridge.cfg.output_logits_soft_cap
    following = tokens.tensor.roll(-1, 1)[..., None].to(own.device)
    at_once = positions_at_once(tokens.batch, model.d_vocab)
    found: list[list[list[np.ndarray]]] = []  # by piece, by depth
    error = 0.0
    for some in torch.arange(len(places)).split(at_once):
        _, end = top_by_id(own[:, some], 1)
        found.append([])
        # Few depths at a time: logits of all at once would be the largest array by far. But each
        # time all of W_U is read, which for one position takes longer than multiplying.
        together = max(1, at_once // len(some))
        for first in range(0, len(names), together):
            group = names[first : first + together]
            # [depth * batch, pos, d_model]
            stream = torch.cat([streams[name][:, places[some]] for name in group])
            with torch.inference_mode():
                if model.info.normalization:
                    # The module inside the bridge's: it has no hooks, so no lock is needed.
                    stream = bridge.ln_final.original_component(stream)
                logits = (stream @ unembed + bias) * model.info.traits.logit_factor
                if cap > 0:  # Gemma 2 bends its logits
                    logits = cap * (logits / cap).tanh()
            _, top_ids = top_by_id(logits, min(top_k, model.d_vocab))
            every = logits.log_softmax(-1)
            came = following[:, places[some]].repeat(len(group), 1, 1)
            values = (
                top_ids,
                every.gather(-1, top_ids).exp(),
                every.gather(-1, came)[..., 0],
                every.gather(-1, end.repeat(len(group), 1, 1))[..., 0].exp(),
            )
            parted = [to_numpy(each.unflatten(0, (len(group), -1))) for each in values]
            found[-1] += [[each[depth] for each in parted] for depth in range(len(group))]
        error = max(error, float((logits[-tokens.batch :] - own[:, some]).abs().max()))
    # [batch, depth, pos, ..] each.
    ids, probs, log_probs, end_probs = (
        np.concatenate([np.stack([depth[i] for depth in piece], 1) for piece in found], 2)
        for i in range(4)
    )
    return Lens(
        labels=("Embedding", *(f"L{layer}" for layer in range(model.n_layers))),
        error=error,
        top_ids=ids,
        top_probs=probs,
        log_probs=log_probs[..., :-1],  # nothing came after the last
        end_probs=end_probs,
    )
