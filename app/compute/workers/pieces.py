"""The kinds of work that are done in pieces, and what each piece is: one registration for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


@dataclass(frozen=True, eq=False)
class Asked:
    """A question that is asked of one model; `watched` are the options by which it tells."""

    question: str
    info: ModelInfo
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]
    watched: tuple[str, ...]


def unnamed(tokens: Tokens) -> Tokens:
    """Tokens without their text, which takes longer to send than the ids and says nothing more."""
    return replace(tokens, labels=((("",) * tokens.length,) * tokens.batch), note="")


@cache
def kinds() -> dict[str, Kind]:
    """All of them, by name; imports torch."""
    from analysis.effects.ablation import HeadSweep
    from analysis.effects.groups import GroupMetrics, group_metrics
    from analysis.heads.corpus.batches import WindowReader, WindowsRead
    from analysis.sets.fitted import fit_set

    def groups(model: HeadModel, prompts: Any, bos: bool, method: Any, seed: int) -> Any:
        fitted = fit_set(model, prompts, bos)
        return lambda *some: group_metrics(model, fitted, some, method, seed=seed)

    return {
        # Heads; the effect of each.
        "sweep": Kind(lambda model, *of: _listed(HeadSweep(model, *of)), tuple),
        # A batch of windows.
        "windows": Kind(WindowReader, WindowsRead),
        # Groups of heads.
        "groups": Kind(groups, GroupMetrics),
    }


def _listed(take: Callable[[tuple[Any, ...]], Any]) -> Callable[..., Any]:
    return lambda *heads: take(heads)


@cache
def types() -> dict[str, type]:
    """What pieces and questions hold beside the results that are kept; imports torch."""
    from analysis.circuits.spectra import FactoredTiming
    from analysis.effects.groups import GroupMetrics
    from analysis.effects.masked import MaskedAblation, MaskedLoss
    from analysis.effects.patching import PromptPair
    from analysis.heads.corpus.batches import WindowBatch, WindowsRead
    from analysis.heads.corpus.windows import Windows
    from analysis.heads.encoder import EncoderScores
    from analysis.models.info import Traits, Turn
    from analysis.sets.fitted import Batch, FittedRow, FittedSet
    from analysis.sets.rows import Note, Place, PromptRow, PromptSet
    from analysis.tokens import Tokens

    known = (
        *(GroupMetrics, WindowBatch, WindowsRead, Windows, Tokens, Traits, Turn),
        *(Note, Place, PromptRow, PromptSet, Batch, FittedRow, FittedSet, PromptPair),
        *(EncoderScores, FactoredTiming, MaskedAblation, MaskedLoss),
    )
    return {each.__name__: each for each in known}
