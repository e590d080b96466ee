"""Questions about a conversation, by who speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import analysis
from app.compute.calls.attribution import end_of
from app.compute.calls.inputs import of_tokens
from app.compute.question import Question
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.heads.speakers import SpeakerAttention
    from analysis.logits.speakers import SpeakerAttribution

SPEAKER_ATTENTION = Question("speaker_attention", lambda: analysis.speaker_attention, logits="none")
SPEAKER_ATTRIBUTION = Question(
    "speaker_attribution", lambda: analysis.speaker_attribution, logits="none"
)


def speaker_attention(selection: Selection) -> SpeakerAttention:
    """Every head's attention from the answer of the view's conversation, by speaker."""
    return of_tokens(SPEAKER_ATTENTION, selection)


def speaker_attribution(
    selection: Selection, dest: int, answer: int | None, foil: int | None
) -> SpeakerAttribution:
    """Every head's direct attribution after one position of the view's conversation, by speaker.

    Answer and foil are as for `attribution`.
    """
    end = end_of(selection, 0, answer)
    return of_tokens(SPEAKER_ATTRIBUTION, selection, dest, answer, foil, end)
