"""Questions about what every head does on each row of a set of prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import analysis
from app.compute.ask import Progress, ask
from app.compute.calls.ablation import known_method, known_swap
from app.compute.calls.roles import prompt_set
from app.compute.question import Question
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.by_row import ByRow, Side

SCORE_BY_ROW = Question("score_by_row", lambda: analysis.score_by_row)
ATTENTION_BY_ROW = Question("attention_by_row", lambda: analysis.attention_by_row)
DIRECT_BY_ROW = Question("direct_by_row", lambda: analysis.direct_by_row)
ABLATION_BY_ROW = Question("ablation_by_row", lambda: analysis.ablation_by_row)
PATCHING_BY_ROW = Question("patching_by_row", lambda: analysis.patching_by_row)


def by_row(selection: Selection, progress: Progress) -> ByRow:
    """What the view measures of every head on each row of its set; `progress` may raise to cancel.

    Raises:
        AnalysisError: The set lacks what the measure needs; the sentence says what.
    """
    info, prompts, bos = selection.info, prompt_set(selection), selection.bos
    # The links' parsers take no others.
    side = cast("Side", selection["side"])
    match selection["measure"]:
        case "score":
            return ask(SCORE_BY_ROW, info, prompts, selection["score"], side, bos)
        case "attention":
            dest, src = str(selection["to"]), str(selection["of"])
            return ask(ATTENTION_BY_ROW, info, prompts, dest, src, side, bos)
        case "direct":
            return ask(DIRECT_BY_ROW, info, prompts, bos)
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
