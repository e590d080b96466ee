"""Questions about a prompt with interventions made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import analysis
from analysis.effects.recipe import Borrow, Patch, Steer
from analysis.errors import AnalysisError
from app.compute.ask import ask
from app.compute.calls.inputs import TOKENIZE
from app.compute.calls.patching import longest_patterns
from app.compute.question import Question

if TYPE_CHECKING:
    from analysis.effects.intervene import Intervened
    from analysis.tokens import Tokens
    from app.links.subject import Subject

INTERVENE = Question("intervene", lambda: analysis.intervene)


def intervened(subject: Subject, tokens: Tokens) -> Intervened:
    """One sequence as it is and with the steps of a subject.

    Raises:
        AnalysisError: A step that the model or the prompts have no place for, a second prompt that
            cannot be read, or a sequence too long for the patterns of all heads.
    """
    selection, head = subject.selection, subject.head
    assert head is not None
    if tokens.length > (most := longest_patterns(selection.info)):
        raise AnalysisError(
            f"These are {tokens.length} tokens; interventions are tried on at most {most} in "
            f"{selection.info.name}, so that the patterns of all heads fit. Shorten the input."
        )
    second = None
    if any(isinstance(step, Borrow | Patch | Steer) for step in subject.steps):
        second = ask(TOKENIZE, selection.info, selection["prompt2"], prepend_bos=selection.bos)
    return ask(
        INTERVENE,
        selection.info,
        tokens,
        "_".join(step.text for step in subject.steps),
        head,
        second=second,
        answer=subject.answer,
        foil=subject.foil,
        seed=selection["swap"],
    )
