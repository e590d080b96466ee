"""What a model is run on: a prompt, or random tokens repeated."""

import re
from collections.abc import Container, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from transformers import PreTrainedTokenizerBase

from analysis.errors import AnalysisError
from analysis.limits import MAX_BATCH, MAX_CHARACTERS, MAX_LONG_CHARACTERS, MAX_SEED, MIN_HALF
from analysis.models.capabilities import require_decoder
from analysis.models.encoders import segment_count
from analysis.models.loading import HeadModel
from analysis.tokens import PAIR_LINE, Tokens, texts_of


def tokenize(model: HeadModel, text: str, prepend_bos: bool = True) -> Tokens:
    """Tokens of a prompt, [1, pos].

    An encoder's tokenizer frames the text, such as [CLS] … [SEP], with `segments` and `frames` of
    the result. A line of three dashes, `---`, stands between two texts: each is a segment.

    Args:
        model: Whose tokenizer and context limit apply.
        text: The prompt. Nothing is cut off: a text that is too long is refused.
        prepend_bos: Put the BOS token in front (TransformerLens's default; models that were
            trained with it misbehave without). Nothing for an encoder.

    Raises:
        AnalysisError: Empty or blank text, text that is not valid Unicode, more tokens than the
            model's context, or a token that it has no row for; of an encoder more than two texts.
    """
    if model.info.bidirectional:
        return _framed(model, text)
    encoded = _encoded(model, text, MAX_CHARACTERS)
    ids = [model.bos_id, *encoded] if prepend_bos else encoded
    _require_fitting(model, ids)
    return _one_row(model, ids, prepend_bos)


def _require_fitting(model: HeadModel, ids: list[int]) -> None:
    if len(ids) > model.n_ctx:
        raise AnalysisError(
            f"The prompt has {len(ids):,} tokens; {model.name} takes {model.n_ctx}. Shorten it."
        )


def _framed(model: HeadModel, text: str) -> Tokens:
    """A text, or two, as an encoder's tokenizer frames them."""
    _checked(text, MAX_CHARACTERS)
    texts = texts_of(text)
    if len(texts) > 2 or not all(texts):
        raise AnalysisError(
            f"{len(texts)} texts stand between lines of {PAIR_LINE}, of which none may be empty; "
            f"{model.name} takes one text or two. Delete a line of {PAIR_LINE}."
        )
    found = model.tokenizer(
        *texts, return_token_type_ids=True, return_special_tokens_mask=True, truncation=False
    )
    ids = list(found["input_ids"])
    _require_rows(model, ids)
    _require_fitting(model, ids)
    most = segment_count(model.bridge.original_model) - 1
    # Those that are typed as text besides.
    framing = {model.tokenizer.cls_token_id, model.tokenizer.sep_token_id}
    marks = found["special_tokens_mask"]
    return replace(
        _one_row(model, ids, has_bos=False),
        segments=tuple(min(segment, most) for segment in found["token_type_ids"]),
        frames=tuple(i for i, token in enumerate(ids) if marks[i] or token in framing),
    )


def long_tokens(model: HeadModel, text: str, length: int, prepend_bos: bool = True) -> Tokens:
    """The first `length` tokens of a text, for what works row by row (`analysis.runs.by_rows`).

    Raises:
        AnalysisError: As `tokenize`, or a length beyond what the model takes by itself.
    """
    if not 2 <= length <= (most := model.info.longest_by_rows):
        raise AnalysisError(
            f"{length:,} tokens were asked for; of {model.name} 2 to {most:,} are possible."
        )
    encoded = _encoded(model, text, MAX_LONG_CHARACTERS)
    ids = [model.bos_id, *encoded] if prepend_bos else encoded
    return _one_row(model, ids[:length], prepend_bos)


def _encoded(model: HeadModel, text: str, most: int) -> list[int]:
    """Ids of a text that is checked."""
    _checked(text, most)
    encoded: list[int] = model.tokenizer.encode(text, add_special_tokens=False)
    _require_rows(model, encoded)
    return encoded


def _checked(text: str, most: int) -> None:
    if not text.strip():
        raise AnalysisError("There is no text yet. Type a prompt of a few words.")
    if len(text) > most:
        raise AnalysisError(
            f"The prompt has {len(text):,} characters; at most {most:,} are read. Shorten it."
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise AnalysisError(
            f"Character {error.start + 1} of the prompt is half of a surrogate pair, which is not "
            "text. Delete it."
        ) from error


def _require_rows(model: HeadModel, ids: list[int]) -> None:
    # Such as a [PAD] that was added to the tokenizer and not to the model.
    if beyond := next((id for id in ids if id >= model.d_vocab), None):
        raise AnalysisError(
            f"The prompt holds {token_text(model.tokenizer, beyond)}, token id {beyond:,}; "
            f"{model.name} has rows for ids 0 to {model.d_vocab - 1:,}. Delete it."
        )


def _one_row(model: HeadModel, ids: list[int], has_bos: bool) -> Tokens:
    if len(ids) < 2:
        raise AnalysisError("One token predicts nothing. Type a longer prompt or switch BOS on.")
    return as_tokens(model, [ids], has_bos=has_bos)


def repeated_tokens(model: HeadModel, length: int = 50, batch: int = 10, seed: int = 0) -> Tokens:
    """Random tokens repeated: `[BOS, r_1..r_S, r_1..r_S]` with S = `length`, [batch, 2S+1].

    The r are drawn uniformly without replacement from the vocabulary less all tokens that the
    tokenizer calls special or has had added, so a token occurs exactly twice. Sequence b depends
    on `seed` and b alone: a larger batch begins with the smaller one. Source: ARENA 1.2, section 2.

    Raises:
        AnalysisError: `length`, `batch` or `seed` out of range.
    """
    require_decoder(model.info, "Repeated tokens")
    longest = (model.n_ctx - 1) // 2
    if not MIN_HALF <= length <= longest:
        raise AnalysisError(
            f"S is {length}; {model.name} takes {MIN_HALF} to {longest} (its context is "
            f"{model.n_ctx} tokens). Change S."
        )
    if not 1 <= batch <= MAX_BATCH:
        raise AnalysisError(f"{batch} sequences were asked for; 1 to {MAX_BATCH} are possible.")
    if not 0 <= seed <= MAX_SEED:
        raise AnalysisError(f"The seed must be a whole number from 0 to {MAX_SEED}.")
    ordinary = np.array(model.ordinary_ids)
    if len(ordinary) < length:
        raise AnalysisError(f"S is {length}; the vocabulary has only {len(ordinary)} tokens.")
    rows = []
    for index in range(batch):
        half = np.random.default_rng([seed, index]).choice(ordinary, size=length, replace=False)
        rows.append([model.bos_id, *half.tolist(), *half.tolist()])
    return as_tokens(model, rows, half_length=length, has_bos=True)


def paired_tokens(model: HeadModel, length: int = 50, batch: int = 10, seed: int = 0) -> Tokens:
    """Random tokens, then pairs of neighbours from them: no repeat is longer than 2 tokens.

    `[BOS, r_1..r_S, r_i, r_i+1, r_j, r_j+1, ...]` with S = `length`, cut to [batch, 2S+1]; the r
    are those of `repeated_tokens`. The starts i, j, ... are drawn uniformly from 1..S-1, except
    that no pair continues the one before it (the course lets that happen by chance). A head that
    helps on full repeats and not here looks for matches of more than one token. Source: ARENA
    1.2, section 3.10.

    Raises:
        AnalysisError: As `repeated_tokens`, or S below 4, where pairs cannot be told apart.
    """
    if length < 4:
        raise AnalysisError(f"S is {length}; pairs are drawn from at least 4 tokens. Change S.")
    rows = []
    for index, row in enumerate(repeated_tokens(model, length, batch, seed).ids):
        half = row[1 : length + 1].tolist()
        random = np.random.default_rng([seed, index, 1])
        pairs: list[int] = []
        start = length  # of no pair: nothing stands before the first
        while len(pairs) < length:
            start = int(random.choice([i for i in range(length - 1) if i != start + 2]))
            pairs += half[start : start + 2]
        rows.append([model.bos_id, *half, *pairs[:length]])
    return replace(as_tokens(model, rows, has_bos=True), pairs_from=length)


def token_text(tokenizer: PreTrainedTokenizerBase, token_id: int) -> str:
    r"""What one token id stands for, so that no two ids of a vocabulary look the same.

    A space at its start is kept; an id without a token is `id 430`. Raw bytes, `\\x..`, stand for
    a token that is only part of a character, and for one with a character that could be taken for
    the sign of another, such as `·`, which stands for a space on screen.
    """
    return token_texts(tokenizer, [token_id])[0]


def token_texts(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> tuple[str, ...]:
    """`token_text` of each id, in order."""
    added = tokenizer.added_tokens_decoder  # made anew, of all of them, whenever it is asked for
    text = {i: _text(tokenizer, i, added) for i in set(ids)}
    return tuple(text[i] for i in ids)


def _text(tokenizer: PreTrainedTokenizerBase, token_id: int, added: Container[int]) -> str:
    piece = tokenizer.convert_ids_to_tokens(token_id)
    if piece is None:
        return f"id {token_id}"
    if token_id in added:
        return _unlike_others(str(piece))
    if byte := _BYTE_PIECE.fullmatch(str(piece)):
        return f"\\x{byte[1].lower()}"
    if "▁" in piece:
        # SentencePiece's mark of a space, which decoding takes off at the start of a text.
        return _unlike_others(str(piece).replace("▁", " "))
    text = str(tokenizer.decode([token_id], clean_up_tokenization_spaces=False))
    if "\ufffd" not in text:
        return _unlike_others(text) if text else f"id {token_id}"
    if all(character in _BYTE_OF for character in piece):
        return "".join(f"\\x{_BYTE_OF[character]:02x}" for character in piece)
    return str(piece)


def _unlike_others(text: str) -> str:
    """The text, or its bytes spelt out where it looks like another text or like such bytes."""
    if _LIKE_OTHERS.search(text) or _SPELT_OUT.fullmatch(text):
        return "".join(f"\\x{byte:02x}" for byte in text.encode("utf-8", "replace"))
    return text


def as_tokens(
    model: HeadModel,
    rows: Sequence[Sequence[int]],
    *,
    half_length: int | None = None,
    has_bos: bool,
) -> Tokens:
    """Rows of ids, all of one length, with the text of each."""
    text = iter(token_texts(model.tokenizer, [i for row in rows for i in row]))
    return Tokens(
        ids=np.array(rows, dtype=np.int64),
        labels=tuple(tuple(islice(text, len(row))) for row in rows),
        half_length=half_length,
        has_bos=has_bos,
    )


def _byte_of_character() -> dict[str, int]:
    # Byte-level BPE writes each byte as one printable character: itself where it is printable,
    # else the next free one from U+0100 on (the GPT-2 convention).
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(rest)}


_BYTE_OF = _byte_of_character()
# The signs for spaces, ends of lines, tabs and lone accents, and what is shown by a code of two
# digits, as bytes are.
_LIKE_OTHERS = re.compile("[·↵⇥␍◌\x80-\xa0\xad]")
_SPELT_OUT = re.compile(r"(\\x[0-9a-f]{2})+")
_BYTE_PIECE = re.compile("<0x([0-9A-Fa-f]{2})>")
