"""Questions about what heads add to the logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import analysis
from analysis.head import Head
from app.compute.calls.inputs import of_sequence, of_tokens
from app.compute.calls.tokens import next_tokens
from app.compute.question import Question
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.logits.attribution import Attribution
    from analysis.logits.decomposition import Decomposition, ScoreSplit
    from analysis.logits.sources import SourceAttribution
    from analysis.logits.weighted import WeightedPatterns
    from analysis.models.info import ModelInfo


def _parts(info: ModelInfo, tokens: int) -> int:
    """Bytes of a query and a key of every component, in copies."""
    components = info.n_layers * (info.n_heads + 1) + 3
    return 4 * 2 * 4 * components * info.d_head * tokens + 4 * 8 * components**2


K_COMPOSITION = Question(
    "k_composition", lambda: analysis.k_composition, logits="none", beside=_parts
)
LOGIT_ATTRIBUTION = Question("logit_attribution", lambda: analysis.logit_attribution)
SOURCE_ATTRIBUTION = Question("source_attribution", lambda: analysis.source_attribution)
WEIGHTED_PATTERNS = Question("weighted_patterns", lambda: analysis.weighted_patterns, logits="none")
SCORE_SPLIT = Question("score_split", lambda: analysis.score_split, logits="none")


def attribution(
    selection: Selection, sequence: int, answer: int | None, foil: int | None
) -> Attribution:
    """Direct logit attribution on one of the view's sequences, at every position.

    Without an answer it is that of the token that comes next, and after the end of the model's top
    guess.
    """
    end = end_of(selection, sequence, answer)
    return of_sequence(LOGIT_ATTRIBUTION, selection, sequence, targets=answer, foils=foil, end=end)


def source_attribution(
    selection: Selection, sequence: int, head: Head, answer: int | None, foil: int | None
) -> SourceAttribution:
    """One head's logit attribution on one of the view's sequences, by source token."""
    end = end_of(selection, sequence, answer)
    return of_sequence(
        SOURCE_ATTRIBUTION, selection, sequence, head, targets=answer, foils=foil, end=end
    )


def weighted_patterns(
    selection: Selection,
    sequence: int,
    layers: tuple[int, ...],
    weighting: str,
    answer: int | None,
    foil: int | None,
    without: tuple[Head, ...] = (),
) -> WeightedPatterns:
    """Patterns of one of the view's sequences, each cell weighted, batch of 1.

    Answer and foil, as for `attribution`, say nothing about a pattern that is weighted by value;
    after the end the answer is the top guess of the model as it is, whatever is ablated.
    """
    if weighting != "answer":
        return of_sequence(
            WEIGHTED_PATTERNS, selection, sequence, weighting, layers, without=without
        )
    end = end_of(selection, sequence, answer)
    return of_sequence(
        WEIGHTED_PATTERNS,
        selection,
        sequence,
        weighting,
        layers,
        targets=answer,
        foils=foil,
        end=end,
        without=without,
    )


def end_of(selection: Selection, sequence: int, answer: int | None) -> int | None:
    """The token explained after the end, where none comes: the model's top guess."""
    if answer is not None:
        return None
    return int(next_tokens(selection, sequence).top_ids[0, -1, 0])


def score_split(selection: Selection, sequence: int, head: Head, dest: int, src: int) -> ScoreSplit:
    """One attention score on one of the view's sequences, by upstream component."""
    return of_sequence(SCORE_SPLIT, selection, sequence, head, dest, src)


def decomposition(selection: Selection, head: Head) -> Decomposition:
    """A head's queries and keys on the view's tokens, by upstream component."""
    return of_tokens(K_COMPOSITION, selection, head.layer, head.head)
