"""An estimate of a whole ablation sweep, which says where to begin with the exact values."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.effects.replacements import Method, check_method, reference_z, replacement
from analysis.head import Head
from analysis.models.loading import HeadModel
from analysis.runs.forward import next_token_log_probs, run_with_gradients
from analysis.runs.inputs import Tokens
from analysis.runs.pieces import rows_at_once
from analysis.runs.suffix import z_points


@dataclass(frozen=True, eq=False)
class AblationEstimate:
    """First-order estimate of an ablation sweep, nats; positive means the head helps.

    `spreads` is what the parts of sequences and positions, of which `values` is the sum, would add
    up to if their signs were chance: the root of the sum of their squares. Early heads do more
    than a straight line says, at many positions, whose parts cancel in `values`.
    """

    values: Float[np.ndarray, "layer head"]
    clean_loss: float
    method: Method
    spreads: Float[np.ndarray, "layer head"]

    def __post_init__(self) -> None:
        if not np.isfinite(self.values).all():
            raise ValueError("an estimate is not finite")
        freeze(self, "values", "spreads")

    @property
    def order(self) -> tuple[Head, ...]:
        """All heads, those most likely to matter first: how much each may, two spreads up.

        `bench.ablation` says how early the heads with the largest effects come like this.
        """
        likely = self.values.clip(0) + 2 * self.spreads
        by_size = np.argsort(-likely, axis=None, kind="stable")
        return tuple(Head(*divmod(int(index), likely.shape[1])) for index in by_size)


def ablation_estimate(
    model: HeadModel, tokens: Tokens, method: Method = "zero", seed: int = 0
) -> AblationEstimate:
    """Estimate the whole sweep from one forward and one backward pass.

    estimate[layer, head] = sum over sequences, positions and d_head of
    d loss / d z · (replacement - z): what the sweep would give if the loss were linear in z. It
    understates heads whose attention or softmax is saturated, and those of the first layers, often
    with the wrong sign: `spreads` ranks them higher. Inputs of many tokens take one pair of passes
    for each part of the batch.
    Source: attribution patching, Nanda 2023.

    Raises:
        AnalysisError: As `ablation_sweep`.
    """
    check_method(method)
    points = z_points(model)
    n_scored = len(range(tokens.length)[tokens.scored])
    ids, loss = tokens.tensor, 0.0
    z: list[list[Tensor]] = [[] for _ in points]
    slopes: list[list[Tensor]] = [[] for _ in points]
    # The loss is a mean over sequences, so each takes its part of the gradient by itself.
    for rows in ids.split(rows_at_once(model.info, tokens.length)):

        def share(logits: Tensor, rows: Tensor = rows) -> Tensor:
            scored = next_token_log_probs(logits, rows)[:, tokens.scored]
            return -scored.sum() / (tokens.batch * n_scored)

        part, activations, gradients = run_with_gradients(model, rows, points, share)
        loss += float(part)
        for layer, point in enumerate(points):
            z[layer].append(activations[point])
            slopes[layer].append(gradients[point])
    values, spreads = [], []
    others = reference_z(model, tokens, method, seed)
    for own, slope, other in zip(z, slopes, others, strict=True):
        whole = torch.cat(own)
        change = replacement(whole, method, seed, other) - whole
        parts = (change * torch.cat(slope)).sum(-1)
        values.append(parts.sum((0, 1)))
        spreads.append(parts.square().sum((0, 1)).sqrt())
    return AblationEstimate(
        to_numpy(torch.stack(values)), loss, method, to_numpy(torch.stack(spreads))
    )
