"""Mean over prompts with its spread: standard deviation and bootstrap interval. No torch."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from jaxtyping import Float

from analysis.arrays import freeze

LEVEL = 0.95
RESAMPLES = 2_000
# Resamples times numbers in one block of means: 16 MiB.
_AT_ONCE = 2**22


@dataclass(frozen=True, eq=False)
class Spread:
    """Mean over rows and what it rests on; NaN where there are too few rows to say.

    `sd` is the sample standard deviation of a single row. `low` and `high` bound the mean at
    `level`: of sets drawn like this one, that share of intervals holds the true mean.
    """

    mean: Float[np.ndarray, "*shape"]
    sd: Float[np.ndarray, "*shape"]
    low: Float[np.ndarray, "*shape"]
    high: Float[np.ndarray, "*shape"]
    rows: int
    level: float = LEVEL

    def __post_init__(self) -> None:
        freeze(self, "mean", "sd", "low", "high")


def spread(values: Float[np.ndarray, " row *shape"], seed: int = 0, level: float = LEVEL) -> Spread:
    """Mean, standard deviation and bootstrap interval over rows, of one number or of many each.

    The interval is the percentile bootstrap over rows, expanded for small sets: its tails are
    Phi(-sqrt(n / (n - 1)) t), t the quantile of Student's t with n - 1 degrees of freedom, so that
    it covers as often as it says where plain percentiles are too narrow. Rows are resampled
    together, so that numbers of one row stay together. It knows nothing of prompts unlike these.
    Source: Efron 1979; Hesterberg 2015, section 3.2.

    Args:
        values: Numbers by row.
        seed: Of the resamples.
        level: How much the interval should cover.
    """
    n = len(values)
    flat = np.asarray(values, np.float64).reshape(n, -1)
    mean = flat.mean(0)
    sd = flat.std(0, ddof=1) if n > 1 else np.full_like(mean, np.nan)
    low, high = (np.full_like(mean, np.nan) for _ in range(2))
    if n > 1:
        outside = tail(n, level)
        drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
        width = max(1, _AT_ONCE // RESAMPLES)
        for start in range(0, flat.shape[1], width):
            part = slice(start, start + width)
            low[part], high[part] = np.quantile(
                drawn @ flat[:, part], (outside, 1 - outside), axis=0
            )
    shape = np.shape(values)[1:]
    mean, sd, low, high = (each.reshape(shape) for each in (mean, sd, low, high))
    return Spread(mean, sd, low, high, rows=n, level=level)


def tail(rows: int, level: float = LEVEL) -> float:
    """The share of resamples that an interval of so many rows leaves out on each side."""
    wanted = _student(1 - (1 - level) / 2, rows - 1)
    return NormalDist().cdf(-sqrt(rows / (rows - 1)) * wanted)


def paired(
    first: Float[np.ndarray, " row *shape"], second: Float[np.ndarray, " row *shape"], seed: int = 0
) -> Spread:
    """Spread of the differences first - second, row by row: what rows have in common cancels."""
    return spread(np.asarray(first, np.float64) - second, seed)


def _student(quantile: float, freedom: int) -> float:
    """Quantile of Student's t: Cornish and Fisher's series, exact where the mean is of two rows.

    From three degrees of freedom on it is within 1 % at the usual levels.
    """
    if freedom == 1:
        return float(np.tan(np.pi * (quantile - 0.5)))
    if freedom == 2:
        q = 2 * quantile - 1
        return float(q * np.sqrt(2 / (1 - q * q)))
    z = NormalDist().inv_cdf(quantile)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))
