"""Questions about tokens and the predictions of the next one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

import analysis
from analysis.errors import AnalysisError
from analysis.head import Head
from app.compute.ask import ask_at_once
from app.compute.calls.inputs import of_sequence, of_tokens
from app.compute.question import Question
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.logits.lens import Lens
    from analysis.models.loading import HeadModel
    from analysis.runs.predictions import NextTokenStats


def one_token(model: HeadModel, text: str) -> int:
    """The id of a text that is one token; see `single_token`."""
    ids = model.tokenizer.encode(text, add_special_tokens=False)
    if len(ids) == 1:
        return int(ids[0])
    spaced = model.tokenizer.encode(f" {text}", add_special_tokens=False)
    hint = " With a space in front it is one token." if len(spaced) == 1 else ""
    raise AnalysisError(f"“{text}” is {len(ids)} tokens for this model, not one.{hint}")


def texts_of_ids(model: HeadModel, ids: tuple[int, ...]) -> tuple[str, ...]:
    """What each id stands for."""
    return analysis.token_texts(model.tokenizer, ids)


ONE_TOKEN = Question("one_token", lambda: one_token, logits="none")
TEXTS_OF_IDS = Question("texts_of_ids", lambda: texts_of_ids, logits="none")
NEXT_TOKEN_STATS = Question("next_token_stats", lambda: analysis.next_token_stats, logits="some")
LOGIT_LENS = Question("logit_lens", lambda: analysis.logit_lens)


def next_token_stats(selection: Selection) -> NextTokenStats:
    """Next-token predictions on the view's tokens."""
    return of_tokens(NEXT_TOKEN_STATS, selection)


def next_tokens(selection: Selection, sequence: int) -> NextTokenStats:
    """Next-token predictions on one of the view's sequences, batch of 1."""
    return of_sequence(NEXT_TOKEN_STATS, selection, sequence)


def logit_lens(selection: Selection, sequence: int) -> Lens:
    """What one of the view's sequences would be predicted to go on with after each layer."""
    return of_sequence(LOGIT_LENS, selection, sequence)


def lens_at(
    selection: Selection, sequence: int, position: int, without: tuple[Head, ...] = ()
) -> Lens:
    """The same after one position alone; `without` ablates heads."""
    return of_sequence(LOGIT_LENS, selection, sequence, at=position, without=without)


def single_token(selection: Selection, text: str) -> int:
    """The id of a text that is one token, such as ` Jane` (the space belongs to it).

    Raises:
        AnalysisError: It is several tokens or none; the sentence says which.
    """
    return ask_at_once(ONE_TOKEN, selection.info, text)


def typed_ids(selection: Selection, text: str) -> np.ndarray:
    """Token ids written as numbers with commas or spaces between them, [pos, 1].

    Raises:
        AnalysisError: Something else is written, or an id that the model does not have.
    """
    numbers = text.replace(",", " ").strip(" []").split()
    if not numbers or any(not re.fullmatch("[0-9]{1,9}", number) for number in numbers):
        raise AnalysisError("Ids are whole numbers with commas between them, such as 264, 1009.")
    ids = np.array([[int(number)] for number in numbers])
    if ids.max() >= selection.info.d_vocab:
        raise AnalysisError(
            f"{ids.max()} is no id of {selection.info.name}; they run from 0 to "
            f"{selection.info.d_vocab - 1}."
        )
    return ids


def token_labels(selection: Selection, ids: np.ndarray) -> list[list[str]]:
    """What each id of a table [pos, k] stands for."""
    texts = ask_at_once(TEXTS_OF_IDS, selection.info, tuple(ids.ravel().tolist()))
    left = iter(texts)
    return [[next(left) for _ in row] for row in ids]
