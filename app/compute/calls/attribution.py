"""Questions about what heads add to the logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import analysis
from analysis.head import Head
from app.compute.calls.inputs import of_sequence, of_tokens
from app.compute.question import Question
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.logits.attribution import Attribution
    from analysis.logits.decomposition import Decomposition, ScoreSplit
    from analysis.logits.sources import SourceAttribution

K_COMPOSITION = Question("k_composition", lambda: analysis.k_composition)
LOGIT_ATTRIBUTION = Question("logit_attribution", lambda: analysis.logit_attribution)
SOURCE_ATTRIBUTION = Question("source_attribution", lambda: analysis.source_attribution)
SCORE_SPLIT = Question("score_split", lambda: analysis.score_split)


def attribution(
    selection: Selection, sequence: int, answer: int | None, foil: int | None
) -> Attribution:
    """Direct logit attribution on one of the view's sequences."""
    return of_sequence(LOGIT_ATTRIBUTION, selection, sequence, targets=answer, foils=foil)


def source_attribution(
    selection: Selection, sequence: int, head: Head, answer: int | None, foil: int | None
) -> SourceAttribution:
    """One head's logit attribution on one of the view's sequences, by source token."""
    return of_sequence(SOURCE_ATTRIBUTION, selection, sequence, head, targets=answer, foils=foil)


def score_split(selection: Selection, sequence: int, head: Head, dest: int, src: int) -> ScoreSplit:
    """One attention score on one of the view's sequences, by upstream component."""
    return of_sequence(SCORE_SPLIT, selection, sequence, head, dest, src)


def decomposition(selection: Selection, head: Head) -> Decomposition:
    """A head's queries and keys on the view's tokens, by upstream component."""
    return of_tokens(K_COMPOSITION, selection, head.layer, head.head)
