"""A model that reads one text and writes another, such as T5: patterns of each of its parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from analysis.errors import AnalysisError
from app.notebook.arrays import check_patterns

# The encoder looks over the text that is read, the decoder back over what it has written, and the
# cross heads from what is written to what was read.
Part = Literal["encoder", "decoder", "cross"]


class PatternsOfTwo(NamedTuple):
    """Patterns [layer, head, dest, src] of each part, and the texts of what they are about.

    `encoder` is over `sources`, `decoder` over `tokens`, `cross` from `tokens` to `sources`.
    """

    encoder: np.ndarray
    decoder: np.ndarray
    cross: np.ndarray
    tokens: list[str]
    sources: list[str]

    def of(self, part: Part) -> tuple[np.ndarray, list[str], list[str] | None]:
        """The patterns of a part, its tokens, and those attended to where they are others."""
        if part not in get_args(Part):
            raise AnalysisError(f"There is no part {part!r}: say 'encoder', 'decoder' or 'cross'.")
        if part == "cross":
            return self.cross, self.tokens, self.sources
        return getattr(self, part), self.sources if part == "encoder" else self.tokens, None


def is_two(texts: Any) -> bool:
    """Whether these are two texts."""
    return (
        isinstance(texts, tuple | list)
        and len(texts) == 2
        and all(isinstance(text, str) for text in texts)
    )


@contextmanager
def too_long_refused(tokens: int) -> Iterator[None]:
    """A refusal of a text with more tokens than a model has positions."""
    # How many they are no two configs say alike, so it is tried.
    try:
        yield
    except IndexError as error:
        raise AnalysisError(
            f"The model cannot be run on these {tokens:,} tokens ({error}). Give a shorter text."
        ) from error


def has_two_texts(model: Any) -> bool:
    """Whether a model has an encoder and a decoder."""
    return bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))


def run_on_two(model: Any, tokenizer: Any, texts: str | tuple[str, str]) -> PatternsOfTwo:
    """Its patterns while it reads the first text and is made to write the second.

    The model is run once, and expected to compute patterns.

    Raises:
        AnalysisError: Only one text, one without tokens, or a model that does not say how the
            written text is handed to its decoder.
    """
    import torch

    from analysis.runs.inputs import token_texts

    if not is_two(texts):
        raise AnalysisError(
            "This model reads one text and writes another. Give both: (text, what it writes)."
        )
    shifted = getattr(model, "prepare_decoder_input_ids_from_labels", None)
    if not callable(shifted):
        raise AnalysisError(
            "This model has no head that writes, so how a text begins is not known. Give one with "
            "it, such as AutoModelForSeq2SeqLM loads."
        )
    read = tokenizer(texts[0], return_tensors="pt")["input_ids"]
    labels = tokenizer(text_target=texts[1], return_tensors="pt")["input_ids"]
    if not read.numel() or not labels.numel():
        raise AnalysisError("One of the texts has no tokens. Give two of a few words.")
    written = shifted(labels=labels.to(model.device))
    with torch.no_grad(), too_long_refused(read.shape[1] + written.shape[1]):
        output = model(
            input_ids=read.to(model.device),
            decoder_input_ids=written,
            output_attentions=True,
            use_cache=False,
        )
    return PatternsOfTwo(
        check_patterns(output.encoder_attentions, bidirectional=True).values.copy(),
        check_patterns(output.decoder_attentions).values.copy(),
        check_patterns(output.cross_attentions, two_texts=True).values.copy(),
        list(token_texts(tokenizer, written[0].tolist())),
        list(token_texts(tokenizer, read[0].tolist())),
    )
