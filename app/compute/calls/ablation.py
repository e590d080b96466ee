"""Questions about what breaks without heads."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, cast

import analysis
from analysis.head import Head
from app.compute.ask import Progress, ask, bytes_needed, key_of
from app.compute.calls.inputs import of_sequence, of_tokens, tokens_of
from app.compute.imports import import_all
from app.compute.question import Question
from app.compute.refusals import memory_errors_said
from app.compute.server import current_server
from app.compute.sweeps import SharedSweep, SweepWork
from app.compute.visitor import Nobody
from app.compute.workers.pieces import Job, unnamed
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.effects.ablation import HeadAblation, PairAblation, SetAblation
    from analysis.effects.answer import AnswerAblation
    from analysis.effects.estimate import AblationEstimate
    from analysis.effects.knockout import OffsetAblation, TargetedAblation
    from analysis.effects.replacements import Method
    from analysis.runs.inputs import Tokens

PAIRED_TOKENS = Question("paired_tokens", lambda: analysis.paired_tokens, logits="none")
ABLATE_HEADS = Question("ablate_heads", lambda: analysis.ablate_heads)
PAIR_ABLATION = Question("pair_ablation", lambda: analysis.pair_ablation)
OFFSET_ABLATION = Question("offset_ablation", lambda: analysis.offset_ablation)
ABLATE_EACH = Question("ablate_each", lambda: analysis.ablate_each)
ABLATE_HEAD = Question("ablate_head", lambda: analysis.ablate_head)
TARGETED_ABLATION = Question("targeted_ablation", lambda: analysis.targeted_ablation, logits="none")
ANSWER_ABLATION = Question("answer_ablation", lambda: analysis.answer_ablation)
ABLATION_ESTIMATE = Question(
    "ablation_estimate", lambda: analysis.ablation_estimate, logits="slopes"
)


def ablation_sweep(selection: Selection, method: str) -> SharedSweep:
    """The sweep over all heads on the view's tokens, which goes on while somebody watches it."""
    return _sweep(selection, tokens_of(selection), method)


def paired_sweep(selection: Selection) -> SharedSweep:
    """Mean ablation of every head on pairs of the view's repeated tokens."""
    length, batch, seed = selection["length"], selection["batch"], selection["seed"]
    return _sweep(selection, ask(PAIRED_TOKENS, selection.info, length, batch, seed), "mean")


def ablation_estimate(selection: Selection, method: str) -> AblationEstimate:
    """First-order estimate of that sweep."""
    return _estimate(selection, tokens_of(selection), method)


def replacement_note(selection: Selection, method: str) -> str:
    """What a single sequence is set against, in a sentence; empty where it needs nothing else."""
    tokens = tokens_of(selection)
    if method == "zero" or tokens.batch > 1:
        return ""  # and torch need not be imported to say so
    import_all()
    return analysis.replacement_note(known_method(method), tokens)


def joint_ablation(selection: Selection, heads: tuple[Head, ...], method: str) -> SetAblation:
    """Effect of ablating some heads together on the view's tokens."""
    return of_tokens(
        ABLATE_HEADS, selection, heads, known_method(method), seed=known_swap(selection, method)
    )


def pair_ablation(
    selection: Selection, heads: tuple[Head, ...], method: str, progress: Progress
) -> PairAblation:
    """Effects of heads alone and two at a time; `progress` may raise to cancel."""
    seed = known_swap(selection, method)
    return of_tokens(
        PAIR_ABLATION, selection, heads, known_method(method), progress=progress, seed=seed
    )


def offset_ablation(
    selection: Selection, layer: int, kept: tuple[tuple[int, ...], ...], progress: Progress
) -> OffsetAblation:
    """Loss when each head of a layer may read some distances only."""
    return of_tokens(OFFSET_ABLATION, selection, layer, kept, progress=progress)


def head_ablation(selection: Selection, head: Head, method: str) -> HeadAblation:
    """One head's entry of the ablation sweep, with its effect on every prediction."""
    return of_tokens(
        ABLATE_HEAD, selection, head, known_method(method), seed=known_swap(selection, method)
    )


def answer_ablation(
    selection: Selection,
    sequence: int,
    heads: tuple[Head, ...],
    dest: int,
    answer: int,
    foil: int | None,
) -> AnswerAblation:
    """What an answer's logit loses without each head, on one of the view's sequences."""
    return of_sequence(ANSWER_ABLATION, selection, sequence, heads, dest, answer, foil)


def targeted_ablation(selection: Selection, target: Head, progress: Progress) -> TargetedAblation:
    """The target's induction score without each earlier head; `progress` may raise to cancel."""
    return of_tokens(TARGETED_ABLATION, selection, target, progress=progress)


def _sweep(selection: Selection, tokens: Tokens, method: str) -> SharedSweep:
    seed, info, server = known_swap(selection, method), selection.info, current_server()

    # Both are called in a thread of its own, which has to be told whose it is.
    def order() -> tuple[Head, ...]:
        with server.used():
            return _estimate(selection, tokens, method).order

    def ablate_each(
        heads: Sequence[Head], pause: Callable[[], None]
    ) -> Generator[HeadAblation, None, None]:
        # Its memory counts for as long as it runs, and none of the places for computations: these
        # are for visitors who wait. `Sweeps` bounds how many run, and lets others at the model
        # after every piece of it.
        with server.admission.admitted(bytes_needed(info, tokens.ids.shape), Nobody()):
            if server.engine is not None:
                job = Job("sweep", info, (unnamed(tokens), known_method(method), seed))
                pieces = analysis.sweep_pieces(info, tokens, heads)
                with closing(server.engine.map(job, pieces, pause)) as found:
                    for some in found:
                        yield from some
                return
            model = server.models.get(info, Nobody())
            # Only what the average needs; a head's effect on every prediction is asked for by
            # itself.
            # What comes bit by bit is not yet there when it is asked for.
            with memory_errors_said():
                yield from ABLATE_EACH(
                    model,
                    tokens,
                    heads,
                    known_method(method),
                    scored_only=True,
                    seed=seed,
                    pause=pause,
                )

    def share(head: Head) -> float:
        return info.share_from(head.layer)

    key = key_of(ABLATE_EACH.name, info, (tokens, method, seed))
    return SharedSweep(server.sweeps, key, SweepWork(order, ablate_each, share))


def _estimate(selection: Selection, tokens: Tokens, method: str) -> AblationEstimate:
    seed = known_swap(selection, method)
    return ask(ABLATION_ESTIMATE, selection.info, tokens, known_method(method), seed=seed)


def known_swap(selection: Selection, method: str) -> int:
    """The seed of an exchange; no part of what is remembered where it changes nothing."""
    return selection["swap"] if method == "resample" else 0


def known_method(method: str) -> Method:
    """The method that a view names."""
    # The link's parser takes no other, and `analysis` refuses one.
    return cast("Method", method)
