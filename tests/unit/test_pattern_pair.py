"""The pair of patterns: the bytes are both patterns, and texts stay texts."""

import json

import numpy as np
import pytest

from app.components.pattern_pair.payload import Pane, pair_payload
from app.text import display_token
from app.theme import DARK, LIGHT
from tests.hostile import HOSTILE


def causal(n: int, seed: int) -> np.ndarray:
    weights = np.tril(np.random.default_rng(seed).random((n, n)) ** 4 + 1e-6)
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def unpack(payload: bytes) -> tuple[dict, list[np.ndarray]]:
    """Header and patterns again, read as the format is described."""
    length = int.from_bytes(payload[:4], "little")
    header = json.loads(payload[4 : 4 + length])
    cells = iter(np.frombuffer(payload[4 + length :], "<f4"))
    patterns = []
    for pane in header["panes"]:
        n = len(pane["labels"])
        pattern = np.zeros((n, n))
        for dest in range(n):
            for src in range(dest + 1):
                pattern[dest, src] = next(cells)
        patterns.append(pattern)
    assert next(cells, None) is None
    return header, patterns


@pytest.mark.parametrize(("n_first", "n_second"), [(9, 9), (9, 5), (1, 12)])
def test_the_bytes_are_both_patterns(n_first: int, n_second: int) -> None:
    first, second = causal(n_first, 1), causal(n_second, 2)
    payload = pair_payload(
        Pane("a", "", first, ["x"] * n_first), Pane("b", "", second, ["y"] * n_second), LIGHT
    )
    header, patterns = unpack(payload)
    assert [pane["title"] for pane in header["panes"]] == ["a", "b"]
    np.testing.assert_array_equal(patterns[0], first)
    np.testing.assert_array_equal(patterns[1], second)


def test_another_theme_or_pattern_is_another_picture_and_the_same_one_is_not() -> None:
    """The browser keeps what it shows while the id stays."""

    def identity(seed: int, palette: object) -> str:
        pane = Pane("a", "", causal(4, seed), list("abcd"))
        return str(unpack(pair_payload(pane, pane, palette))[0]["id"])  # type: ignore[arg-type]

    assert identity(1, LIGHT) == identity(1, LIGHT)
    assert len({identity(1, LIGHT), identity(2, LIGHT), identity(1, DARK)}) == 3


def test_tokens_are_shown_as_visible_text() -> None:
    n = len(HOSTILE)
    pane = Pane("a", "", causal(n, 0), HOSTILE)
    header, _ = unpack(pair_payload(pane, pane, LIGHT))
    assert header["panes"][0]["labels"] == [display_token(text) for text in HOSTILE]


def test_too_many_tokens_are_cut_on_both_sides_alike_and_said() -> None:
    n = 1030
    pane = Pane("a", "note.", np.eye(n, dtype=np.float32), ["t"] * n)
    header, patterns = unpack(pair_payload(pane, pane, LIGHT))
    assert [pattern.shape for pattern in patterns] == [(1024, 1024)] * 2
    assert "the first 1,024 of 1,030 tokens" in header["panes"][1]["note"]


def test_a_pattern_of_other_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="3 labels"):
        Pane("a", "", causal(4, 0), list("abc"))
