"""Ablation: the loss when the output of heads is replaced."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.effects.estimate import AblationEstimate, ablation_estimate
from analysis.effects.replacements import Method, check_method, replaced_z
from analysis.head import Head, all_heads, require_heads
from analysis.models.info import ModelInfo
from analysis.models.loading import HeadModel
from analysis.runs.forward import next_token_log_probs
from analysis.runs.inputs import Tokens
from analysis.runs.pieces import pieces, rows_at_once
from analysis.runs.suffix import Case, Edit, record, rerun, z_points

Progress = Callable[[int, int], None]
# Called between two pieces of work, without the lock; may raise to cancel.
Pause = Callable[[], None]


@dataclass(frozen=True, eq=False)
class Ablation:
    """Effect of ablating each head on the loss, nats; positive means the head helped.

    `values` averages over sequences and the entries `tokens.scored`; `per_token` over sequences
    only (entry i scores token i+1), and is NaN at entries that were not computed. `clean_loss` is
    the loss of the whole model over the same entries as `values`.
    """

    values: Float[np.ndarray, "layer head"]
    per_token: Float[np.ndarray, "layer head entry"]
    clean_loss: float
    method: Method

    def __post_init__(self) -> None:
        if not np.isfinite(self.values).all():
            raise ValueError("an ablation effect is not finite")
        freeze(self, "values", "per_token")


@dataclass(frozen=True, eq=False)
class HeadAblation:
    """Effect of ablating one head: its entry of the sweep, at the price of two forward passes."""

    head: Head
    value: float
    per_token: Float[np.ndarray, " entry"]
    clean_loss: float
    method: Method

    def __post_init__(self) -> None:
        if not np.isfinite(self.value):
            raise ValueError("an ablation effect is not finite")
        freeze(self, "per_token")


@dataclass(frozen=True, eq=False)
class TopHeads:
    """The heads with the largest loss increase and their exact values, largest first, nats."""

    heads: tuple[Head, ...]
    values: Float[np.ndarray, " head"]
    clean_loss: float
    method: Method

    def __post_init__(self) -> None:
        if len(self.heads) != len(self.values):
            raise ValueError(f"{len(self.values)} values for {len(self.heads)} heads")
        freeze(self, "values")


@dataclass(frozen=True, eq=False)
class SetAblation:
    """Effect of ablating some heads together, nats; `per_token` as in `Ablation`."""

    heads: tuple[Head, ...]
    value: float
    per_token: Float[np.ndarray, " entry"]
    clean_loss: float
    method: Method

    def __post_init__(self) -> None:
        freeze(self, "per_token")


@dataclass(frozen=True, eq=False)
class PairAblation:
    """Effects of heads alone and two at a time, nats; the diagonal of `together` is `alone`."""

    heads: tuple[Head, ...]
    alone: Float[np.ndarray, " head"]
    together: Float[np.ndarray, "head head"]
    clean_loss: float
    method: Method

    def __post_init__(self) -> None:
        freeze(self, "alone", "together")

    @property
    def excess(self) -> Float[np.ndarray, "head head"]:
        """Joint effect minus the sum of both; NaN on the diagonal.

        Positive: each covers for the other. Negative: they are parts of one mechanism, which the
        loss of either already breaks.
        """
        excess = self.together - self.alone[:, None] - self.alone
        np.fill_diagonal(excess, np.nan)
        return excess


def ablation_sweep(
    model: HeadModel,
    tokens: Tokens,
    method: Method = "zero",
    progress: Progress | None = None,
    *,
    on_value: Callable[[Head, float], None] | None = None,
    estimate: AblationEstimate | None = None,
    scored_only: bool = False,
    seed: int = 0,
) -> Ablation:
    """Ablate every head by itself and measure how much the loss rises.

    effect[layer, head] = loss with that head's z replaced - loss as it is. The loss is averaged
    over `tokens.scored`: the predictable part of the second half for repeated tokens, every
    prediction for a prompt. Exact: only the layers that a head reaches are run again, for several
    heads at once. Source: ARENA 1.2, sections 3.7 and 3.8.

    Args:
        model: The model. Its lock is taken for a few heads at a time, so others do not wait for
            the whole sweep.
        tokens: Its tokens.
        method: "zero" replaces z by 0; "mean" by its mean over the sequences, position by
            position, which keeps what a head writes whatever the input; "resample" by its z in
            another sequence of the batch. A single sequence, such as a prompt, is set against the
            text in `analysis.effects.replacements`: the mean over windows of it that are as long,
            or one of them.
        progress: Called without the lock as `progress(heads done, heads in all)`. It may raise
            to cancel the sweep; nothing is left behind.
        on_value: Called without the lock as `on_value(head, effect)` when a head is done, before
            `progress` counts it. It may raise to cancel.
        estimate: Sets the order, most important heads first; without it, by layer.
        scored_only: Leave the entries outside `tokens.scored` out of `per_token`, which saves
            their unembedding.
        seed: Which sequence takes the place of which, for "resample".

    Raises:
        AnalysisError: An unknown method.
    """
    check_method(method)
    shape = (model.n_layers, model.n_heads)
    values = np.empty(shape, np.float32)
    per_token = np.empty((*shape, tokens.length - 1), np.float32)
    order = estimate.order if estimate else all_heads(model.info)
    if progress:
        progress(0, values.size)
    clean_loss = np.nan
    effects = ablate_each(model, tokens, order, method, scored_only=scored_only, seed=seed)
    for done, one in enumerate(effects, 1):
        at = (one.head.layer, one.head.head)
        values[at], per_token[at], clean_loss = one.value, one.per_token, one.clean_loss
        if on_value:
            on_value(one.head, one.value)
        if progress:
            progress(done, values.size)
    return Ablation(values, per_token, clean_loss=clean_loss, method=method)


def ablate_each(
    model: HeadModel,
    tokens: Tokens,
    heads: Sequence[Head],
    method: Method = "zero",
    *,
    scored_only: bool = False,
    seed: int = 0,
    pause: Pause | None = None,
) -> Generator[HeadAblation, None, None]:
    """Part of a sweep: ablate these heads one by one, in this order, as the caller asks for them.

    The model's lock is free whenever the caller has the turn, and a caller who asks for no more
    has stopped the work. A head of a large model takes many pieces: `pause` is called after each,
    without the lock, and may raise to cancel. Other arguments as in `ablation_sweep`. Source:
    ARENA 1.2, sections 3.7 and 3.8.

    Raises:
        AnalysisError: As `ablation_sweep`, or heads that do not exist, repeat, or are none.
    """
    chosen = require_heads(model.info, heads)
    engine = _Ablator(model, tokens, method, seed, scored_only, pause)
    return engine.each(chosen, method)


def sweep_pieces(
    info: ModelInfo, tokens: Tokens, heads: Sequence[Head]
) -> tuple[tuple[Head, ...], ...]:
    """The heads of a sweep in its order, in the pieces in which they are run."""
    together = min(tokens.batch, rows_at_once(info, tokens.length)) * tokens.length
    layers = [head.layer for head in heads]
    return tuple(tuple(heads[some]) for some in pieces(info, together, layers))


class HeadSweep:
    """A sweep that is done piece by piece: the run as it is, once, and the effects of some heads.

    Pieces of `sweep_pieces` come out as `ablate_each` has them, wherever they are done. Arguments
    as there.
    """

    def __init__(
        self, model: HeadModel, tokens: Tokens, method: Method = "zero", seed: int = 0
    ) -> None:
        self._model, self._method = model, method
        self._engine = _Ablator(model, tokens, method, seed, scored_only=True)

    def __call__(self, heads: Sequence[Head]) -> tuple[HeadAblation, ...]:
        """The effect of each of these heads.

        Raises:
            AnalysisError: Heads that do not exist, repeat, or are none.
        """
        return tuple(self._engine.each(require_heads(self._model.info, heads), self._method))


def top_heads(
    model: HeadModel,
    tokens: Tokens,
    method: Method = "zero",
    count: int = 20,
    *,
    candidates: int | None = None,
    estimate: AblationEstimate | None = None,
    seed: int = 0,
) -> TopHeads:
    """The heads that matter most, with exact values, without sweeping over all of them.

    Exact effects are computed for the `candidates` that the estimate puts first, and the `count`
    largest of them kept. A head that the estimate underrates by more than that is missed.
    Source: attribution patching as a first look, Nanda 2023.

    Args:
        model: The model.
        tokens: Its tokens.
        method: As in `ablation_sweep`.
        count: How many heads to name.
        candidates: How many to compute exactly; by default `count`, and as many more as still cost
            no more than `count` whole runs (a late head costs little), or than a tenth of a sweep
            by whole runs.
        estimate: The estimate, where there is one already.
        seed: As in `ablation_sweep`.

    Raises:
        AnalysisError: As `ablation_sweep`.
    """
    estimate = estimate or ablation_estimate(model, tokens, method, seed)
    runs = max(count, model.n_layers * model.n_heads // 10)
    tried = estimate.order[: candidates or _affordable(estimate.order, model.n_layers, runs)]
    found = ablate_each(model, tokens, tried, method, scored_only=True, seed=seed)
    best = sorted(found, key=lambda one: (-one.value, one.head))[:count]
    values = np.array([one.value for one in best], np.float32)
    heads = tuple(one.head for one in best)
    return TopHeads(heads, values, clean_loss=best[0].clean_loss, method=method)


def ablate_head(
    model: HeadModel, tokens: Tokens, head: Head, method: Method = "zero", seed: int = 0
) -> HeadAblation:
    """Ablate one head and measure how much the loss rises; see `ablation_sweep`.

    Raises:
        AnalysisError: As `ablation_sweep`, or a head that does not exist.
    """
    found = ablate_heads(model, tokens, [head], method, seed)
    return HeadAblation(head, found.value, found.per_token, found.clean_loss, method)


def ablate_heads(
    model: HeadModel,
    tokens: Tokens,
    heads: Sequence[Head],
    method: Method = "zero",
    seed: int = 0,
) -> SetAblation:
    """Ablate some heads together; their replacements come from the model as it is.

    Raises:
        AnalysisError: As `ablation_sweep`, or heads that do not exist, repeat, or are none.
    """
    chosen = require_heads(model.info, heads)
    engine = _Ablator(model, tokens, method, seed)
    ((_, value, per_token),) = engine.effects([chosen])
    return SetAblation(chosen, value, per_token, clean_loss=engine.clean_loss, method=method)


def pair_ablation(
    model: HeadModel,
    tokens: Tokens,
    heads: Sequence[Head],
    method: Method = "zero",
    progress: Progress | None = None,
    seed: int = 0,
) -> PairAblation:
    """Whether two heads matter more together than the sum of each alone.

    Args:
        model: The model.
        tokens: Its tokens.
        heads: The heads to pair, such as the strongest of a sweep; all pairs are ablated.
        method: As in `ablation_sweep`.
        progress: Called as `progress(runs done, runs in all)`. It may raise to cancel.
        seed: As in `ablation_sweep`.

    Raises:
        AnalysisError: As `ablate_heads`.
    """
    chosen = require_heads(model.info, heads)
    sets = [(head,) for head in chosen] + list(combinations(chosen, 2))
    place = {head: index for index, head in enumerate(chosen)}
    together = np.empty((len(chosen), len(chosen)), np.float32)
    engine = _Ablator(model, tokens, method, seed, scored_only=True)
    if progress:
        progress(0, len(sets))
    for done, (pair, value, _) in enumerate(engine.effects(sets), 1):
        first, last = place[pair[0]], place[pair[-1]]
        together[first, last] = together[last, first] = value
        if progress:
            progress(done, len(sets))
    alone = np.diagonal(together).copy()
    return PairAblation(chosen, alone, together, clean_loss=engine.clean_loss, method=method)


class _Ablator:
    """The model's run as it is, and the effects of sets of heads measured from it.

    Sequences do not see each other, so a batch that is too much for one piece is run in parts.
    """

    def __init__(
        self,
        model: HeadModel,
        tokens: Tokens,
        method: str,
        seed: int,
        scored_only: bool = False,
        pause: Pause | None = None,
    ) -> None:
        check_method(method)
        self._model, self._tokens, self._pause = model, tokens, pause or (lambda: None)
        entries = torch.arange(tokens.length - 1)
        self._entries = entries[tokens.scored] if scored_only else entries
        rows = rows_at_once(model.info, tokens.length)
        self._parts = []
        for ids in tokens.tensor.split(rows):
            self._parts.append(record(model, ids, z_points(model)))
            self._pause()
        whole = (
            torch.cat([part.z(layer) for part in self._parts]) for layer in range(model.n_layers)
        )
        replaced = replaced_z(model, tokens, whole, method, seed)
        # By part, and in it by layer.
        self._replaced = list(zip(*(layer.split(rows) for layer in replaced), strict=True))
        clean = [next_token_log_probs(part.logits, part.ids) for part in self._parts]
        self.clean_loss = -float(torch.cat(clean)[:, tokens.scored].mean())
        self._clean = [part[:, self._entries] for part in clean]

    def each(self, heads: Sequence[Head], method: Method) -> Generator[HeadAblation, None, None]:
        """Each head by itself."""
        for (head,), value, per_token in self.effects([(head,) for head in heads]):
            yield HeadAblation(head, value, per_token, self.clean_loss, method)

    def effects(
        self, sets: Sequence[tuple[Head, ...]]
    ) -> Iterator[tuple[tuple[Head, ...], float, Float[np.ndarray, " entry"]]]:
        """Each set with its effect on the loss, and that by entry; the lock is free in between."""
        layers = [min(head.layer for head in heads) for heads in sets]
        for some in pieces(self._model.info, self._parts[0].ids.numel(), layers):
            rises = []
            for part in range(len(self._parts)):
                rises.append(self._rises(part, sets[some]))
                self._pause()
            for heads, rise in zip(sets[some], torch.cat(rises, 1), strict=True):
                by_entry = torch.full((self._tokens.length - 1,), torch.nan)
                by_entry[self._entries] = rise.mean(0).cpu()
                value = float(by_entry[self._tokens.scored].mean())
                yield heads, value, to_numpy(by_entry)

    def _rises(
        self, part: int, sets: Sequence[tuple[Head, ...]]
    ) -> Float[Tensor, "case batch entry"]:
        """How much more surprised each set leaves one part of the sequences."""
        recording = self._parts[part]
        following = recording.ids[:, 1:]

        def read(
            logits: Float[Tensor, "case batch entry d_vocab"], at: Int[Tensor, " entry"]
        ) -> Float[Tensor, "case batch entry"]:
            right = following[:, at].to(logits.device).expand(logits.shape[:-1])
            return logits.log_softmax(-1).gather(-1, right[..., None])[..., 0]

        cases = [self._case(part, heads) for heads in sets]
        return self._clean[part] - rerun(self._model, recording, cases, self._entries, read)

    def _case(self, part: int, heads: Iterable[Head]) -> Case:
        return tuple(
            Edit(
                head.layer,
                "attn.hook_z",
                (slice(None), head.head),
                self._replaced[part][head.layer][:, :, head.head],
            )
            for head in heads
        )


def _affordable(order: Sequence[Head], n_layers: int, runs: int) -> int:
    """How many heads, from the first on, cost no more than so many whole runs; `runs` at least."""
    cost = np.cumsum([(n_layers - head.layer) / n_layers for head in order])
    return max(runs, int((cost <= runs).sum()))
