"""The tokens that a view is about."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from analysis.errors import AnalysisError
from app.compute.ask import Progress, _shared, ask
from app.compute.engine import engine
from app.config import settings
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.models.loading import HeadModel
    from analysis.runs.inputs import Tokens


# What one request may run through the model.
MAX_TOKENS = settings().max_tokens


def tokens_of(selection: Selection) -> Tokens:
    """The tokens a view is about: its prompt, or its repeated tokens.

    Raises:
        AnalysisError: The input is not usable; the sentence says what to change.
    """
    if selection["input"] == "prompt":
        tokens: Tokens = ask(selection, "tokenize", selection["prompt"], prepend_bos=selection.bos)
        if tokens.length > MAX_TOKENS:
            raise AnalysisError(
                f"The prompt has {tokens.length:,} tokens; at most {MAX_TOKENS:,} are run at once. "
                "Shorten it."
            )
        return tokens
    length, batch, seed = selection["length"], selection["batch"], selection["seed"]
    if batch * (2 * length + 1) > MAX_TOKENS:
        raise AnalysisError(
            f"{batch} sequences of {2 * length + 1} tokens are {batch * (2 * length + 1):,} "
            f"tokens; at most {MAX_TOKENS:,} are run at once. Take fewer sequences or a smaller S."
        )
    return ask(selection, "repeated_tokens", length, batch, seed)


def one_sequence(tokens: Tokens, index: int) -> Tokens:
    """Sequence `index` of a batch, as a batch of 1; the last one if there are fewer."""
    row = min(index, tokens.batch - 1)
    return replace(tokens, ids=tokens.ids[row : row + 1], labels=tokens.labels[row : row + 1])


def over_layers(selection: Selection, function: str) -> Any:
    """A summary of the patterns of every layer, which are not themselves kept."""
    tokens = tokens_of(selection)

    def compute(model: HeadModel) -> Any:
        every_layer = engine().attention_patterns(model, tokens)
        return getattr(engine(), function)(every_layer, tokens)

    return _shared(function, selection.info, (tokens,), compute)


def of_sequence(
    selection: Selection, sequence: int, function: str, *arguments: Any, **options: Any
) -> Any:
    """`ask` on one of the view's sequences, as a batch of 1."""
    tokens = one_sequence(tokens_of(selection), sequence)
    return ask(selection, function, tokens, *arguments, **options)


def of_tokens(
    selection: Selection,
    function: str,
    *arguments: Any,
    progress: Progress | None = None,
    **options: Any,
) -> Any:
    """`ask` on the view's tokens."""
    tokens = tokens_of(selection)
    return ask(selection, function, tokens, *arguments, progress=progress, **options)
