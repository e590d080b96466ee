"""Questions about a prompt with interventions made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict

import analysis
from analysis.effects.recipe import MAX_STEPS, Acts, recipe_text
from analysis.effects.steps import OfSecond
from analysis.errors import AnalysisError
from analysis.limits import MAX_WRITTEN
from app.compute.ask import Progress, ask, remember_answer
from app.compute.calls.inputs import TOKENIZE
from app.compute.calls.patching import MAX_PATCH_WORK, longest_patterns
from app.compute.question import Question

if TYPE_CHECKING:
    from analysis.effects.flip import FlipSet
    from analysis.effects.intervene import Intervened
    from analysis.effects.writing import Written
    from analysis.models.info import ModelInfo
    from analysis.tokens import Tokens
    from app.links.subject import Subject


def _patterns(info: ModelInfo, tokens: int) -> int:
    """Bytes of the patterns of every head of both runs, and of their difference."""
    return 3 * 4 * info.n_layers * info.n_heads * tokens**2


FLIP_SET = Question("flip_set", lambda: analysis.flip_set)
INTERVENE = Question("intervene", lambda: analysis.intervene, beside=_patterns)


def _keys(info: ModelInfo, tokens: int) -> int:
    """Bytes of the keys and values of three texts as long as can be written."""
    values = info.n_layers * info.n_heads * info.d_head
    return 3 * 2 * 4 * values * (tokens + MAX_WRITTEN)


WRITE_ON = Question("write_on", lambda: analysis.write_on, logits="some", beside=_keys)


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


class _Asked(TypedDict):
    temperature: float
    seed: int
    swap: int
    acts: Acts
    second: Tokens | None


def written(
    subject: Subject, tokens: Tokens, progress: Progress, told: Callable[[Written], None]
) -> Written:
    """What follows one sequence, without and with the steps of a subject.

    Whoever ends it early finds what was written by then as the answer for so many tokens.

    Args:
        subject: The recipe, and how the text is written.
        tokens: The sequence.
        progress: Told how many tokens of how many are written; may raise to end it.
        told: Told before that what is written by then.

    Raises:
        AnalysisError: As `intervened`, or more work than one visitor is given at once.
    """
    selection = subject.selection
    info, recipe, count = selection.info, recipe_text(subject.steps), selection["write"]
    # The run as it is of either text, and that with the recipe of one. A native model runs the
    # whole text for each token; others keep its keys and values.
    each = 3 * max(info.n_params, 1) * (tokens.length + count if info.kind == "native" else 1)
    if count * each + tokens.length * info.n_params > MAX_PATCH_WORK:
        raise AnalysisError(
            f"{count} tokens after {tokens.length} are too much for {info.name} at once; "
            f"about {MAX_PATCH_WORK // each} are possible. Write fewer, or shorten the input."
        )
    latest: list[Written] = []

    def so_far(found: Written) -> None:
        latest[:] = [found]
        told(found)

    asked: _Asked = {
        "temperature": float(selection["temperature"]),
        "seed": selection["seed"],
        "swap": selection["swap"],
        "acts": selection["acts"],
        "second": _second(subject),
    }
    try:
        return ask(WRITE_ON, info, tokens, recipe, count, **asked, progress=progress, told=so_far)
    except BaseException:  # Streamlit ends a script so
        for found in latest:
            remember_answer(WRITE_ON, found, info, tokens, recipe, found.count, **asked)
        raise


def most_removed(subject: Subject, tokens: Tokens) -> int:
    """How many heads one visitor may have removed on one sequence, where each is looked for anew.

    Raises:
        AnalysisError: Not even one.
    """
    info = subject.selection.info
    # From the layer of each head on: half of a run on average.
    removal = info.n_layers * info.n_heads * tokens.length * max(info.n_params, 1) // 2
    most = MAX_PATCH_WORK // removal
    if most < 1:
        raise AnalysisError(
            f"All {info.n_layers * info.n_heads} heads of {info.name} would be tried on "
            f"{tokens.length} tokens for each that is removed, which is too much at once. Shorten "
            "the input."
        )
    return min(MAX_STEPS, most)


def flip_set(subject: Subject, tokens: Tokens, progress: Progress) -> FlipSet:
    """Heads without which the foil of a subject wins on one sequence, as it is without a recipe.

    Raises:
        AnalysisError: As `most_removed`, or a foil that wins as it is.
    """
    assert subject.answer is not None
    assert subject.foil is not None
    return ask(
        FLIP_SET,
        subject.selection.info,
        tokens,
        subject.answer,
        subject.foil,
        most=most_removed(subject, tokens),
        seed=subject.selection["seed"],
        progress=progress,
    )


def _second(subject: Subject) -> Tokens | None:
    """The tokens of the second prompt, where a step takes something of it."""
    selection = subject.selection
    if not any(isinstance(step, OfSecond) for step in subject.steps):
        return None
    return ask(TOKENIZE, selection.info, selection["prompt2"], prepend_bos=selection.bos)
