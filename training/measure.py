"""What a checkpoint shows, measured through analysis/ with the definitions that the app uses."""

from dataclasses import dataclass

import numpy as np
import torch

from analysis.heads.scores import SCORE_NAMES, HeadScores, head_scores
from analysis.models.loading import HeadModel
from analysis.runs.forward import next_token_log_probs, run
from analysis.runs.inputs import Tokens, repeated_tokens
from analysis.runs.predictions import next_token_stats

# Training draws its rows from other generators, so these sequences are new to every model.
FRESH_SEED = 2026
ROWS_AT_ONCE = 8  # 512 tokens each: logits of 64 MiB


@dataclass(frozen=True, eq=False)
class Measured:
    """Figures of one set of weights on 10 fresh sequences of S = 50 and on held-out novels.

    Losses in nats per token. `model` holds the weights that were measured only until the next
    checkpoint is loaded into it.
    """

    model: HeadModel
    tokens: Tokens
    scores: HeadScores
    first_half_loss: float
    second_half_loss: float
    text_loss: float

    def record(self) -> dict:
        """The figures as JSON, scores as [layer][head]."""
        return {
            "text_loss": round(self.text_loss, 4),
            "first_half_loss": round(self.first_half_loss, 4),
            "second_half_loss": round(self.second_half_loss, 4),
            "scores": {
                name: [[round(float(score), 4) for score in layer] for layer in self.scores[name]]
                for name in SCORE_NAMES
            },
        }


def measure(model: HeadModel, text_rows: np.ndarray) -> Measured:
    """Every figure of the model's present weights."""
    tokens = repeated_tokens(model, length=50, batch=10, seed=FRESH_SEED)
    first, second = next_token_stats(model, tokens, top_k=1).half_losses(tokens)
    return Measured(
        model=model,
        tokens=tokens,
        scores=head_scores(model, tokens),
        first_half_loss=first,
        second_half_loss=second,
        text_loss=text_loss(model, text_rows),
    )


def text_loss(model: HeadModel, rows: np.ndarray) -> float:
    """Mean next-token loss over `rows` of token ids, nats; float32, unlike the training loop's."""
    losses = []
    for ids in torch.from_numpy(rows).split(ROWS_AT_ONCE):
        logits, _ = run(model, ids)
        losses.append(-next_token_log_probs(logits, ids))
    return float(torch.cat(losses).mean())
