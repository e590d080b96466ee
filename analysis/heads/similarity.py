"""Which heads are alike, by their profile of scores."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from analysis.errors import AnalysisError
from analysis.head import Head


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
    varied = [v for v in scores.values() if np.isfinite(v).all() and v.std() > 0]
    if not varied:
        raise AnalysisError(
            f"None of {len(scores)} scores is known and differs between heads. Use another input."
        )
    profiles = np.stack([values / values.std() for values in varied], -1).astype(np.float64)
    n_layers, n_heads = profiles.shape[:2]
    if head.layer >= n_layers or head.head >= n_heads:
        raise AnalysisError(
            f"{head.label} was asked for; there are {n_layers} layers of {n_heads} heads."
        )
    distance = np.linalg.norm(profiles - profiles[head.layer, head.head], axis=-1)
    order = [Head(*divmod(int(i), n_heads)) for i in np.argsort(distance, axis=None, kind="stable")]
    return [(other, float(distance[other.layer, other.head])) for other in order if other != head]
