"""The tokens that a view is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import analysis
from analysis.errors import AnalysisError
from analysis.models.rendering import MOST_BYTES, OWN_BYTES
from analysis.turns import turns_of
from app.compute.ask import ask
from app.compute.question import Question
from app.compute.server import current_server
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.models.loading import HeadModel
    from analysis.runs.inputs import Tokens

P = ParamSpec("P")
R = TypeVar("R")


def conversation_on(model: HeadModel, turns: tuple[tuple[str, str], ...], day: str) -> Tokens:
    """A conversation as its model's template has it today; on another day it may be another."""
    return analysis.conversation(model, turns)


CONVERSATION = Question(
    "conversation_on",
    lambda: conversation_on,
    logits="none",
    beside=lambda info, tokens: OWN_BYTES + MOST_BYTES,
)
TOKENIZE = Question("tokenize", lambda: analysis.tokenize, logits="none")
REPEATED_TOKENS = Question("repeated_tokens", lambda: analysis.repeated_tokens, logits="none")


def tokens_of(selection: Selection) -> Tokens:
    """The tokens a view is about: its prompt, its conversation, or its repeated tokens.

    Raises:
        AnalysisError: The input is not usable; the sentence says what to change.
    """
    info, most = selection.info, current_server().config.max_tokens
    if selection["input"] == "prompt":
        tokens = ask(TOKENIZE, info, selection["prompt"], prepend_bos=selection.bos)
        return _few_enough(tokens, "prompt")
    if selection["input"] == "chat":
        # Templates may write the day: what was rendered yesterday is not the answer any more.
        day = str(date.today())
        return _few_enough(
            ask(CONVERSATION, info, turns_of(selection["chat"]), day), "conversation"
        )
    length, batch, seed = selection["length"], selection["batch"], selection["seed"]
    if batch * (2 * length + 1) > most:
        raise AnalysisError(
            f"{batch} sequences of {2 * length + 1} tokens are {batch * (2 * length + 1):,} "
            f"tokens; at most {most:,} are run at once. Take fewer sequences or a smaller S."
        )
    return ask(REPEATED_TOKENS, info, length, batch, seed)


def _few_enough(tokens: Tokens, what: str) -> Tokens:
    most = current_server().config.max_tokens
    if tokens.length > most:
        raise AnalysisError(
            f"The {what} has {tokens.length:,} tokens; at most {most:,} are run at once. Shorten "
            "it."
        )
    return tokens


def one_sequence(tokens: Tokens, index: int) -> Tokens:
    """Sequence `index` of a batch, as a batch of 1; the last one if there are fewer."""
    row = min(index, tokens.batch - 1)
    return rows_of(tokens, slice(row, row + 1))


def rows_of(tokens: Tokens, rows: slice) -> Tokens:
    """Some sequences of a batch."""
    return replace(tokens, ids=tokens.ids[rows], labels=tokens.labels[rows])


def of_sequence(
    question: Question[Concatenate[Tokens, P], R],
    selection: Selection,
    sequence: int,
    *arguments: P.args,
    **options: P.kwargs,
) -> R:
    """`ask` on one of the view's sequences, as a batch of 1."""
    tokens = one_sequence(tokens_of(selection), sequence)
    return ask(question, selection.info, tokens, *arguments, **options)


def of_tokens(
    question: Question[Concatenate[Tokens, P], R],
    selection: Selection,
    *arguments: P.args,
    **options: P.kwargs,
) -> R:
    """`ask` on the view's tokens."""
    return ask(question, selection.info, tokens_of(selection), *arguments, **options)
