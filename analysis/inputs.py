"""What a model is run on: a prompt, or random tokens repeated."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int
from transformers import PreTrainedTokenizerBase

from analysis.arrays import freeze
from analysis.errors import AnalysisError
from analysis.limits import MAX_BATCH, MAX_CHARACTERS, MAX_SEED, MIN_HALF
from analysis.models import HeadModel


@dataclass(frozen=True, eq=False)
class Tokens:
    r"""Token ids of one model, with the text of each.

    `labels[b][p]` is what id `ids[b, p]` decodes to; a token that is only part of a character
    reads as its bytes, such as `\\xe2\\x80`. `half_length` is S for `[BOS, r_1..r_S, r_1..r_S]`
    and None for a prompt. `has_bos` says whether position 0 is the BOS token. `pairs_from` is S
    where S random tokens are followed by pairs of neighbours among them, else None.
    """

    ids: Int[np.ndarray, "batch pos"]
    labels: tuple[tuple[str, ...], ...]
    half_length: int | None
    has_bos: bool
    pairs_from: int | None = None

    def __post_init__(self) -> None:
        n_rows, n_pos = self.ids.shape
        if [len(row) for row in self.labels] != [n_pos] * n_rows:
            raise ValueError(f"{n_rows} x {n_pos} ids, but the rows of labels differ from that")
        if self.half_length is not None:
            first = self.ids[:, 1 : self.half_length + 1]
            second = self.ids[:, self.half_length + 1 :]
            if n_pos != 2 * self.half_length + 1 or not np.array_equal(first, second):
                raise ValueError(f"tokens are not BOS and the same {self.half_length} ids twice")
        if self.pairs_from is not None and n_pos != 2 * self.pairs_from + 1:
            raise ValueError(f"{n_pos} tokens are not BOS, {self.pairs_from} ids and their pairs")
        freeze(self, "ids")

    @property
    def batch(self) -> int:
        """Number of sequences."""
        return self.ids.shape[0]

    @property
    def length(self) -> int:
        """Number of positions, BOS included."""
        return self.ids.shape[1]

    @property
    def tensor(self) -> torch.Tensor:
        """The ids as a torch tensor of its own memory."""
        return torch.from_numpy(self.ids.copy())

    @property
    def scored(self) -> slice:
        """The next-token predictions that losses are averaged over.

        Entry i is the prediction made at position i. For repeated tokens only entries
        `S+1 .. 2S-1` can be known from the first half (the first repeated token cannot), so a
        perfect induction circuit scores 0 there. Of pairs it is the second token of each, since
        no pair continues the one before it. For a prompt it is every entry.
        """
        if self.pairs_from is not None:
            return slice(self.pairs_from + 1, 2 * self.pairs_from, 2)
        if self.half_length is None:
            return slice(0, self.length - 1)
        return slice(self.half_length + 1, 2 * self.half_length)


def tokenize(model: HeadModel, text: str, prepend_bos: bool = True) -> Tokens:
    """Tokens of a prompt, [1, pos].

    Args:
        model: Whose tokenizer and context limit apply.
        text: The prompt. Nothing is cut off: a text that is too long is refused.
        prepend_bos: Put the BOS token in front (TransformerLens's default; models that were
            trained with it misbehave without).

    Raises:
        AnalysisError: Empty or blank text, text that is not valid Unicode, or more tokens than
            the model's context.
    """
    if not text.strip():
        raise AnalysisError("There is no text yet. Type a prompt of a few words.")
    if len(text) > MAX_CHARACTERS:
        raise AnalysisError(
            f"The prompt has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read. "
            "Shorten it."
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise AnalysisError(
            f"Character {error.start + 1} of the prompt is half of a surrogate pair, which is not "
            "text. Delete it."
        ) from error
    encoded = model.tokenizer.encode(text, add_special_tokens=False)
    ids = [model.bos_id, *encoded] if prepend_bos else encoded
    if len(ids) > model.n_ctx:
        raise AnalysisError(
            f"The prompt has {len(ids):,} tokens; {model.name} takes {model.n_ctx}. Shorten it."
        )
    if len(ids) < 2:
        raise AnalysisError("One token predicts nothing. Type a longer prompt or switch BOS on.")
    return _tokens(model, [ids], half_length=None, has_bos=prepend_bos)


def repeated_tokens(model: HeadModel, length: int = 50, batch: int = 10, seed: int = 0) -> Tokens:
    """Random tokens repeated: `[BOS, r_1..r_S, r_1..r_S]` with S = `length`, [batch, 2S+1].

    The r are drawn uniformly without replacement from the vocabulary less special tokens, so a
    token occurs exactly twice. Sequence b depends on `seed` and b alone: a larger batch begins
    with the smaller one. Source: ARENA 1.2, section 2.

    Raises:
        AnalysisError: `length`, `batch` or `seed` out of range.
    """
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
    special = set(model.tokenizer.all_special_ids)
    ordinary = np.array([i for i in range(len(model.tokenizer)) if i not in special])
    if len(ordinary) < length:
        raise AnalysisError(f"S is {length}; the vocabulary has only {len(ordinary)} tokens.")
    rows = []
    for index in range(batch):
        half = np.random.default_rng([seed, index]).choice(ordinary, size=length, replace=False)
        rows.append([model.bos_id, *half.tolist(), *half.tolist()])
    return _tokens(model, rows, half_length=length, has_bos=True)


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
    return replace(_tokens(model, rows, half_length=None, has_bos=True), pairs_from=length)


def token_text(tokenizer: PreTrainedTokenizerBase, token_id: int) -> str:
    r"""What one token id stands for; raw bytes as `\\x..` where it is only part of a character."""
    text = str(tokenizer.decode([token_id]))
    if "\ufffd" not in text:
        return text
    piece = str(tokenizer.convert_ids_to_tokens(token_id))
    if all(character in _BYTE_OF for character in piece):
        return "".join(f"\\x{_BYTE_OF[character]:02x}" for character in piece)
    return piece


def _tokens(
    model: HeadModel, rows: list[list[int]], half_length: int | None, has_bos: bool
) -> Tokens:
    text = {i: token_text(model.tokenizer, i) for row in rows for i in row}
    return Tokens(
        ids=np.array(rows, dtype=np.int64),
        labels=tuple(tuple(text[i] for i in row) for row in rows),
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
