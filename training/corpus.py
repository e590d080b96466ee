"""Text files to token ids: tokenizer training, encoding, held-out novels, and training rows."""

import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END_OF_TEXT = "<|endoftext|>"
END_OF_TEXT_ID = 0  # special tokens come first in a trained vocabulary
VOCABULARY_SIZE = 4096
HELD_OUT_EVERY = 25  # every 25th document is never trained on
# Some texts keep their page breaks, so that each page looks like a document. A page held out of a
# novel whose other pages are trained on would not be held-out text, so it is left out altogether.
LONGEST_PAGE = 5_000  # characters; the shortest novel of our corpus has 119,512
MIN_PERIOD = 8
MAX_PERIOD = 128


@dataclass(frozen=True)
class Corpus:
    """Token streams of the training novels and of the held-out ones."""

    train: np.ndarray
    held_out: np.ndarray
    d_vocab: int
    bos_id: int


def read_documents(path: Path) -> list[str]:
    """Documents of a text file (plain or .xz), separated by form feeds."""
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return [document.strip() for document in file.read().split("\f") if document.strip()]


def split(documents: list[str]) -> tuple[list[str], list[str]]:
    """Documents to train on, and whole ones that are held out."""
    train = [d for i, d in enumerate(documents) if i % HELD_OUT_EVERY]
    return train, [d for d in documents[::HELD_OUT_EVERY] if len(d) > LONGEST_PAGE]


def train_tokenizer(documents: list[str]) -> Tokenizer:
    """Byte-level BPE: any text can be encoded, and `END_OF_TEXT` gets `END_OF_TEXT_ID`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        documents,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY_SIZE,
            special_tokens=[END_OF_TEXT],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return tokenizer


def prepare(path: Path, work: Path) -> Corpus:
    """Tokenizer and token streams for `path`, made once and kept in `work`."""
    tokenizer_file, streams_file = work / "tokenizer.json", work / "streams.npz"
    if not streams_file.exists():
        documents = read_documents(path)
        train, held_out = split(documents)
        tokenizer = train_tokenizer(train)
        tokenizer.save(str(tokenizer_file))
        np.savez(streams_file, train=encode(tokenizer, train), held_out=encode(tokenizer, held_out))
    streams = np.load(streams_file)
    return Corpus(streams["train"], streams["held_out"], VOCABULARY_SIZE, END_OF_TEXT_ID)


def encode(tokenizer: Tokenizer, documents: list[str]) -> np.ndarray:
    """One stream of token ids, with `END_OF_TEXT_ID` after every document."""
    ids: list[int] = []
    for document in documents:
        # By paragraph: the encoder is much faster on many short texts than on one long one.
        for piece in tokenizer.encode_batch(document.splitlines(keepends=True)):
            ids.extend(piece.ids)
        ids.append(END_OF_TEXT_ID)
    return np.array(ids, dtype=np.uint16)


def text_row(stream: np.ndarray, length: int, bos_id: int, rng: np.random.Generator) -> np.ndarray:
    """BOS and a stretch of the stream from a random place."""
    start = int(rng.integers(len(stream) - length))
    return np.concatenate([[bos_id], stream[start : start + length - 1]])


def repeated_row(corpus: Corpus, length: int, rng: np.random.Generator) -> np.ndarray:
    """BOS and a stretch of tokens repeated until the row is full.

    Half of the stretches are uniform over the vocabulary, half are text with its tokens shuffled,
    so that repeating is worth learning for rare and for common tokens alike.
    """
    period = int(rng.integers(MIN_PERIOD, min(MAX_PERIOD, (length - 1) // 2) + 1))
    if rng.random() < 0.5:
        stretch = rng.integers(1, corpus.d_vocab, size=period)
    else:
        start = int(rng.integers(len(corpus.train) - period))
        stretch = rng.permutation(corpus.train[start : start + period])
    repeats = -(-(length - 1) // period)
    return np.concatenate([[corpus.bos_id], np.tile(stretch, repeats)[: length - 1]])


def training_batch(
    corpus: Corpus, rows: int, length: int, repeat_share: float, rng: np.random.Generator
) -> np.ndarray:
    """One batch [rows, length] of novels and repeated rows."""
    return np.stack(
        [
            repeated_row(corpus, length, rng)
            if rng.random() < repeat_share
            else text_row(corpus.train, length, corpus.bos_id, rng)
            for _ in range(rows)
        ]
    ).astype(np.int64)
