"""The bytes that the head grid draws are the patterns; what does not fit is said."""

import json
from collections.abc import Iterator

import numpy as np
import pytest

from app.components.head_grid.packing import (
    MAX_CELLS,
    MAX_HEADS,
    MAX_TOKENS,
    assemble,
    exact_cells,
    extent,
    rescaled_rows,
    weighted_rows,
)


def causal(*shape: int, seed: int = 0) -> np.ndarray:
    """Patterns of a shape that ends in the number of tokens, which stands there twice."""
    generator = np.random.default_rng(seed)
    weights = np.tril(generator.random((*shape, shape[-1])) ** 8 + 1e-6)
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def restore(numbers: bytes, heads: int, tokens: int) -> np.ndarray:
    """The patterns again, by a loop written from the format's description."""
    rows = heads * tokens
    first = np.frombuffer(numbers, "<f4", rows).reshape(heads, tokens)
    most = np.frombuffer(numbers, "<f4", rows, 4 * rows).reshape(heads, tokens)
    cells: Iterator[float] = iter(np.frombuffer(numbers, "<u2", offset=8 * rows).astype(float))
    patterns = np.zeros((heads, tokens, tokens))
    for head in range(heads):
        for dest in range(tokens):
            patterns[head, dest, 0] = first[head, dest]
            for src in range(1, dest + 1):
                patterns[head, dest, src] = next(cells) / 65535 * most[head, dest]
    assert next(cells, None) is None
    return patterns


@pytest.mark.parametrize(("heads", "tokens"), [(3, 17), (2, 1)])
def test_the_bytes_are_the_pattern_within_half_a_step(heads: int, tokens: int) -> None:
    patterns = causal(heads, tokens)
    back = restore(rescaled_rows(patterns), heads, tokens)
    most = patterns[:, :, 1:].max(-1, keepdims=True, initial=0)
    assert np.all(np.abs(back - patterns) <= most * (0.5 / 65535 + 1e-6))
    assert np.array_equal(back[:, :, 0], patterns[:, :, 0])


def test_a_row_of_which_little_is_left_is_as_exact_as_any_other() -> None:
    patterns = np.zeros((1, 3, 3), np.float32)
    patterns[0] = [[1, 0, 0], [1, 0, 0], [0.9482, 0.0019, 0.0499]]
    back = restore(rescaled_rows(patterns), 1, 3)[0, 2]
    np.testing.assert_allclose(back[1:] / (1 - back[0]), [0.0367, 0.9633], atol=1e-4)
    assert back[1] / back[2] == pytest.approx(0.0019 / 0.0499, abs=1e-5)


def test_numbers_come_by_head_then_destination_then_source() -> None:
    patterns = np.zeros((2, 3, 3), np.float32)
    patterns[0] = [[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.0, 0.25, 0.5]]
    patterns[1] = [[1, 0, 0], [1, 0, 0], [0, 0, 1]]
    numbers = rescaled_rows(patterns)
    assert np.frombuffer(numbers, "<f4", 12).tolist() == [
        *[1, 0.25, 0, 1, 1, 0],
        *[0, 0.75, 0.5, 0, 0, 1],
    ]
    assert np.frombuffer(numbers, "<u2", offset=48).tolist() == [65535, 32768, 65535, 0, 0, 65535]


def test_exact_cells_are_the_lower_triangle_in_reading_order() -> None:
    pattern = causal(1, 4)[0]
    cells = np.frombuffer(exact_cells(pattern), "<f4")
    assert cells.tolist() == [pattern[dest, src] for dest in range(4) for src in range(dest + 1)]


def test_weighted_values_come_with_their_sign_and_whatever_their_size() -> None:
    values = np.zeros((1, 3, 3), np.float32)
    values[0] = [[-7, 0, 0], [0, 0, 0], [3, 40, -10]]
    numbers = weighted_rows(values)
    assert np.frombuffer(numbers, "<f4", 6).tolist() == [-7, 0, 3, 0, 0, 40]
    assert np.frombuffer(numbers, "<i2", offset=24).tolist() == [0, 32767, -8192]
    values[0, 0, 1] = -0.1
    with pytest.raises(ValueError, match="no attention to later tokens"):
        weighted_rows(values)
    with pytest.raises(ValueError, match="finite"):
        weighted_rows(np.full((1, 2, 2), np.nan, np.float32))


def test_rounding_noise_outside_the_range_is_clipped_not_wrapped() -> None:
    patterns = np.array([[[1.00005, 0], [-0.00005, 1.00005]]], np.float32)
    assert restore(rescaled_rows(patterns), 1, 2).tolist() == [[[1, 0], [0, 1]]]
    assert np.frombuffer(exact_cells(patterns[0]), "<f4").tolist() == [1, 0, 1]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.01, -0.01])
def test_values_that_are_no_attention_are_refused(value: float) -> None:
    patterns = causal(1, 3)
    patterns[0, 2, 1] = value
    with pytest.raises(ValueError, match=r"lies in 0\.\.1"):
        rescaled_rows(patterns)
    with pytest.raises(ValueError):
        exact_cells(patterns[0])


def test_attention_to_a_later_token_is_refused_because_it_would_be_lost() -> None:
    patterns = causal(1, 3)
    patterns[0, 0, 2] = 0.25
    with pytest.raises(ValueError, match=r"later tokens; found 0\.25"):
        rescaled_rows(patterns)
    with pytest.raises(ValueError):
        exact_cells(patterns[0])


@pytest.mark.parametrize(("heads", "tokens"), [(144, 128), (1, 1024), (16, 512), (1, 1)])
def test_what_the_product_promises_is_shown_whole(heads: int, tokens: int) -> None:
    assert extent(heads, tokens).tokens == tokens
    assert extent(heads, tokens).heads == heads
    assert extent(heads, tokens).note == ""


def test_beyond_the_bound_the_view_says_what_it_shows_instead() -> None:
    shown = extent(144, 300)
    assert shown.cells <= MAX_CELLS < 144 * (shown.tokens + 1) * (shown.tokens + 2) // 2
    assert shown.note.startswith(f"Showing the first {shown.tokens} of 300 tokens.")
    assert "fewer heads" in shown.note
    assert extent(1, 5000).tokens == MAX_TOKENS
    assert "1,024 tokens is the most" in extent(1, 5000).note
    assert "the first 1,200 of 2,000 heads" in extent(2000, 4).note
    assert extent(2000, 4).heads == MAX_HEADS


def test_payload_of_144_heads_x_100_tokens_is_two_bytes_per_cell_and_eight_per_row() -> None:
    assert len(rescaled_rows(causal(144, 100))) == 144 * (2 * 4950 + 8 * 100)


def test_a_payload_holds_its_header_and_aligned_cells() -> None:
    payload = assemble({"labels": ["</script>", "é↵"]}, b"\x01\x02")
    length = int.from_bytes(payload[:4], "little")
    header = json.loads(payload[4 : 4 + length])
    assert header["labels"] == ["</script>", "é↵"]
    assert (4 + length) % 4 == 0
    assert payload[4 + length :] == b"\x01\x02"


def test_the_id_changes_with_cells_and_with_the_header() -> None:
    def identity(label: str, cells: bytes) -> str:
        payload = assemble({"labels": [label]}, cells)
        return str(json.loads(payload[4 : 4 + int.from_bytes(payload[:4], "little")])["id"])

    assert identity("a", b"\x01") == identity("a", b"\x01")
    assert len({identity("a", b"\x01"), identity("a", b"\x02"), identity("b", b"\x01")}) == 3
