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
    extent,
    quantise,
)


def causal(heads: int, tokens: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    weights = np.tril(generator.random((heads, tokens, tokens)) ** 8 + 1e-6)
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def restore(cells: bytes, heads: int, tokens: int, bits: int) -> np.ndarray:
    """The patterns again, by a loop written from the format's description."""
    values: Iterator[float] = iter(np.frombuffer(cells, f"<u{bits // 8}").astype(float))
    patterns = np.zeros((heads, tokens, tokens))
    for head in range(heads):
        for dest in range(tokens):
            for src in range(dest + 1):
                patterns[head, dest, src] = next(values) / (2**bits - 1)
    assert next(values, None) is None
    return patterns


@pytest.mark.parametrize("bits", [8, 16])
def test_the_bytes_are_the_pattern_within_half_a_step(bits: int) -> None:
    patterns = causal(3, 17)
    back = restore(quantise(patterns, bits), 3, 17, bits)
    assert np.abs(back - patterns).max() <= 0.5 / (2**bits - 1) + 1e-6
    assert np.abs(back - patterns).max() < 1 / 255


def test_cells_come_by_head_then_destination_then_source() -> None:
    patterns = np.zeros((2, 3, 3), np.float32)
    patterns[0] = [[1.0, 0.0, 0.0], [0.2, 0.8, 0.0], [0.0, 0.4, 0.6]]
    patterns[1] = [[1, 0, 0], [1, 0, 0], [0, 0, 1]]
    cells = list(quantise(patterns, 8))
    assert cells == [255, 51, 204, 0, 102, 153, 255, 255, 0, 0, 0, 255]


def test_sixteen_bits_are_little_endian() -> None:
    patterns = np.array([[[1, 0], [1 / 256, 255 / 256]]], np.float32)
    assert quantise(patterns, 16)[2:4] == round(65535 / 256).to_bytes(2, "little")


def test_rounding_noise_outside_the_range_is_clipped_not_wrapped() -> None:
    patterns = np.array([[[1.00005, 0], [-0.00005, 1.00005]]], np.float32)
    assert list(quantise(patterns, 8)) == [255, 0, 255]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.01, -0.01])
def test_values_that_are_no_attention_are_refused(value: float) -> None:
    patterns = causal(1, 3)
    patterns[0, 2, 1] = value
    with pytest.raises(ValueError, match=r"lies in 0\.\.1"):
        quantise(patterns, 8)


def test_attention_to_a_later_token_is_refused_because_it_would_be_lost() -> None:
    patterns = causal(1, 3)
    patterns[0, 0, 2] = 0.25
    with pytest.raises(ValueError, match=r"later tokens; found 0\.25"):
        quantise(patterns, 8)


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


def test_payload_of_144_heads_x_100_tokens_is_a_byte_per_cell() -> None:
    shown = extent(144, 100)
    assert shown.bits == 8
    assert len(quantise(causal(144, 100), shown.bits)) == 144 * 5050


def test_small_inputs_carry_four_decimals() -> None:
    assert extent(16, 100).bits == 16


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
