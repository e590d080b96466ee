"""Questions about what heads add to the logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.head import Head
from app.compute.calls.inputs import of_sequence, of_tokens
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.logits.attribution import Attribution
    from analysis.logits.decomposition import Decomposition, ScoreSplit
    from analysis.logits.sources import SourceAttribution


def attribution(
    selection: Selection, sequence: int, answer: int | None, foil: int | None
) -> Attribution:
    """Direct logit attribution on one of the view's sequences."""
    return of_sequence(selection, sequence, "logit_attribution", targets=answer, foils=foil)


def source_attribution(
    selection: Selection, sequence: int, head: Head, answer: int | None, foil: int | None
) -> SourceAttribution:
    """One head's logit attribution on one of the view's sequences, by source token."""
    return of_sequence(selection, sequence, "source_attribution", head, targets=answer, foils=foil)


def score_split(selection: Selection, sequence: int, head: Head, dest: int, src: int) -> ScoreSplit:
    """One attention score on one of the view's sequences, by upstream component."""
    return of_sequence(selection, sequence, "score_split", head, dest, src)


def decomposition(selection: Selection, head: Head) -> Decomposition:
    """A head's queries and keys on the view's tokens, by upstream component."""
    return of_tokens(selection, "k_composition", head.layer, head.head)
