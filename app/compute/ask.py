"""Questions to `analysis`: results shared by all visitors of a server, bounded, each computed once.

Nothing here calls Streamlit, so nothing of it runs inside a lock or a shared computation.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import analysis
from analysis.head import Head
from analysis.limits import LOGITS_AT_ONCE, MAX_BYTES, rows_at_once
from analysis.models.files import fingerprint, opened
from analysis.sets.rows import PromptSet
from app.compute.admission import Turn
from app.compute.question import Logits, Question
from app.compute.server import Server, current_server
from app.compute.stored import MAX_UNPACKED, from_bytes, key_text, shipped_file, to_bytes
from app.compute.visitor import Visitor, awaiting
from app.compute.workers.pieces import Asked

if TYPE_CHECKING:
    from analysis.models.info import ModelInfo
    from app.compute.workers.crew import Watch

P = ParamSpec("P")
R = TypeVar("R")
Progress = Callable[[int, int], None]
# Tokens of a set that are run at once, as `analysis.sets.metrics.parts` has it.
PART_TOKENS = 2048
# Options by which a computation tells what it does: they say nothing about its answer.
WATCHING = ("progress", "told")
# Part of every key: raise it when a definition in `analysis` changes what a number means.
DEFINITION_VERSION = 3


def ask(question: Question[P, R], info: ModelInfo, *arguments: P.args, **options: P.kwargs) -> R:
    """The answer of a model: what is remembered costs nothing; what is not is counted and awaited.

    Meanwhile the visitor is told what is done, unless the computation shows its own `progress`,
    which says nothing about the answer, as all of `WATCHING`, and is no part of what is remembered.
    """
    return ask_by(None, question, info, *arguments, **options)


def ask_by(
    way: Callable[..., R] | None,
    question: Question[P, R],
    info: ModelInfo,
    *arguments: P.args,
    **options: P.kwargs,
) -> R:
    """`ask`, where `way` works the answer out if it is given, and not the question's function."""
    server, asked = current_server(), _asked(*arguments, **options)
    who, key = server.visitor(), key_of(question.name, info, asked)

    def admitted() -> R:
        if who.name is not None:
            server.rate.take(who.name)
        if who.address is not None:
            server.address_rate.take(who.address)
        who.steps_aside()
        need, kind = bytes_of(question, info, asked), f"{question.name} {info.name}"
        with server.admission.admitted(need, who, kind, key) as turn:
            answer = way or _answering(server, question, info, who)
            if options.get("progress") is None:
                who.starts(_doing(info, asked))
            if "progress" in options:
                options["progress"] = _giving_way(turn, options["progress"])
            return answer(*arguments, **options)

    def while_another_does() -> None:
        who.check()
        server.admission.awaits(key, who)
        who.steps_aside()
        who.starts(_doing(info, asked))

    try:
        found = server.results.get(
            key, lambda: _stored_or(server, info, key, admitted), while_another_does
        )
        who.comes_back()
        return found
    finally:
        # Not before the result is remembered: who has left ends in there.
        who.ends()


def ask_at_once(
    question: Question[P, R], info: ModelInfo, *arguments: P.args, **options: P.kwargs
) -> R:
    """An answer that takes no time: it is not counted, not waited for in line, and not kept."""
    server = current_server()
    who = server.visitor()
    try:
        found = _answering(server, question, info, who)(*arguments, **options)
        who.comes_back()
        return found
    finally:
        who.ends()


def known(
    question: Question[P, R], info: ModelInfo, *arguments: P.args, **options: P.kwargs
) -> R | None:
    """The answer if it is remembered or stored; waits for nobody, and computes nothing."""
    found: R | None = known_by(key_of(question.name, info, _asked(*arguments, **options)), info)
    return found


def known_by(key: Hashable, info: ModelInfo) -> Any:
    """What is remembered or stored under a key of `key_of`; None where nothing is."""
    server = current_server()
    found = server.results.look(key)
    if found is None and (stored := _stored(server, info, key_text(key))) is not None:
        found = server.results.get(key, lambda: stored)
    return found


def remember_answer(
    question: Question[P, R], value: R, info: ModelInfo, *arguments: P.args, **options: P.kwargs
) -> None:
    """Keep what has been found on the way as the answer to a question of its own."""
    current_server().results.put(key_of(question.name, info, _asked(*arguments, **options)), value)


def remember(key: Hashable, value: Any) -> None:
    """Keep what has been worked out in the background, as if it had been asked for."""
    server = current_server()
    server.results.get(key, lambda: value)
    _keep(server, key_text(key), value)


def remembered() -> Iterator[tuple[str, Any]]:
    """Every result in memory that can be kept, with the question it answers."""
    for key, value in current_server().results.items():
        if (question := key_text(key)) is not None:
            yield question, value


def _answering(
    server: Server, question: Question[P, R], info: ModelInfo, who: Visitor
) -> Callable[P, R]:
    """What answers a question: a loaded model, or a worker, and then no weights are needed here."""
    engine = server.engine
    if engine is None or (server.holds_models and not question.by_worker):
        return partial(question, server.models.get(info, who))

    def answer(*arguments: P.args, **options: P.kwargs) -> R:
        watching: dict[str, Any] = {name: options[name] for name in WATCHING if name in options}
        own = {name: value for name, value in options.items() if name not in WATCHING}
        asked = Asked(question.name, info, arguments, own, tuple(watching))
        who.steps_aside()  # a worker may be at something else, or load a model first
        shows = options.get("progress") is not None
        doing = "" if shows else _doing(info, _asked(*arguments, **own))
        pause = awaiting(who, info.title, info.weight_bytes, doing)
        found: R = engine.ask(asked, pause, _watch(**watching) if watching else None)
        return found

    return answer


def _watch(progress: Progress, told: Callable[[Any], None] | None = None) -> Watch:
    """What is done with what a worker tells meanwhile."""

    def watch(done: int, total: int, found: Any) -> None:
        if told is not None and found is not None:
            told(found)
        progress(done, total)

    return watch


def _giving_way(turn: Turn, progress: Any) -> Progress:
    """What long work calls between its pieces: others who have used less go first."""

    def told(done: int, total: int) -> None:
        turn.give_way()
        if progress is not None:
            progress(done, total)

    return told


def _asked(*arguments: Any, **options: Any) -> tuple[Any, ...]:
    """All of a request that can change its answer."""
    known = {name: value for name, value in options.items() if name not in WATCHING}
    return (*arguments, *sorted(known.items()))


def _doing(info: ModelInfo, asked: tuple[Any, ...]) -> str:
    """One line for who waits."""
    for part in asked:
        if _stands_for_itself(part):
            continue
        if isinstance(part, PromptSet):
            return f"Running {info.title} on {len(part.rows)} prompts…"
        if isinstance(part, analysis.Tokens):
            rows = f"{part.batch} × " if part.batch > 1 else ""
            return f"Running {info.title} on {rows}{part.length} tokens…"
        if isinstance(part, analysis.PromptPair):
            return f"Running {info.title} on both prompts…"
    return f"Reading the weights of {info.title}…"


def _stored(server: Server, info: ModelInfo, question: str | None) -> Any:
    """What came with the model or is kept in a store; None for nothing."""
    if question is None:
        return None
    file = shipped_file(info.folder, question)
    # A file and no pipe or device: a folder of models may hold what never ends.
    with suppress(OSError), opened(file, MAX_UNPACKED) as stream:
        return from_bytes(question, stream.read(MAX_UNPACKED))
    found = (store.get(question) for store in server.stores)
    values = (from_bytes(question, data) for data in found if data is not None)
    return next((value for value in values if value is not None), None)


def _stored_or(server: Server, info: ModelInfo, key: Hashable, compute: Callable[[], R]) -> R:
    """What is stored; else what is computed, which is stored from then on."""
    question = key_text(key)
    stored: R | None = _stored(server, info, question)
    if stored is not None:
        return stored
    value = compute()
    _keep(server, question, value)
    return value


def _keep(server: Server, question: str | None, value: Any) -> None:
    if server.stores and question and (data := to_bytes(question, value)) is not None:
        for store in server.stores:
            store.keep(question, data)


def bytes_of(question: Question[..., Any], info: ModelInfo, asked: tuple[Any, ...]) -> int:
    """Memory that the answer takes beside the weights, rather too much than too little.

    Args:
        question: What is asked.
        info: Of which model.
        asked: What it is asked about: arguments, and options by name.
    """
    runs = [question.runs(info)] if question.runs else []
    for part in asked:
        if _stands_for_itself(part):
            continue
        if isinstance(part, PromptSet):
            runs.append(_run_of(part))
        elif isinstance(part, analysis.Tokens):
            runs.append((part.batch, part.length))
        elif isinstance(part, analysis.PromptPair):
            runs += [(part.clean.batch, part.clean.length)] * 2
    tokens = sum(batch * length for batch, length in runs)
    beside = question.beside(info, tokens) if question.beside else 0
    return bytes_needed(info, *runs, logits=question.logits) + beside


def _run_of(prompts: PromptSet) -> tuple[int, int]:
    """Rows and tokens of the largest part of a set that is run at once, rather too many."""
    longest = max(len(prompt) for prompt in prompts.prompts) // 2 + 2  # more than 2 characters each
    return max(1, min(len(prompts.rows), PART_TOKENS // longest)), longest


def bytes_needed(info: ModelInfo, *runs: tuple[int, int], logits: Logits = "all") -> int:
    """Memory that running a model takes beside the weights.

    Args:
        info: The model.
        runs: Sequences and positions that it is run on.
        logits: Which of their logits are there at once.
    """
    whole = logits in ("all", "slopes")
    # From the weights alone: a few matrices of the size of the embedding.
    need = _ALWAYS + (3 * 4 * info.d_vocab * info.d_model if whole else 0)
    for batch, length in runs:
        at_once = batch if whole else min(batch, rows_at_once(length, info.d_vocab))
        own = 4 * at_once * length * info.d_vocab
        # Logits and their like, and what is made of them piece by piece.
        need += _COPIES[logits] * own
        need += 7 * min(own, 4 * LOGITS_AT_ONCE) if logits != "none" else 0
        # A layer's activations a few times, and of all layers what is kept: streams, z and so on,
        # or each step where slopes are taken.
        widest = 8 * max(info.d_mlp, 4 * info.d_model)
        kept = 4 * info.d_model if whole else 0
        kept += 6 * info.d_mlp + 36 * info.d_model if logits == "slopes" else 0
        need += 4 * length * (at_once * widest + batch * info.n_layers * kept)
        # Patterns as they are kept, copied out and summed up.
        patterns = 4 * info.n_layers * info.n_heads * batch * length**2
        need += 4 * (patterns if logits == "slopes" else min(patterns, MAX_BYTES))
    return need


# What Python and PyTorch take for themselves by the way.
_ALWAYS = 16 * 2**20
_COPIES: dict[Logits, int] = {"none": 0, "some": 2, "all": 2, "slopes": 5}


def key_of(name: str, info: ModelInfo, asked: tuple[Any, ...]) -> Hashable:
    """What stands for a request in a cache: all that can change its answer."""
    details = tuple(_identity(part) for part in asked)
    return (name, DEFINITION_VERSION, fingerprint(info), details)


def _identity(part: Any) -> Any:
    """What stands for an argument in a key: tokens by their ids, everything else by itself."""
    if _stands_for_itself(part):
        return part
    if isinstance(part, PromptSet):
        return ("set", part.hash)
    if isinstance(part, analysis.Tokens):
        known = (part.ids.shape, part.ids.tobytes(), part.half_length, part.pairs_from)
        beside = part.speakers or part.segments
        return (*known, beside) if beside else known
    # Asked last: the class comes with torch.
    if isinstance(part, analysis.PromptPair):
        return (_identity(part.clean), _identity(part.corrupt), part.answer, part.foil)
    return part


def _stands_for_itself(part: Any) -> bool:
    return part is None or isinstance(part, str | int | float | tuple | Head)
