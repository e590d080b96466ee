"""Questions about what breaks without heads."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from analysis.head import Head
from app.compute.admission import Nobody
from app.compute.ask import Progress, _admission, ask, bytes_needed, key_of
from app.compute.calls.inputs import of_tokens, tokens_of
from app.compute.engine import engine, model_of
from app.compute.sweeps import SharedSweep, Sweeps
from app.links.selection import Selection

if TYPE_CHECKING:
    from analysis.effects.ablation import AblationEstimate, HeadAblation, PairAblation, SetAblation
    from analysis.effects.knockout import OffsetAblation, TargetedAblation
    from analysis.runs.inputs import Tokens


# A model runs one thing at a time; a second sweep can be of another model.
MAX_SWEEPS_AT_ONCE = 2
MAX_SWEEPS = 32
_sweeps = Sweeps(MAX_SWEEPS_AT_ONCE, MAX_SWEEPS)


def ablation_sweep(selection: Selection, method: str) -> SharedSweep:
    """The sweep over all heads on the view's tokens, which goes on while somebody watches it."""
    return _sweep(selection, tokens_of(selection), method)


def paired_sweep(selection: Selection) -> SharedSweep:
    """Mean ablation of every head on pairs of the view's repeated tokens."""
    length, batch, seed = selection["length"], selection["batch"], selection["seed"]
    return _sweep(selection, ask(selection, "paired_tokens", length, batch, seed), "mean")


def ablation_estimate(selection: Selection, method: str) -> AblationEstimate:
    """First-order estimate of that sweep."""
    return _estimate(selection, tokens_of(selection), method)


def joint_ablation(selection: Selection, heads: tuple[Head, ...], method: str) -> SetAblation:
    """Effect of ablating some heads together on the view's tokens."""
    return of_tokens(selection, "ablate_heads", heads, method, seed=_swap(selection, method))


def pair_ablation(
    selection: Selection, heads: tuple[Head, ...], method: str, progress: Progress
) -> PairAblation:
    """Effects of heads alone and two at a time; `progress` may raise to cancel."""
    seed = _swap(selection, method)
    return of_tokens(selection, "pair_ablation", heads, method, progress=progress, seed=seed)


def offset_ablation(
    selection: Selection, layer: int, kept: tuple[tuple[int, ...], ...], progress: Progress
) -> OffsetAblation:
    """Loss when each head of a layer may read some distances only."""
    return of_tokens(selection, "offset_ablation", layer, kept, progress=progress)


def head_ablation(selection: Selection, head: Head, method: str) -> HeadAblation:
    """One head's entry of the ablation sweep, with its effect on every prediction."""
    return of_tokens(selection, "ablate_head", head, method, seed=_swap(selection, method))


def targeted_ablation(selection: Selection, target: Head, progress: Progress) -> TargetedAblation:
    """The target's induction score without each earlier head; `progress` may raise to cancel."""
    return of_tokens(selection, "targeted_ablation", target, progress=progress)


def _sweep(selection: Selection, tokens: Tokens, method: str) -> SharedSweep:
    seed, info = _swap(selection, method), selection.info
    # Only what the average needs; a head's effect on every prediction is asked for by itself.
    options = {"method": method, "seed": seed, "scored_only": True}

    def ablate_each(heads: Sequence[Head]) -> Generator[HeadAblation, None, None]:
        # Its memory counts for as long as it runs, and none of the places for computations: these
        # are for visitors who wait. `Sweeps` bounds how many run, and lets others at the model
        # after every head.
        with _admission.admitted(bytes_needed(info, (tokens,)), Nobody(), slots=0):
            yield from engine().ablate_each(model_of(selection), tokens, heads, **options)

    return SharedSweep(
        _sweeps,
        key_of("ablate_each", info, (tokens, method, seed)),
        heads=lambda: _estimate(selection, tokens, method).order,
        ablate_each=ablate_each,
    )


def _estimate(selection: Selection, tokens: Tokens, method: str) -> AblationEstimate:
    seed = _swap(selection, method)
    return ask(selection, "ablation_estimate", tokens, method, seed=seed)


def _swap(selection: Selection, method: str) -> int:
    # No part of what is remembered where it changes nothing.
    return selection["swap"] if method == "resample" else 0
