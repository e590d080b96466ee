"""Patterns of long texts: tiles and rows, against patterns that are held whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models.loading import HeadModel
from analysis.runs import by_rows, onward
from analysis.runs.by_rows import PatternTiles, pattern_rows, pattern_tiles
from analysis.runs.inputs import as_tokens, long_tokens
from analysis.runs.patterns import attention_patterns
from analysis.tokens import Tokens
from tests.architectures import plain, tiny

FAMILIES = ("native-LN-MLP", "gpt2", "llama", "gemma3", "shortformer")
TEXT = "he said that she came to the house by the sea and he said that she was there. " * 5


def maxima(pattern: np.ndarray, side: int) -> np.ndarray:
    """From the definition, tile by tile."""
    starts = range(0, len(pattern), side)
    return np.array([[pattern[i : i + side, j : j + side].max() for j in starts] for i in starts])


@pytest.mark.parametrize("architecture", FAMILIES)
def test_tiles_are_the_exact_maxima_and_rows_those_of_a_plain_run(
    architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_rows, "ROWS_AT_ONCE", 7)  # pieces that end within a tile's text
    model = tiny(architecture)
    tokens = long_tokens(model, TEXT, 40)
    whole = attention_patterns(model, tokens).values[0]
    for most in (40, 13, 6, 1):
        found = pattern_tiles(model, tokens, most)
        assert found.side == -(-40 // most)
        for layer, head in np.ndindex(whole.shape[:2]):
            wanted = maxima(whole[layer, head], found.side)
            np.testing.assert_allclose(found.values[layer, head], wanted, atol=1e-5)
    for head, start, stop in ((Head(0, 1), 0, 40), (Head(1, 3), 17, 33), (Head(1, 0), 39, 40)):
        rows = pattern_rows(model, tokens, head, start, stop)
        np.testing.assert_allclose(rows.values, whole[head.layer, head.head, start:stop], atol=1e-5)


def longer(n_ctx: int) -> HeadModel:
    """A model with rotary positions that takes 64 tokens, and is run whole on fewer."""
    model = tiny("llama")
    info = replace(model.info, n_ctx=n_ctx, own_context=64)
    return HeadModel(info, model.bridge, model.tokenizer, fingerprint="longer")


def test_beyond_what_is_run_whole_rows_are_those_of_transformers() -> None:
    model = longer(16)
    tokens = long_tokens(model, TEXT, 60)
    with torch.no_grad():
        own = plain("llama")(torch.tensor(tokens.ids.tolist()), output_attentions=True)
    whole = torch.stack(own.attentions)[:, 0].numpy()
    found = pattern_tiles(model, tokens, 20)
    assert found.values[2, 1] == pytest.approx(maxima(whole[2, 1], 3), abs=1e-5)
    rows = pattern_rows(model, tokens, Head(2, 1), 50, 60)
    assert rows.values == pytest.approx(whole[2, 1, 50:], abs=1e-5)
    with pytest.raises(AnalysisError, match="2 to 64 are possible"):
        long_tokens(model, TEXT, 65)


def test_a_model_that_keeps_no_keys_is_run_whole_and_no_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = longer(40)
    monkeypatch.setitem(onward._EXACT, model, False)
    tokens = long_tokens(model, TEXT, 40)
    kept = pattern_tiles(tiny("llama"), tokens, 8)
    assert pattern_tiles(model, tokens, 8).values == pytest.approx(kept.values, abs=1e-5)
    with pytest.raises(AnalysisError, match="run whole, of at most 40"):
        pattern_tiles(model, long_tokens(model, TEXT, 41))


def test_no_more_rows_are_there_at_once_than_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest pattern that a hook ever sees."""
    monkeypatch.setattr(by_rows, "NUMBERS_AT_ONCE", 4 * 60 * 5)
    model = longer(16)
    seen: list[int] = []
    run = by_rows.run_without_logits

    def watch(pattern: torch.Tensor, hook: object) -> None:
        seen.append(pattern.numel())

    def watched(model, ids, capture, hooks, *onward):  # noqa: ANN001, ANN002, ANN202
        points = [(f"blocks.{i}.attn.hook_pattern", watch) for i in range(model.n_layers)]
        return run(model, ids, capture, [*hooks, *points], *onward)

    monkeypatch.setattr(by_rows, "run_without_logits", watched)
    pattern_tiles(model, long_tokens(model, TEXT, 60), 60)
    assert max(seen) <= 4 * 60 * 5
    assert len(seen) == 12 * model.n_layers


def test_what_cannot_be_given_is_refused() -> None:
    model = tiny("llama")
    tokens = long_tokens(model, TEXT, 30)
    two = as_tokens(model, [[1, 2, 3], [4, 5, 6]], has_bos=False)
    assert isinstance(two, Tokens)
    with pytest.raises(AnalysisError, match="2 sequences"):
        pattern_tiles(model, two)
    for start, stop in ((-1, 4), (5, 5), (20, 31)):
        with pytest.raises(AnalysisError, match="were asked for"):
            pattern_rows(model, tokens, Head(0, 0), start, stop)
    with pytest.raises(AnalysisError, match="L9H0"):
        pattern_rows(model, tokens, Head(9, 0), 0, 2)
    tiles = PatternTiles(np.zeros((1, 1, 3, 3), np.float32), 4, 10)
    assert [tiles.tokens(i) for i in range(3)] == [range(4), range(4, 8), range(8, 10)]
