"""What the ablation page says about its estimates, by pandas and by hand."""

import numpy as np
import pandas as pd
import pytest

from app.sections.ablation.quality import agreement_said, farthest_said, rank_correlation


@pytest.mark.parametrize("seed", range(3))
def test_ranks_correlate_as_pandas_says_with_ties_too(seed: int) -> None:
    draw = np.random.default_rng(seed)
    first, second = draw.normal(size=20), draw.integers(0, 5, 20).astype(float)
    frame = pd.DataFrame({"first": first, "second": second})
    wanted = frame.corr(method="spearman").iloc[0, 1]
    assert rank_correlation(first, second) == pytest.approx(wanted)
    assert rank_correlation(first, np.exp(first)) == pytest.approx(1)
    assert np.isnan(rank_correlation(first, np.zeros(20)))


def test_only_exact_heads_are_counted() -> None:
    estimate = np.array([[0.1, 0.2, 0.3], [0.4, 9.0, 0.5]])
    exact = np.array([[0.1, 0.3, 0.5], [0.8, np.nan, 1.5]])
    # In the same order; off by 0, .1, .2, .4 and 1.
    assert agreement_said(estimate, exact) == (
        "The estimates of the 5 exact heads rank like their exact values with a correlation of "
        "1.00 (by chance 0 ± 0.50); half of them are off by 0.200 nats or less."
    )
    assert farthest_said(estimate, exact).startswith(
        "Farthest off is L1H2: +0.50 nats estimated, +1.50 exact. Taking it out whole does far"
    )
    assert "The slope promises more" in farthest_said(exact, estimate)


def test_a_few_heads_and_heads_that_do_nothing_are_not_ranked() -> None:
    few = np.array([[1.0, 2.0, 3.0, 4.0, np.nan]])
    assert agreement_said(np.ones((1, 5)), few) == ""
    assert agreement_said(np.zeros((1, 6)), np.zeros((1, 6))) == (
        "The estimates of all 6 heads: half of them are off by 0.000 nats or less."
    )
