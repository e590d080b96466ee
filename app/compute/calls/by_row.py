"""Questions about what every head does on each row of a set of prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import analysis
from analysis.head import Head
from app.compute.ask import Progress, ask
from app.compute.calls.ablation import known_method, known_swap
from app.compute.calls.roles import prompt_set
from app.compute.question import Question
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.by_row import ByRow, Side
    from analysis.sets.rows import PromptSet

SCORE_BY_ROW = Question("score_by_row", lambda: analysis.score_by_row)
ATTENTION_BY_ROW = Question("attention_by_row", lambda: analysis.attention_by_row)
DIRECT_BY_ROW = Question("direct_by_row", lambda: analysis.direct_by_row)
ABLATION_BY_ROW = Question("ablation_by_row", lambda: analysis.ablation_by_row)
PATCHING_BY_ROW = Question("patching_by_row", lambda: analysis.patching_by_row)


def by_row(
    selection: Selection,
    progress: Progress,
    prompts: PromptSet | None = None,
    without: tuple[Head, ...] = (),
) -> ByRow:
    """What the view measures of every head on each row of a set; `progress` may raise to cancel.

    Args:
        selection: The view.
        progress: Called while it is measured.
        prompts: The set, where it is not the view's own.
        without: Heads that are replaced by zero meanwhile: of attention, scores and direct effects.

    Raises:
        AnalysisError: The set lacks what the measure needs; the sentence says what.
    """
    info, bos = selection.info, selection.bos
    prompts = prompts or prompt_set(selection)
    # The links' parsers take no others.
    side = cast("Side", selection["side"])
    match selection["measure"]:
        case "score":
            return ask(
                SCORE_BY_ROW,
                info,
                prompts,
                selection["score"],
                side,
                bos,
                without,
                progress=progress,
            )
        case "attention":
            dest, src = str(selection["to"]), str(selection["of"])
            return ask(
                ATTENTION_BY_ROW, info, prompts, dest, src, side, bos, without, progress=progress
            )
        case "direct":
            return ask(DIRECT_BY_ROW, info, prompts, bos, without)
        case "patching":
            return ask(PATCHING_BY_ROW, info, prompts, bos, progress=progress)
    method = known_method(selection["method"])
    return ask(
        ABLATION_BY_ROW,
        info,
        prompts,
        method,
        seed=known_swap(selection, method),
        prepend_bos=bos,
        progress=progress,
    )
