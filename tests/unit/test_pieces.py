"""How much runs in one go."""

from dataclasses import replace

import pytest

from analysis.models.catalog import find_model
from analysis.runs.pieces import pieces, rows_at_once

BUNDLED = find_model("gelu-4l")
# 1,000 parameters a layer and 1,000 in the unembedding: each of 9 layers is a tenth of a run.
TENTHS = replace(BUNDLED, n_layers=9, n_params=10_000, d_vocab=100, d_model=10)


def test_a_late_layer_leaves_less_to_run() -> None:
    assert TENTHS.share_from(0) == 1
    assert TENTHS.share_from(4) == pytest.approx(0.6)
    assert TENTHS.share_from(9) == pytest.approx(0.1)  # the unembedding alone


def test_a_small_model_takes_some_sequences_and_a_large_one_a_sequence() -> None:
    assert rows_at_once(BUNDLED, 100) == 10
    assert rows_at_once(BUNDLED, 5000) == 1
    # 2 x 125 million operations a token: 200 tokens are 5e10.
    assert rows_at_once(replace(BUNDLED, n_params=125_000_000), 100) == 2
    assert rows_at_once(replace(BUNDLED, n_params=7_000_000_000), 100) == 1


@pytest.mark.parametrize("n_params", [10_000, 10**8, 10**10])
def test_every_run_is_in_one_piece_in_its_order(n_params: int) -> None:
    info = replace(TENTHS, n_params=n_params)
    layers = [0, 8, 8, 3, 0, 0, 8] * 5
    found = list(pieces(info, 100, layers))
    assert [layer for some in found for layer in layers[some]] == layers
    assert all(layers[some] for some in found)
    assert list(pieces(info, 100, [])) == []


def test_more_late_runs_than_early_ones_go_in_one_piece() -> None:
    # 50 tokens through all of it, 5e10 operations, are two runs from the first layer on.
    info = replace(TENTHS, n_params=5 * 10**8, d_vocab=10**5, d_model=500)
    assert [some.stop - some.start for some in pieces(info, 25, [0] * 4)] == [2, 2]
    # From layer 5 on they are half of it.
    assert info.share_from(5) == pytest.approx(0.5)
    assert [some.stop - some.start for some in pieces(info, 25, [5] * 8)] == [4, 4]


def test_runs_of_a_small_model_share_a_batch_so_far_that_the_first_come_early() -> None:
    assert [some.stop - some.start for some in pieces(BUNDLED, 50, [0] * 12)] == [5, 5, 2]
    assert [some.stop - some.start for some in pieces(BUNDLED, 1010, [0] * 3)] == [1, 1, 1]


def test_a_model_that_does_not_say_how_large_it_is_counts_as_its_unembedding() -> None:
    assert replace(TENTHS, n_params=0).share_from(5) == 1
    assert rows_at_once(replace(TENTHS, n_params=0), 100) == 10
