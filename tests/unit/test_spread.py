"""Means over prompts with their bootstrap intervals."""

import numpy as np
import pytest

from analysis.sets.spread import paired, spread


@pytest.mark.parametrize("rows", [8, 20, 64])
@pytest.mark.parametrize("shape", ["normal", "skewed"])
def test_intervals_cover_the_true_mean_at_their_stated_rate(rows: int, shape: str) -> None:
    """800 sets drawn from a known distribution: about 95 % of intervals hold its mean."""
    random = np.random.default_rng(7)
    if shape == "normal":
        drawn, true = random.normal(3, 2, (rows, 800)), 3.0
    else:
        drawn, true = random.gamma(4, 1, (rows, 800)), 4.0
    found = spread(drawn)
    covered = np.mean((found.low <= true) & (true <= found.high))
    # Four standard errors of 800 draws are .03; small skewed sets are known to cover less.
    assert 0.95 - (0.06 if shape == "skewed" and rows == 8 else 0.03) <= covered <= 0.98


def test_mean_and_sd_are_numpys_and_the_interval_holds_the_mean() -> None:
    values = np.random.default_rng(0).normal(size=(12, 3, 2))
    found = spread(values)
    assert np.allclose(found.mean, values.mean(0))
    assert np.allclose(found.sd, values.std(0, ddof=1))
    assert (found.low < found.mean).all() and (found.mean < found.high).all()
    assert found.rows == 12
    again = spread(values[:, 1, 1])
    assert again.low == found.low[1, 1]  # numbers of one row are resampled together


def test_a_single_row_has_a_mean_and_no_spread() -> None:
    found = spread(np.array([2.0]))
    assert found.mean == 2 and np.isnan([found.sd, found.low, found.high]).all()


def test_paired_differences_cancel_what_rows_have_in_common() -> None:
    random = np.random.default_rng(3)
    common = random.normal(0, 10, 40)
    noise = random.normal(0, 0.1, 40)
    found = paired(common + 1 + noise, common)
    assert 0.9 < found.low < found.mean < found.high < 1.1
    apart = spread(common + 1 + noise)
    assert apart.high - apart.low > 20 * (found.high - found.low)
