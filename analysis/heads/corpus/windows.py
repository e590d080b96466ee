"""A text cut into windows of tokens, each run by itself."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from analysis.arrays import freeze
from analysis.errors import AnalysisError
from analysis.limits import MAX_CORPUS_TOKENS
from analysis.models.loading import HeadModel
from analysis.runs.inputs import token_text

# More characters than any token of a real vocabulary stands for on average; what a longer text
# holds beyond that is not tokenized at all.
_CHARACTERS_PER_TOKEN = 10


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of a text in its order; `n_first` is 1 where each begins with BOS, else 0.

    `cut` says whether the text goes on beyond the most tokens that are read.
    """

    ids: Int[np.ndarray, "window pos"]
    n_first: int
    cut: bool = False

    def __post_init__(self) -> None:
        freeze(self, "ids")


def text_windows(
    model: HeadModel,
    texts: str | Iterable[str],
    window: int = 256,
    most: int = MAX_CORPUS_TOKENS,
) -> Windows:
    """Texts as windows of as many tokens each, behind BOS where the model has one.

    The tokens of all texts stand one after another, so a window may hold the end of one text and
    the beginning of the next; what fills no whole window at the end is left out. A text shorter
    than a window is one window.

    Args:
        model: Whose tokenizer is taken.
        texts: One text or several.
        window: Positions of a window; at most the model's context.
        most: Tokens that are read of all texts together.

    Raises:
        AnalysisError: No text, a window that does not fit, or text that is no Unicode or holds a
            token that the model has no row for.
    """
    if not 8 <= window <= model.n_ctx:
        raise AnalysisError(
            f"Windows of {window} tokens were asked for; {model.name} takes 8 to {model.n_ctx}."
        )
    stream: list[int] = []
    cut = False
    for text in [texts] if isinstance(texts, str) else texts:
        left = most - len(stream)
        part = text[: left * _CHARACTERS_PER_TOKEN]
        found = _encoded(model, part)
        cut = cut or len(found) > left or len(part) < len(text)
        stream += found[:left]
        if len(stream) >= most:
            break
    n_first = int(model.info.has_bos)
    body = min(window - n_first, len(stream))
    if body + n_first < 3:
        raise AnalysisError(
            f"The text has {len(stream)} tokens; a window needs at least {3 - n_first}. Choose a "
            "longer one."
        )
    n_windows = len(stream) // body
    ids = np.array(stream[: n_windows * body], np.int32).reshape(n_windows, body)
    if n_first:
        ids = np.concatenate([np.full((n_windows, 1), model.bos_id, np.int32), ids], 1)
    return Windows(ids, n_first, cut)


def _encoded(model: HeadModel, text: str) -> list[int]:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise AnalysisError(
            f"Character {error.start + 1:,} of the text is half of a surrogate pair, which is not "
            "text. Delete it."
        ) from error
    # Not verbose: a text longer than the context is no mistake here.
    ids: list[int] = model.tokenizer.encode(text, add_special_tokens=False, verbose=False)
    if beyond := next((id for id in ids if id >= model.d_vocab), None):
        raise AnalysisError(
            f"The text holds {token_text(model.tokenizer, beyond)}, token id {beyond:,}; "
            f"{model.name} has rows for ids 0 to {model.d_vocab - 1:,}. Delete it."
        )
    return ids
