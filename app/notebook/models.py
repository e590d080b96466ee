"""Patterns of a model that is in memory, or of one by its name, on one prompt."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import analysis
from analysis.definitions import SCORES
from analysis.errors import AnalysisError
from analysis.models.named import named_model
from app.notebook.arrays import check_patterns
from app.notebook.two_texts import (
    Part,
    PatternsOfTwo,
    has_two_texts,
    is_two,
    run_on_two,
    too_long_refused,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analysis.models.loading import HeadModel


class PatternsOfModel(NamedTuple):
    """Patterns [layer, head, dest, src] and the text of each token: what `show` takes."""

    patterns: np.ndarray
    tokens: list[str]


@dataclass(frozen=True, eq=False)
class OnPrompt:
    """What a model does on a prompt; scores by name, [layer, head], where they are known.

    `sources` are what is attended to, where that is another text.
    """

    patterns: Any
    tokens: list[str]
    scores: Mapping[str, np.ndarray]
    bidirectional: bool = False
    sources: list[str] | None = None


def is_pair(model: Any, texts: Any) -> bool:
    """Whether these are a model of transformers and the two texts that it is run on."""
    runs = callable(getattr(model, "set_attn_implementation", None))
    return runs and isinstance(texts, tuple) and len(texts) == 2


def patterns_of(
    model: Any, tokenizer: Any, prompt: str | tuple[str, str], *, bidirectional: bool = False
) -> PatternsOfModel | PatternsOfTwo:
    """The attention patterns of a model of Hugging Face's on a prompt.

    The model runs once, as it computes attention step by step ("eager"), without dropout; both are
    put back as they were.

    Args:
        model: A model of `transformers`.
        tokenizer: Its tokenizer; whether a BOS token stands in front is left to it.
        prompt: The text; of an encoder also a pair, whose second text is its second segment; of a
            model with encoder and decoder, such as T5, what it reads and what it writes.
        bidirectional: Whether tokens attend to later ones too, as in an encoder such as BERT.

    Returns:
        Patterns and tokens; of a model with encoder and decoder those of all three parts.

    Raises:
        AnalysisError: Not such a model, a prompt without tokens, or patterns that are not causal
            where it is not said that they are not.
    """
    _require_hugging_face(model, tokenizer)
    if has_two_texts(model):
        with _eager(model):
            return run_on_two(model, tokenizer, prompt)
    return PatternsOfModel(*_of_hugging_face(model, tokenizer, prompt, bidirectional)[:2])


def _of_hugging_face(
    model: Any, tokenizer: Any, prompt: str | tuple[str, str], bidirectional: bool
) -> tuple[np.ndarray, list[str], list[int]]:
    """Patterns, the text of each token, and its id."""
    import torch

    if not isinstance(prompt, str) and not is_two(prompt):
        raise AnalysisError("The prompt is a text or, of an encoder, a pair of texts.")
    if not isinstance(prompt, str) and not bidirectional:
        raise AnalysisError("Pairs of texts are for encoders: say bidirectional=True.")
    texts = (prompt,) if isinstance(prompt, str) else prompt
    encoded = tokenizer(*texts, return_tensors="pt")
    ids = encoded["input_ids"]
    if not ids.numel():
        raise AnalysisError("This text has no tokens. Give one of a few words.")
    given = {"input_ids": ids}
    if len(texts) == 2 and "token_type_ids" in encoded:
        given["token_type_ids"] = encoded["token_type_ids"]
    given = {name: tensor.to(model.device) for name, tensor in given.items()}
    with _eager(model), torch.no_grad(), too_long_refused(ids.shape[1]):
        output = model(**given, output_attentions=True, use_cache=False)
    from analysis.runs.inputs import token_texts

    values = check_patterns(output, bidirectional).values.copy()
    listed: list[int] = ids[0].tolist()
    return values, list(token_texts(tokenizer, listed)), listed


def _require_hugging_face(model: Any, tokenizer: Any) -> None:
    if not callable(getattr(model, "set_attn_implementation", None)) or not callable(tokenizer):
        raise AnalysisError(
            "Expected are a model of transformers, its tokenizer and a text: "
            "patterns_of(model, tokenizer, prompt)."
        )


def run_on_prompt(
    model: Any,
    prompt: str | tuple[str, str],
    tokenizer: Any = None,
    bidirectional: bool = False,
    part: Part = "cross",
) -> OnPrompt:
    """What `show` draws of a model: by name or folder, of TransformerLens, or of transformers.

    Raises:
        AnalysisError: It is none of these, or does not take the prompt.
    """
    if isinstance(prompt, str):
        if isinstance(model, str | PathLike):
            return _of_named(_loaded(fspath(model)), prompt)
        if callable(getattr(model, "run_with_cache", None)):
            return _of_transformer_lens(model, prompt)
    if callable(getattr(model, "set_attn_implementation", None)):
        if tokenizer is None:
            raise AnalysisError("Give the model's tokenizer too: show(model, prompt, tokenizer=…).")
        _require_hugging_face(model, tokenizer)
        if has_two_texts(model):
            with _eager(model):
                found = run_on_two(model, tokenizer, prompt)
            shown, tokens, sources = found.of(part)
            return OnPrompt(shown, tokens, {}, part == "encoder", sources)
        patterns, tokens, ids = _of_hugging_face(model, tokenizer, prompt, bidirectional)
        if not bidirectional:
            return OnPrompt(patterns, tokens, {})
        scores = analysis.encoder_scores(patterns, ids, tokenizer.all_special_ids).values
        known = {name: each for name, each in scores.items() if not np.isnan(each).all()}
        return OnPrompt(patterns, tokens, known, bidirectional)
    raise AnalysisError(
        "With a text as second argument the first is a model: a name such as 'attn-only-2l', a "
        "folder, or a model of TransformerLens or transformers. With patterns the second is a list "
        "of tokens."
    )


@lru_cache(maxsize=1)
def _loaded(asked: str) -> HeadModel:
    return analysis.load_model(named_model(asked).name)


def _of_named(model: HeadModel, prompt: str) -> OnPrompt:
    tokens = analysis.tokenize(model, prompt, prepend_bos=model.info.has_bos)
    if model.info.bidirectional:
        both_ways = analysis.attention_patterns(model, tokens).values[0]
        of_encoder = analysis.scores_of_encoder(model, tokens).known
        return OnPrompt(both_ways, list(tokens.labels[0]), of_encoder, True)
    scores = analysis.head_scores(model, tokens)
    known = {name: scores[name] for name in SCORES if not np.isnan(scores[name]).all()}
    patterns = analysis.attention_patterns(model, tokens).values[0]
    return OnPrompt(patterns, list(tokens.labels[0]), known)


def _of_transformer_lens(model: Any, prompt: str) -> OnPrompt:
    import torch

    def is_pattern(name: str) -> bool:
        return name.endswith("attn.hook_pattern")

    with torch.no_grad():
        _, cache = model.run_with_cache(prompt, names_filter=is_pattern)
    return OnPrompt(cache, list(model.to_str_tokens(prompt)), {})


@contextmanager
def _eager(model: Any) -> Iterator[None]:
    """A model that computes patterns, and no dropout, for a while."""
    before, trained = model.config._attn_implementation, model.training
    model.set_attn_implementation("eager")
    model.eval()
    try:
        yield
    finally:
        model.train(trained)
        model.set_attn_implementation(before)
