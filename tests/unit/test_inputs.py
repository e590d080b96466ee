"""Prompts and repeated tokens, among them everything hostile that people paste."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers.convert_slow_tokenizer import bytes_to_unicode

from analysis.errors import AnalysisError
from analysis.models.loading import HeadModel
from analysis.runs.inputs import (
    MAX_BATCH,
    MAX_CHARACTERS,
    Tokens,
    paired_tokens,
    repeated_tokens,
    token_text,
    tokenize,
)

HOSTILE = {
    "emoji": "I 🙂 you 👩‍👩‍👧‍👦!",
    "right to left": "שלום עולם \u202eabc مرحبا",
    "NUL": "a\0b",
    "script": "</script><script>alert(1)</script>",
    "image": "<img src=x onerror=alert(1)>",
    "markdown": "**a** [b](javascript:alert(1)) $x$ :red[c]",
    "newlines": "one\r\n\r\n\ttwo\n",
    "spaces": "  a   b  ",
    "combining": "e\u0301 \u200b\ufeff z\u0334",
    "not a character": "a\uffffb\U0010ffffc",
    "replacement character": "a \ufffd b",
}


def bounded(model, **sizes):
    """The same model under other limits."""
    return HeadModel(replace(model.info, **sizes), model.bridge, model.tokenizer, "bounded")


def text_of(labels):
    r"""The bytes that labels stand for: their own, or those spelt out as `\x..`."""
    parts = []
    for label in labels:
        if re.fullmatch(r"(\\x[0-9a-f]{2})+", label):
            parts.append(bytes.fromhex(label.replace("\\x", "")))
        else:
            parts.append(label.encode("utf-8"))
    return b"".join(parts)


def test_a_prompt_begins_with_bos(attention_only):
    tokens = tokenize(attention_only, "hello world")
    assert tokens.ids[0, 0] == attention_only.bos_id
    assert tokens.has_bos
    assert tokens.half_length is None
    assert (tokens.ids[0, 1:] != attention_only.bos_id).all()


def test_bos_can_be_left_out(attention_only):
    with_bos = tokenize(attention_only, "hello world")
    without = tokenize(attention_only, "hello world", prepend_bos=False)
    assert not without.has_bos
    np.testing.assert_array_equal(without.ids[0], with_bos.ids[0, 1:])
    assert without.labels[0] == with_bos.labels[0][1:]


def test_ids_equal_transformerlenss_own(attention_only):
    for prepend in (True, False):
        ours = tokenize(attention_only, "Once upon a time, a cat.", prepend_bos=prepend)
        theirs = attention_only.bridge.to_tokens("Once upon a time, a cat.", prepend_bos=prepend)
        assert torch.equal(ours.tensor, theirs)


@pytest.mark.parametrize("text", ["", " ", "\n\t  \r\n", "\u3000\u00a0\u2003"])
def test_a_blank_prompt_is_refused(attention_only, text):
    with pytest.raises(AnalysisError, match="no text yet"):
        tokenize(attention_only, text)


def test_a_hundred_kilobytes_are_refused_with_both_numbers(attention_only):
    with pytest.raises(AnalysisError, match=r"102,400 characters; at most 20,000"):
        tokenize(attention_only, "word " * 20_480)


def test_the_character_limit_itself_is_still_tokenized(attention_only):
    """Exactly at the limit the tokens decide, one further the characters do."""
    with pytest.raises(AnalysisError, match="tokens"):
        tokenize(attention_only, "a" * MAX_CHARACTERS)
    with pytest.raises(AnalysisError, match="characters"):
        tokenize(attention_only, "a" * (MAX_CHARACTERS + 1))


@pytest.mark.parametrize("text", ["ab\ud800", "ab\udfffcd", "\ud83dx"])
def test_half_a_surrogate_pair_is_refused_and_located(attention_only, text):
    position = next(i for i, c in enumerate(text) if "\ud800" <= c <= "\udfff") + 1
    with pytest.raises(AnalysisError, match=f"Character {position} .*surrogate") as raised:
        tokenize(attention_only, text)
    str(raised.value).encode("utf-8")  # the sentence itself has to be showable


def test_a_prompt_that_fills_the_context_is_taken_and_one_more_token_is_not(attention_only):
    """Off by one, either a legal prompt is refused or the model raises a traceback."""
    text = " a" * (attention_only.n_ctx - 1)
    tokens = tokenize(attention_only, text)
    assert tokens.length == attention_only.n_ctx
    attention_only.bridge(tokens.tensor)
    with pytest.raises(AnalysisError, match=r"65 tokens; tiny takes 64"):
        tokenize(attention_only, text + " a")
    assert tokenize(attention_only, text + " a", prepend_bos=False).length == attention_only.n_ctx


def test_a_single_token_predicts_nothing(attention_only):
    assert tokenize(attention_only, "a").length == 2
    with pytest.raises(AnalysisError, match="switch BOS on"):
        tokenize(attention_only, "a", prepend_bos=False)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("prepend_bos", [True, False])
def test_any_text_is_kept_byte_for_byte(attention_only, text, prepend_bos):
    """What is shown under a figure has to be what the model was run on."""
    tokens = tokenize(attention_only, text, prepend_bos=prepend_bos)
    assert text_of(tokens.labels[0][prepend_bos:]) == text.encode("utf-8")
    assert tokens.ids.max() < attention_only.d_vocab
    attention_only.bridge(tokens.tensor)


def test_a_split_character_is_shown_as_its_bytes(attention_only):
    """A decoder shows each piece as U+FFFD: pieces of different characters would look alike."""
    labels = tokenize(attention_only, "🙂", prepend_bos=False).labels[0]
    assert len(labels) > 1
    assert "".join(labels) == r"\xf0\x9f\x99\x82"


def test_every_token_of_the_vocabulary_is_shown_as_what_it_is(attention_only):
    """Checked against the byte table of transformers, for every id."""
    byte_of = {character: byte for byte, character in bytes_to_unicode().items()}
    tokenizer = attention_only.tokenizer
    for token_id in range(len(tokenizer)):
        if token_id in tokenizer.all_special_ids:
            assert token_text(tokenizer, token_id) == tokenizer.convert_ids_to_tokens(token_id)
            continue
        piece = bytes(byte_of[c] for c in tokenizer.convert_ids_to_tokens(token_id))
        try:
            expected = piece.decode("utf-8")
        except UnicodeDecodeError:
            expected = "".join(f"\\x{byte:02x}" for byte in piece)
        spelt_out = "".join(f"\\x{byte:02x}" for byte in piece)
        # `·` stands for a space on screen, and `\xa0` for a byte.
        ambiguous = any(sign in expected for sign in "·↵⇥␍◌\xa0\xad")
        assert token_text(tokenizer, token_id) == (spelt_out if ambiguous else expected)


def test_repeated_tokens_are_bos_and_the_same_half_twice(attention_only):
    tokens = repeated_tokens(attention_only, length=12, batch=5)
    assert tokens.ids.shape == (5, 25)
    assert tokens.half_length == 12
    assert tokens.has_bos
    assert (tokens.ids[:, 0] == attention_only.bos_id).all()
    np.testing.assert_array_equal(tokens.ids[:, 1:13], tokens.ids[:, 13:])


def test_a_token_occurs_once_in_each_half_and_is_never_special(attention_only):
    """A third occurrence would be a second place to copy from, and BOS would not be random."""
    half = repeated_tokens(attention_only, length=31, batch=64).ids[:, 1:32]
    assert all(len(set(row)) == 31 for row in half.tolist())
    assert not np.isin(half, attention_only.tokenizer.all_special_ids).any()
    assert half.max() < attention_only.d_vocab


def test_every_ordinary_token_can_be_drawn_and_no_other(attention_only):
    everything = repeated_tokens(bounded(attention_only, n_ctx=9000), length=4095, batch=1)
    assert sorted(everything.ids[0, 1:4096]) == list(range(1, 4096))
    with pytest.raises(AnalysisError, match="S is 4096; the vocabulary has only 4095"):
        repeated_tokens(bounded(attention_only, n_ctx=9000), length=4096, batch=1)


def test_labels_belong_to_their_ids(attention_only):
    tokens = repeated_tokens(attention_only, length=20, batch=3)
    for row in range(3):
        for position in range(tokens.length):
            expected = token_text(attention_only.tokenizer, int(tokens.ids[row, position]))
            assert tokens.labels[row][position] == expected


def test_a_larger_batch_begins_with_the_smaller_one(attention_only):
    """Raising the number of sequences adds evidence; it must not swap the ones already seen."""
    few = repeated_tokens(attention_only, length=10, batch=3, seed=4)
    many = repeated_tokens(attention_only, length=10, batch=8, seed=4)
    np.testing.assert_array_equal(many.ids[:3], few.ids)


def test_the_same_seed_gives_the_same_tokens_and_another_seed_others(attention_only):
    rows = [
        tuple(row)
        for seed in range(6)
        for row in repeated_tokens(attention_only, length=10, batch=6, seed=seed).ids.tolist()
    ]
    assert len(set(rows)) == 36  # no row of one seed returns under another
    again = repeated_tokens(attention_only, length=10, batch=6, seed=0)
    assert [tuple(row) for row in again.ids.tolist()] == rows[:6]


def test_global_random_state_is_neither_read_nor_moved(attention_only):
    """Elsewhere in the process someone else's random numbers must not depend on this page."""
    np.random.seed(1)
    torch.manual_seed(1)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    first = repeated_tokens(attention_only, length=10, batch=2)
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])
    np.random.seed(2)
    torch.manual_seed(2)
    np.testing.assert_array_equal(
        first.ids, repeated_tokens(attention_only, length=10, batch=2).ids
    )


@pytest.mark.parametrize("length", [2, 31])
def test_s_may_be_its_smallest_and_its_largest_value(attention_only, length):
    tokens = repeated_tokens(attention_only, length=length, batch=1)
    assert tokens.length == 2 * length + 1 <= attention_only.n_ctx
    attention_only.bridge(tokens.tensor)


@pytest.mark.parametrize("length", [-1, 0, 1, 32, 10**9])
def test_s_out_of_range_is_refused_with_the_numbers(attention_only, length):
    with pytest.raises(AnalysisError, match=rf"S is {length}; tiny takes 2 to 31 .*64 tokens"):
        repeated_tokens(attention_only, length=length)


@pytest.mark.parametrize("batch", [-1, 0, MAX_BATCH + 1])
def test_a_batch_out_of_range_is_refused_with_the_numbers(attention_only, batch):
    with pytest.raises(AnalysisError, match=rf"{batch} sequences .* 1 to {MAX_BATCH}"):
        repeated_tokens(attention_only, length=5, batch=batch)


def test_the_largest_batch_and_seed_are_taken(attention_only):
    tokens = repeated_tokens(attention_only, length=2, batch=MAX_BATCH, seed=2**32 - 1)
    assert tokens.batch == MAX_BATCH


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(attention_only, seed):
    with pytest.raises(AnalysisError, match="0 to 4294967295"):
        repeated_tokens(attention_only, seed=seed, length=5)


def test_a_prompts_every_prediction_is_scored(attention_only):
    tokens = tokenize(attention_only, "One two three")
    entries = np.arange(tokens.length - 1)
    np.testing.assert_array_equal(entries[tokens.scored], entries)


@pytest.mark.parametrize("length", [2, 5, 31])
def test_repeated_tokens_score_what_the_first_half_determines(attention_only, length):
    """Entry i scores token i+1; known are those tokens whose predecessor has an earlier copy."""
    tokens = repeated_tokens(attention_only, length=length, batch=1)
    sequence = tokens.ids[0].tolist()
    known = [i for i in range(2 * length) if sequence[i] in sequence[:i]]
    assert list(range(2 * length))[tokens.scored] == known


def test_tokens_are_read_only_and_their_tensor_is_a_copy(attention_only):
    tokens = tokenize(attention_only, "One two three")
    with pytest.raises(ValueError, match="read-only"):
        tokens.ids[0, 0] = 1
    tokens.tensor.fill_(7)
    assert tokens.ids[0, 0] == attention_only.bos_id


def a_row(*ids, half_length=None, labels=None):
    labels = tuple(str(i) for i in ids) if labels is None else labels
    return Tokens(np.array([ids]), (labels,), half_length, has_bos=True)


def test_labels_and_ids_have_to_match():
    with pytest.raises(ValueError, match="labels"):
        a_row(0, 1, 2, labels=("a", "b"))


def test_rows_of_labels_all_have_to_match():
    """A short row would be drawn under its neighbour's attention."""
    with pytest.raises(ValueError, match="labels"):
        Tokens(np.zeros((2, 2), dtype=np.int64), (("a", "b"), ("a",)), None, has_bos=True)


@pytest.mark.parametrize("ids", [(0, 1, 2, 1, 3), (0, 1, 2, 1), (0, 1, 2, 1, 2, 3), (0, 1, 1)])
def test_half_length_cannot_be_claimed_of_other_tokens(ids):
    """Scores trust it: on tokens that do not repeat, they would measure nothing."""
    with pytest.raises(ValueError, match="not BOS and the same 2 ids twice"):
        a_row(*ids, half_length=2)


def test_pairs_are_neighbours_of_the_first_half_and_never_go_on(attention_only):
    """A third token in a row would let heads of longer matches help, which is what pairs deny."""
    length = 20
    tokens = paired_tokens(attention_only, length=length, batch=16, seed=3)
    full = repeated_tokens(attention_only, length=length, batch=16, seed=3)
    np.testing.assert_array_equal(tokens.ids[:, : length + 1], full.ids[:, : length + 1])
    starts = set()
    for row in tokens.ids:
        half, rest = row[1 : length + 1].tolist(), row[length + 1 :]
        places = [half.index(token) for token in rest]
        for first, second in zip(places[::2], places[1::2], strict=True):
            assert second == first + 1
        for second, following in zip(places[1::2], places[2::2], strict=False):
            assert following != second + 1
        starts |= set(places[::2])
    assert starts == set(range(length - 1))


@pytest.mark.parametrize("length", [4, 5, 20])
def test_of_pairs_the_second_tokens_are_scored(attention_only, length):
    tokens = paired_tokens(attention_only, length=length, batch=2)
    scored = np.arange(1, tokens.length)[tokens.scored]  # the token that each entry predicts
    expected = range(length + 2, 2 * length + 1, 2)  # length + 1 is the first token of a pair
    assert scored.tolist() == list(expected)
    assert tokens.half_length is None
    assert tokens.length == 2 * length + 1


def test_pairs_that_cannot_be_made_are_refused(attention_only):
    with pytest.raises(AnalysisError, match="at least 4 tokens"):
        paired_tokens(attention_only, length=3)
    with pytest.raises(AnalysisError, match="S is 40"):
        paired_tokens(attention_only, length=40)
    row = paired_tokens(attention_only, length=5, batch=1)
    with pytest.raises(ValueError, match="their pairs"):
        replace(row, pairs_from=4)
