"""How well the model predicts each next token."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from analysis.arrays import freeze, to_numpy
from analysis.errors import AnalysisError
from analysis.forward import next_token_log_probs, run
from analysis.inputs import Tokens
from analysis.models import HeadModel


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
    logits, _ = run(model, tokens.tensor)
    log_probs = next_token_log_probs(logits, tokens.tensor)
    top = logits.topk(min(top_k, model.d_vocab), dim=-1)
    top_probs = logits.log_softmax(-1).gather(-1, top.indices).exp()
    guessed = to_numpy(top.indices[:, :-1, 0])
    return NextTokenStats(
        loss=-float(log_probs.mean()),
        top_ids=to_numpy(top.indices),
        top_probs=to_numpy(top_probs),
        log_probs=to_numpy(log_probs),
        correct=guessed == tokens.ids[:, 1:],
    )
