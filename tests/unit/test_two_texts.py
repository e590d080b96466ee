"""Models with an encoder and a decoder in a notebook: each part is what transformers gives."""

from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSeq2SeqLM,
    PreTrainedTokenizerFast,
)

from analysis.errors import AnalysisError
from analysis.head import Head
from app.components.head_grid.packing import rescaled_rows
from app.notebook import patterns_of, show
from app.notebook.two_texts import PatternsOfTwo
from tests.hostile import HOSTILE

SAID = ["the", "cat", "sat", "on", "a", "mat", "le", "chat", "dort", "ici"]
WORDS = ["<pad>", "</s>", "<unk>", *SAID]
TEXTS = ("the cat sat on a mat", "le chat dort")
_BART = {
    "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16,
    "max_position_embeddings": 32, "decoder_start_token_id": 0,
}  # fmt: skip
SIZES: dict[str, dict[str, Any]] = {
    "t5": {"d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 2, "num_heads": 4,
           "decoder_start_token_id": 0},
    "bart": _BART,
    "marian": {**_BART, "decoder_vocab_size": len(WORDS)},
}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """Words, with what ends a text."""
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )


@pytest.fixture(scope="module", params=SIZES)
def model(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        request.param, vocab_size=len(WORDS), pad_token_id=0, eos_token_id=1, **SIZES[request.param]
    )
    made = AutoModelForSeq2SeqLM.from_config(config).train()  # with dropout, as one is made
    for weight in made.parameters():
        weight.data = torch.randn_like(weight) * 0.5
    return made


def test_each_part_is_what_transformers_gives(
    model: Any, tokenizer: PreTrainedTokenizerFast
) -> None:
    before = model.config._attn_implementation
    found = patterns_of(model, tokenizer, TEXTS)
    assert isinstance(found, PatternsOfTwo)
    assert model.training and model.config._attn_implementation == before
    # The decoder begins with its first token, and is handed all but what ends the text.
    read = [WORDS.index(word) for word in (*TEXTS[0].split(), "</s>")]
    written = [WORDS.index(word) for word in ("<pad>", *TEXTS[1].split())]
    assert [text.strip() for text in found.tokens] == [WORDS[i] for i in written]
    assert [text.strip() for text in found.sources] == [WORDS[i] for i in read]
    model.eval().set_attn_implementation("eager")
    with torch.no_grad():
        known = model(
            input_ids=torch.tensor([read]),
            decoder_input_ids=torch.tensor([written]),
            output_attentions=True,
        )
    model.train().set_attn_implementation(before)
    for part in ("encoder", "decoder", "cross"):
        expected = torch.cat(getattr(known, f"{part}_attentions")).numpy()
        assert np.abs(getattr(found, part) - expected).max() < 1e-6
    assert found.cross.shape == (2, 4, len(written), len(read))


def test_each_part_is_shown_on_its_own_tokens(
    model: Any, tokenizer: PreTrainedTokenizerFast
) -> None:
    viewer = show(model, TEXTS, tokenizer=tokenizer)
    viewer.view = {"focus": "L1H2", "locked": [], "tokens": [3, 6], "direction": "src"}
    assert (viewer.focus, viewer.tokens) == (Head(1, 2), [3, 6])
    # Of the destinations there are four.
    viewer.view = {"focus": "L1H2", "locked": [], "tokens": [3, 6], "direction": "dest"}
    assert viewer.tokens == [3]
    for part, count in (("encoder", 7), ("decoder", 4)):
        alone = show(model, TEXTS, tokenizer=tokenizer, part=part)  # type: ignore[arg-type]
        alone.view = {"focus": "L0H0", "locked": [], "tokens": [3, 6], "direction": "src"}
        assert alone.tokens == [i for i in (3, 6) if i < count]


def test_what_does_not_fit_is_refused_with_what_does(
    model: Any, tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(AnalysisError, match="Give both"):
        patterns_of(model, tokenizer, TEXTS[0])
    for texts in ((*TEXTS, "more"), (TEXTS[0], 3), None):
        with pytest.raises(AnalysisError, match="Give both"):
            patterns_of(model, tokenizer, texts)
    if hasattr(model.config, "max_position_embeddings"):  # T5 has none
        with pytest.raises(AnalysisError, match="these 4. tokens .* shorter text"):
            patterns_of(model, tokenizer, ("cat " * 40, "chat"))
    bare = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, "a")))
    with pytest.raises(AnalysisError, match="no tokens"):
        patterns_of(model, bare, ("", ""))
    with pytest.raises(AnalysisError, match="'encoder', 'decoder' or 'cross'"):
        show(model, TEXTS, tokenizer=tokenizer, part="middle")  # type: ignore[arg-type]
    with pytest.raises(AnalysisError, match="no head that writes"):
        patterns_of(AutoModel.from_config(model.config), tokenizer, TEXTS)
    ids = torch.tensor([[3, 4, 1]])
    with torch.no_grad():
        output = model(input_ids=ids, decoder_input_ids=ids)
    with pytest.raises(AnalysisError, match="cross_attentions"):
        show(output, list("abc"))


CROSS = np.full((2, 3, 4, 6), 1 / 6, np.float32)
ILL: dict[str, tuple[np.ndarray, int, int, str]] = {
    "rows": (CROSS * 2, 4, 6, "sums to 2"),
    "destinations": (CROSS, 6, 6, "6 tokens for patterns of 4"),
    "sources": (CROSS, 4, 4, "4 tokens for patterns of 6"),
    "a batch": (np.stack([CROSS, CROSS], 1), 4, 6, "batch of 2"),
}


@pytest.mark.parametrize(("patterns", "n", "m", "said"), ILL.values(), ids=ILL)
def test_arrays_of_two_texts_are_checked(patterns: np.ndarray, n: int, m: int, said: str) -> None:
    with pytest.raises(AnalysisError, match=said):
        show(patterns, ["a"] * n, sources=["b"] * m)


def test_patterns_that_are_no_squares_need_sources() -> None:
    with pytest.raises(AnalysisError, match="unless sources are given"):
        show(CROSS, ["a"] * 4)
    still = show(CROSS, HOSTILE[:4], sources=HOSTILE[:6]).still_html()
    assert "from 4 to 6 tokens" in still
    # A first value and a largest one for each row, then the other sources in steps of it.
    packed = rescaled_rows(CROSS.reshape(6, 4, 6), bidirectional=True)
    assert len(packed) == 6 * 4 * (4 + 4 + 2 * 5)
