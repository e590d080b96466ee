"""Which heads are alike, by their profile of scores."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from analysis.errors import AnalysisError
from analysis.head import Head

# Of all pairs of heads, how many count as alike.
ALIKE = 0.15
# Heads whose pairs are counted: of a larger model as many, evenly spread.
_MOST = 1_024


def similar_heads(
    scores: Mapping[str, Float[np.ndarray, "layer head"]], head: Head
) -> list[tuple[Head, float]]:
    """All other heads, the most similar first, with their distance to `head`.

    d(a, b) = sqrt(sum over scores of ((score[a] - score[b]) / sd)^2): the Euclidean distance of
    z-scores, sd over all heads of the model. A score that is unknown for some head, or the same
    for every head, tells nothing apart and is left out. Unit: standard deviations.

    Args:
        scores: Any scores by name, each over the same heads.
        head: The head to compare with.

    Raises:
        AnalysisError: No score tells heads apart, or `head` is outside the arrays.
    """
    profiles = _profiles(scores)
    n_layers, n_heads = profiles.shape[:2]
    if head.layer >= n_layers or head.head >= n_heads:
        raise AnalysisError(
            f"{head.label} was asked for; there are {n_layers} layers of {n_heads} heads."
        )
    distance = np.linalg.norm(profiles - profiles[head.layer, head.head], axis=-1)
    order = [Head(*divmod(int(i), n_heads)) for i in np.argsort(distance, axis=None, kind="stable")]
    return [(other, float(distance[other.layer, other.head])) for other in order if other != head]


def alike_within(
    scores: Mapping[str, Float[np.ndarray, "layer head"]], share: float = ALIKE
) -> float:
    """The distance of `similar_heads` that only this share of all pairs of heads is within.

    Two heads at random are farther apart with a chance of 1 - share. Of more than 1,024 heads it is
    the pairs of as many of them. Unit: standard deviations; NaN of a single head.

    Raises:
        AnalysisError: No score tells heads apart.
    """
    profiles = _profiles(scores)
    heads = profiles.reshape(-1, profiles.shape[-1])
    heads = heads[:: -(-len(heads) // _MOST)]
    if len(heads) < 2:
        return float("nan")
    pairs = [np.linalg.norm(heads[i + 1 :] - one, axis=-1) for i, one in enumerate(heads[:-1])]
    return float(np.quantile(np.concatenate(pairs), share))


def _profiles(
    scores: Mapping[str, Float[np.ndarray, "layer head"]],
) -> Float[np.ndarray, "layer head score"]:
    """The scores that tell heads apart, in standard deviations."""
    varied = [v for v in scores.values() if np.isfinite(v).all() and v.std() > 0]
    if not varied:
        raise AnalysisError(
            f"None of {len(scores)} scores is known and differs between heads. Use another input."
        )
    return np.stack([values / values.std() for values in varied], -1).astype(np.float64)
