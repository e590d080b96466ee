"""Calls into `analysis`: models loaded once, results shared by all visitors, bounded.

Imports torch and TransformerLens on first use only, so that the first screen does not wait for
them. Nothing here calls Streamlit, so nothing of it runs inside a lock or a shared computation.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Hashable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import analysis
from analysis.head import Head
from analysis.limits import MAX_BYTES
from analysis.models.catalog import fingerprint
from app.compute.admission import Admission, RateLimit, visitor
from app.compute.engine import _log, _models, engine
from app.compute.shared_cache import SharedCache, nbytes
from app.compute.stored import ResultFolder, from_bytes, key_text, shipped_file, to_bytes
from app.config import settings
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.models.info import ModelInfo
    from analysis.models.loading import HeadModel


Progress = Callable[[int, int], None]
# Part of every key: raise it when a definition in `analysis` changes what a number means.
DEFINITION_VERSION = 1
_results = SharedCache(settings().cache_mb * 2**20, size_of=nbytes)
_admission = Admission(
    settings().memory_mb * 2**20, settings().computations_at_once, settings().max_waiting
)
_rate = RateLimit(settings().computations_per_minute)
# Opening many tabs does not multiply it.
_address_rate = RateLimit(settings().computations_per_minute_and_address, "each network address")


def remembered() -> Iterator[tuple[str, Any]]:
    """Every result in memory that can be kept, with the question it answers."""
    for key, value in _results.items():
        if (question := key_text(key)) is not None:
            yield question, value


def ask(
    selection: Selection,
    function: str,
    *arguments: Any,
    progress: Progress | None = None,
    **options: Any,
) -> Any:
    """`analysis.<function>(model, *arguments, **options)`: remembered, awaited or computed here.

    `progress` says nothing about the result, so it is no part of what is remembered.
    """
    reported = {"progress": progress} if progress else {}
    return _shared(
        function,
        selection.info,
        (*arguments, *sorted(options.items())),
        lambda model: getattr(engine(), function)(model, *arguments, **options, **reported),
        shows_progress=progress is not None,
    )


def _shared(
    function: str,
    info: ModelInfo,
    asked: tuple[Any, ...],
    compute: Callable[[HeadModel], Any],
    shows_progress: bool = False,
) -> Any:
    """What is remembered costs nothing; what is not is counted, waits its turn, and is computed.

    Meanwhile the visitor is told what is done, unless the computation `shows_progress` itself.
    """
    who, key = visitor(), key_of(function, info, asked)

    def admitted() -> Any:
        if who.name is not None:
            _rate.take(who.name)
        if who.address is not None:
            _address_rate.take(who.address)
        with _admission.admitted(bytes_needed(info, asked), who):
            model = _models.get(info, who)
            if not shows_progress:
                who.starts(_doing(info, asked))
            return compute(model)

    def while_another_does() -> None:
        who.check()
        who.starts(_doing(info, asked))

    try:
        return _results.get(key, lambda: _stored(info, key, admitted), while_another_does)
    finally:
        # Not before the result is remembered: who has left ends in there.
        who.ends()


def _doing(info: ModelInfo, asked: tuple[Any, ...]) -> str:
    """One line for who waits."""
    for part in asked:
        if _stands_for_itself(part):
            continue
        if isinstance(part, analysis.Tokens):
            rows = f"{part.batch} × " if part.batch > 1 else ""
            return f"Running {info.title} on {rows}{part.length} tokens…"
        if isinstance(part, analysis.PromptPair):
            return f"Running {info.title} on both prompts…"
    return f"Reading the weights of {info.title}…"


def _stored(info: ModelInfo, key: Hashable, compute: Callable[[], Any]) -> Any:
    """What came with the model or is kept in the folder; else computed, and kept there."""
    question = key_text(key)
    if question is None:
        return compute()
    file, folder = shipped_file(info.folder, question), _folder()
    data = file.read_bytes() if file.exists() else folder.get(question) if folder else None
    if data is not None and (known := from_bytes(question, data)) is not None:
        return known
    value = compute()
    if folder and (data := to_bytes(question, value)) is not None:
        folder.keep(question, data)
    return value


@cache
def _folder() -> ResultFolder | None:
    name, size = settings().cache_folder, settings().cache_folder_mb
    try:
        return ResultFolder(Path(name), size * 2**20) if name else None
    except (OSError, sqlite3.Error):  # not ours to write to, or damaged
        _log.exception("results cannot be kept in %s", name)
        return None


@cache
def _fingerprint(info: ModelInfo) -> str:
    return fingerprint(info)


def bytes_needed(info: ModelInfo, asked: tuple[Any, ...]) -> int:
    """Memory that a request takes beside the weights, rather too much than too little."""
    # From the weights alone: a few matrices of the size of the embedding.
    need = 3 * 4 * info.d_vocab * info.d_model
    for tokens in (part for part in asked if isinstance(part, analysis.Tokens)):
        # Logits, their log-probabilities and one more copy; a layer's activations a few times.
        need += 4 * tokens.ids.size * (3 * info.d_vocab + 8 * max(info.d_mlp, 4 * info.d_model))
        # Patterns as they are kept and as they are copied out.
        patterns = info.n_layers * info.n_heads * tokens.batch * tokens.length**2
        need += min(2 * 4 * patterns, 2 * MAX_BYTES)
    return need


def key_of(function: str, info: ModelInfo, asked: tuple[Any, ...]) -> Hashable:
    """What stands for a request in a cache: all that can change its answer."""
    details = tuple(_identity(part) for part in asked)
    return (function, DEFINITION_VERSION, _fingerprint(info), details)


def _identity(part: Any) -> Any:
    """What stands for an argument in a key: tokens by their ids, everything else by itself."""
    if _stands_for_itself(part):
        return part
    if isinstance(part, analysis.Tokens):
        return (part.ids.shape, part.ids.tobytes(), part.half_length, part.pairs_from)
    # Asked last: the class comes with torch.
    if isinstance(part, analysis.PromptPair):
        return (_identity(part.clean), _identity(part.corrupt), part.answer, part.foil)
    return part


def _stands_for_itself(part: Any) -> bool:
    return part is None or isinstance(part, str | int | float | tuple | Head)
