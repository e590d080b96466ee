"""The two pictures of a notebook: every head of a sequence, and two patterns beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.errors import AnalysisError
from analysis.head import Head
from app.components.pattern_pair.payload import Pane
from app.notebook.arrays import CheckedPatterns, check_patterns, check_tokens, real_numbers
from app.notebook.models import is_pair, run_on_prompt
from app.notebook.two_texts import Part

if TYPE_CHECKING:
    from app.notebook.widgets import HeadViewer, PairViewer

_MISSING = "Pictures in a notebook need anywidget: pip install 'headscope[notebook]'."


def show(
    patterns: Any,
    tokens: Sequence[str] | str,
    *,
    scores: Mapping[str, np.ndarray] | None = None,
    tokenizer: Any = None,
    height: int = 560,
    bidirectional: bool = False,
    sources: Sequence[str] | None = None,
    part: Part = "cross",
) -> HeadViewer:
    """Every head of one sequence as small pictures, one of them large, and the text below.

    What is locked in the picture is in `focus`, `locked`, `tokens` and `direction` of what this
    returns, and can be observed.

    Args:
        patterns: Attention as `arrays.check_patterns` takes it; or with a text as second argument
            a model: by its name or folder, of TransformerLens, or of transformers.
        tokens: One text for each position; or the prompt that the model is run on, of an encoder
            also a pair of texts, of an encoder with a decoder what it reads and what it writes.
        scores: Values for each head, [layer, head], to sort by; NaN where unknown.
        tokenizer: Of a model of transformers.
        height: Room for the pictures, in pixels.
        bidirectional: Whether tokens attend to later ones too, as in an encoder such as BERT.
        sources: What is attended to, where that is another text, as from a decoder to its encoder:
            one text for each column, while `tokens` are those of the rows.
        part: Of an encoder with a decoder, such as T5: "encoder", "decoder" or "cross".

    Raises:
        AnalysisError: What was given cannot be shown; the sentence says what fits.
    """
    prompt = _prompt_of(patterns, tokens)
    if prompt is not None:
        found = run_on_prompt(patterns, prompt, tokenizer, bidirectional, part)
        patterns, tokens, scores = found.patterns, found.tokens, {**found.scores, **(scores or {})}
        bidirectional, sources = found.bidirectional, found.sources
    checked = check_patterns(patterns, bidirectional, two_texts=sources is not None)
    labels = check_tokens(tokens, checked.values.shape[2])
    others = None if sources is None else check_tokens(sources, checked.values.shape[3])
    known = _known_scores(scores, checked)
    if not isinstance(height, int | float) or not 200 <= height <= 2000:
        raise AnalysisError(f"The height is {height!r}; from 200 to 2,000 pixels are possible.")
    try:
        from app.notebook.widgets import HeadViewer
    except ModuleNotFoundError as error:
        raise AnalysisError(_MISSING) from error
    return HeadViewer(checked, labels, known, height, others)


def _known_scores(scores: Any, patterns: CheckedPatterns) -> dict[str, np.ndarray]:
    """Scores by name, each with a value for every head."""
    if not isinstance(scores, Mapping | None):
        raise AnalysisError(
            "Scores are a dictionary of names and arrays [layer, head]; what was given is of type "
            f"{type(scores).__name__}."
        )
    known = {}
    for name, values in (scores or {}).items():
        known[str(name)] = real_numbers(values, "Scores", "[layer, head]").astype(float)
        shape = known[str(name)].shape
        if shape != patterns.values.shape[:2]:
            raise AnalysisError(
                f"The score {name!r} has the shape {list(shape)}; expected is "
                f"[layer, head], {list(patterns.values.shape[:2])}."
            )
    return known


def _prompt_of(model: Any, tokens: Any) -> str | tuple[str, str] | None:
    """What a model is to be run on: a text or, of one of transformers, a pair; None: tokens."""
    if isinstance(tokens, str):
        return tokens
    return (str(tokens[0]), str(tokens[1])) if is_pair(model, tokens) else None


def compare(
    first: Any,
    second: Any,
    tokens: Sequence[str],
    other_tokens: Sequence[str] | None = None,
    *,
    head: str | None = None,
    titles: tuple[str, str] = ("first", "second"),
) -> PairViewer:
    """Two patterns of one head each, and their difference, with one pointer for all.

    Args:
        first: The first pattern, as `show` takes it.
        second: The other one.
        tokens: One text for each position.
        other_tokens: Those of the second pattern, where they are others; without as many there is
            no difference.
        head: Which head, such as "L5H1"; needed where there are several.
        titles: What is said above the two.

    Raises:
        AnalysisError: As `show`, or no head, or one that is not there.
    """
    if len(titles) != 2 or not all(isinstance(title, str) for title in titles):
        raise AnalysisError(f"Titles are two texts, one above each pattern, and not {titles!r}.")
    panes = []
    texts = (tokens, tokens if other_tokens is None else other_tokens)
    for given, own, title in zip((first, second), texts, titles, strict=True):
        checked = check_patterns(given)
        labels = check_tokens(own, checked.values.shape[-1])
        panes.append(Pane(title, "", checked.of(_head(checked, head)), labels))
    try:
        from app.notebook.widgets import PairViewer
    except ModuleNotFoundError as error:
        raise AnalysisError(_MISSING) from error
    return PairViewer(*panes)


def _head(patterns: CheckedPatterns, named: str | None) -> Head:
    if named is None:
        if len(patterns.heads) > 1:
            raise AnalysisError(
                f"Which of {len(patterns.heads)} heads? Name one, such as head='L0H1'."
            )
        return patterns.heads[0]
    try:
        return Head.parse(named)
    except ValueError as error:
        raise AnalysisError(f"{error}.") from error
    except TypeError:
        raise AnalysisError(f"A head is named by a text such as 'L0H1', not {named!r}.") from None
