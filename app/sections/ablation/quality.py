"""How good the estimates were, on the heads whose exact effects are known, in sentences."""

from __future__ import annotations

import numpy as np

from analysis.head import Head

# Fewer heads rank like anything by chance.
LEAST_RANKED = 5


def agreement_said(estimate: np.ndarray, exact: np.ndarray) -> str:
    """How the estimates rank and how far they are off; empty while too few heads are exact."""
    known = ~np.isnan(exact)
    n = int(known.sum())
    if n < LEAST_RANKED:
        return ""
    those = f"all {n}" if n == exact.size else f"the {n} exact"
    off = float(np.median(np.abs(exact - estimate)[known]))
    half = f"half of them are off by {off:.3f} nats or less"
    ranks = rank_correlation(estimate[known], exact[known])
    if np.isnan(ranks):  # heads that do nothing at all leave nothing to rank
        return f"The estimates of {those} heads: {half}."
    return (
        f"The estimates of {those} heads rank like their exact values with a correlation of "
        f"{ranks:.2f} (by chance 0 ± {1 / np.sqrt(n - 1):.2f}); {half}."
    )


def farthest_said(estimate: np.ndarray, exact: np.ndarray) -> str:
    """The head whose estimate is farthest off, and what that means."""
    error = np.where(np.isnan(exact), 0, exact - estimate)
    layer, head = np.unravel_index(int(np.abs(error).argmax()), error.shape)
    name = Head(int(layer), int(head)).label
    truth = (
        "Taking it out whole does far more than the slope says: attention or the prediction is "
        "saturated, so a small step changes little."
        if error[layer, head] > 0
        else "The slope promises more than taking it out whole does: other heads or a norm make up "
        "for the loss, or it levels off."
    )
    return (
        f"Farthest off is {name}: {estimate[layer, head]:+.2f} nats estimated, "
        f"{exact[layer, head]:+.2f} exact. {truth}"
    )


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's: the correlation of ranks, equal values sharing theirs; NaN if all are equal."""
    ranks = np.stack([_ranks(first), _ranks(second)])
    if (np.ptp(ranks, axis=1) == 0).any():
        return float("nan")
    return float(np.corrcoef(ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray(middle[place])
