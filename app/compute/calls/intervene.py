"""Questions about a prompt with interventions made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import analysis
from analysis.effects.recipe import OfSecond, recipe_text
from analysis.errors import AnalysisError
from app.compute.ask import Progress, ask
from app.compute.calls.inputs import TOKENIZE
from app.compute.calls.patching import MAX_PATCH_WORK, longest_patterns
from app.compute.question import Question

if TYPE_CHECKING:
    from analysis.effects.intervene import Intervened
    from analysis.effects.writing import Written
    from analysis.models.info import ModelInfo
    from analysis.tokens import Tokens
    from app.links.subject import Subject


def _patterns(info: ModelInfo, tokens: int) -> int:
    """Bytes of the patterns of every head of both runs, and of their difference."""
    return 3 * 4 * info.n_layers * info.n_heads * tokens**2


INTERVENE = Question("intervene", lambda: analysis.intervene, beside=_patterns)
WRITE_ON = Question("write_on", lambda: analysis.write_on)


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
    return ask(
        INTERVENE,
        selection.info,
        tokens,
        recipe_text(subject.steps),
        head,
        second=_second(subject),
        answer=subject.answer,
        foil=subject.foil,
        seed=selection["swap"],
    )


def written(subject: Subject, tokens: Tokens, progress: Progress) -> Written:
    """What follows one sequence, without and with the steps of a subject.

    Raises:
        AnalysisError: As `intervened`, or more work than one visitor is given at once.
    """
    selection = subject.selection
    count = selection["write"]
    # The run as it is of either text, and what the recipe changes of one.
    each = 3 * (tokens.length + count) * max(selection.info.n_params, 1)
    if count * each > MAX_PATCH_WORK:
        raise AnalysisError(
            f"{count} tokens after {tokens.length} are too much for {selection.info.name} at once; "
            f"about {MAX_PATCH_WORK // each} are possible. Write fewer, or shorten the input."
        )
    return ask(
        WRITE_ON,
        selection.info,
        tokens,
        recipe_text(subject.steps),
        count,
        temperature=float(selection["temperature"]),
        seed=selection["seed"],
        acts=selection["acts"],
        second=_second(subject),
        progress=progress,
    )


def _second(subject: Subject) -> Tokens | None:
    """The tokens of the second prompt, where a step takes something of it."""
    selection = subject.selection
    if not any(isinstance(step, OfSecond) for step in subject.steps):
        return None
    return ask(TOKENIZE, selection.info, selection["prompt2"], prepend_bos=selection.bos)
