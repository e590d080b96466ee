"""How well the model predicts each next token."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.errors import AnalysisError
from analysis.limits import positions_at_once, rows_at_once
from analysis.models.loading import HeadModel
from analysis.runs.forward import next_token_log_probs, run
from analysis.runs.inputs import Tokens


@dataclass(frozen=True, eq=False)
class NextTokenStats:
    """Next-token predictions. Entry i is made at position i and scored on token i+1.

    `top_ids` and `top_probs` also cover the last position, whose next token is unknown.
    """

    loss: float  # nats per token, mean over every prediction of every sequence
    # Before the others: jaxtyping reads `pos-1` only once `pos` is known.
    top_ids: Int[np.ndarray, "batch pos k"]
    top_probs: Float[np.ndarray, "batch pos k"]  # 0..1, largest first
    log_probs: Float[np.ndarray, "batch pos-1"]  # nats, of the token that came
    correct: Bool[np.ndarray, "batch pos-1"]  # whether that token was the top guess

    def __post_init__(self) -> None:
        if not np.isfinite(self.log_probs).all():
            raise ValueError("a log-probability is not finite")
        freeze(self, "log_probs", "correct", "top_ids", "top_probs")

    def half_losses(self, tokens: Tokens) -> tuple[float, float]:
        """Mean loss, nats, on both halves of repeated tokens.

        First half: entries 0..S-1. Second half: entries S+1..2S-1, the ones that the first half
        determines (ARENA 1.2; entry S scores a token that nothing could predict).
        """
        assert tokens.half_length is not None
        first = -float(self.log_probs[:, : tokens.half_length].mean())
        return first, -float(self.log_probs[:, tokens.scored].mean())


def next_token_stats(model: HeadModel, tokens: Tokens, top_k: int = 10) -> NextTokenStats:
    """Loss, per-token log-probabilities, correct top guesses and the k most likely tokens.

    loss = mean of -log p(token i+1 | tokens 0..i), in nats. Source: ARENA 1.2, sections 1.2-1.4.

    Args:
        model: The model.
        tokens: Its tokens, at least 2 positions.
        top_k: How many next tokens to list, at least 1; no more than `d_vocab` are returned.

    Raises:
        AnalysisError: `top_k` below 1.
    """
    if top_k < 1:
        raise AnalysisError(f"The {top_k} most likely tokens were asked for. Ask for at least 1.")
    rows = rows_at_once(tokens.length, model.d_vocab)
    groups = [_predictions(model, some, top_k) for some in tokens.tensor.split(rows)]
    top_ids, top_probs, log_probs = map(np.concatenate, zip(*groups, strict=True))
    return NextTokenStats(
        loss=-float(log_probs.mean()),
        top_ids=top_ids,
        top_probs=top_probs,
        log_probs=log_probs,
        correct=top_ids[:, :-1, 0] == tokens.ids[:, 1:],
    )


def _predictions(
    model: HeadModel, ids: Int[Tensor, "batch pos"], top_k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids and probabilities of the most likely tokens, and log-probabilities of those that came."""
    logits, _ = run(model, ids)
    log_probs = next_token_log_probs(logits, ids)
    top_ids, top_probs = [], []
    for some in logits.split(positions_at_once(len(ids), model.d_vocab), 1):
        _, best = top_by_id(some, min(top_k, model.d_vocab))
        top_ids.append(best)
        top_probs.append(some.log_softmax(-1).gather(-1, best).exp())
    return to_numpy(torch.cat(top_ids, 1)), to_numpy(torch.cat(top_probs, 1)), to_numpy(log_probs)


def top_by_id(
    values: Float[Tensor, "*rows n"], k: int
) -> tuple[Float[Tensor, "*rows k"], Int[Tensor, "*rows k"]]:
    """The k largest values of each row and their places; of equal ones the lower place first.

    `topk` alone takes any of them, and others for another k.
    """
    ranked = values.topk(k, dim=-1)
    least = ranked.values[..., -1:]
    # Rows in which more than k are at least as large as the last one: which of those is a choice.
    crowded = (values >= least).sum(-1) > k
    ids = ranked.indices.clone()
    if crowded.any():
        sure = values[crowded].sort(dim=-1, descending=True, stable=True)
        ids[crowded] = sure.indices[..., :k]
    # Within the k: by value, and by place where that is the same.
    ids = ids.sort(-1).values
    chosen = values.gather(-1, ids)
    order = chosen.sort(dim=-1, descending=True, stable=True)
    return order.values, ids.gather(-1, order.indices)
