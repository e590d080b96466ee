"""The kinds of work that are done in pieces, and what each piece is: one registration for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.models.info import ModelInfo
    from analysis.models.loading import HeadModel
    from analysis.tokens import Tokens


@dataclass(frozen=True)
class Kind:
    """One kind of work.

    Args:
        begin: Made of a model and of what all pieces share, once by each worker; then called with
            what is the piece's own.
        result: What every piece comes out as.
    """

    begin: Callable[..., Callable[..., Any]]
    result: type


@dataclass(frozen=True, eq=False)
class Job:
    """Work of one kind on one model; `shared` is what `Kind.begin` takes besides the model."""

    kind: str
    info: ModelInfo
    shared: tuple[Any, ...] = ()


def unnamed(tokens: Tokens) -> Tokens:
    """Tokens without their text, which takes longer to send than the ids and says nothing more."""
    return replace(tokens, labels=((("",) * tokens.length,) * tokens.batch), note="")


@cache
def kinds() -> dict[str, Kind]:
    """All of them, by name; imports torch."""
    from analysis.effects.ablation import HeadSweep
    from analysis.effects.groups import GroupMetrics, group_metrics
    from analysis.heads.corpus.batches import WindowReader, WindowsRead
    from analysis.heads.mosaic import mosaic_scores
    from analysis.runs.results import HeadScores
    from analysis.sets.fitted import fit_set

    def groups(model: HeadModel, prompts: Any, bos: bool, method: Any, seed: int) -> Any:
        fitted = fit_set(model, prompts, bos)
        return lambda *some: group_metrics(model, fitted, some, method, seed=seed)

    return {
        # Heads; the effect of each.
        "sweep": Kind(lambda model, *of: _listed(HeadSweep(model, *of)), tuple),
        # A batch of windows.
        "windows": Kind(WindowReader, WindowsRead),
        # Nothing: one model is one piece.
        "mosaic": Kind(lambda model: lambda: mosaic_scores(model), HeadScores),
        # Groups of heads.
        "groups": Kind(groups, GroupMetrics),
    }


def _listed(take: Callable[[tuple[Any, ...]], Any]) -> Callable[..., Any]:
    return lambda *heads: take(heads)


@cache
def types() -> dict[str, type]:
    """What pieces are made of beside the results that are kept; imports torch."""
    from analysis.effects.groups import GroupMetrics
    from analysis.heads.corpus.batches import WindowBatch, WindowsRead
    from analysis.sets.rows import Note, Place, PromptRow, PromptSet
    from analysis.tokens import Tokens

    known = (GroupMetrics, WindowBatch, WindowsRead, Note, Place, PromptRow, PromptSet, Tokens)
    return {each.__name__: each for each in known}
