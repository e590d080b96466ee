"""What breaks, and what survives, when heads or the distances they read are taken away."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.arrays import freeze
from analysis.effects.replacements import mean_over, reference_windows
from analysis.errors import AnalysisError
from analysis.head import Head, all_heads, require_heads
from analysis.heads.scores import targets
from analysis.limits import rows_at_once
from analysis.models.capabilities import require_pattern_edits, require_seen_values
from analysis.models.loading import HeadModel
from analysis.runs.forward import Hook, next_token_log_probs, run, run_without_logits, silence
from analysis.runs.inputs import Tokens

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class TargetedAblation:
    """The target head's induction score with each source head zeroed, one at a time."""

    target: Head
    sources: tuple[Head, ...]
    clean: float
    ablated: Float[np.ndarray, " source"]

    def __post_init__(self) -> None:
        if len(self.sources) != len(self.ablated):
            raise ValueError(f"{len(self.ablated)} values for {len(self.sources)} sources")
        freeze(self, "ablated")

    @property
    def values(self) -> Float[np.ndarray, " source"]:
        """Change of the score; negative where the target needs the source."""
        return self.ablated - np.float32(self.clean)


@dataclass(frozen=True, eq=False)
class OffsetAblation:
    """Loss increase, nats, when a head of `layer` may read only some distances: [kept, head]."""

    layer: int
    kept: tuple[tuple[int, ...], ...]
    values: Float[np.ndarray, "kept head"]
    clean_loss: float

    def __post_init__(self) -> None:
        if len(self.kept) != len(self.values):
            raise ValueError(f"{len(self.values)} rows for {len(self.kept)} sets of offsets")
        freeze(self, "values")


def targeted_ablation(
    model: HeadModel,
    tokens: Tokens,
    target: Head,
    sources: Sequence[Head] | None = None,
    progress: Progress | None = None,
) -> TargetedAblation:
    """Which earlier head the target's induction stripe rests on.

    change[source] = induction score of the target with the source's z zeroed - its score as it
    is. The score is the one of `analysis.head_scores`, 0..1: mean attention from repeated tokens
    to the token after their earlier copy, over destinations and sequences. Zeroing z does the
    same as zeroing the head's values. Source: ARENA 1.2, section 4.14.

    Args:
        model: The model. Its lock is taken for one forward pass at a time.
        tokens: Its tokens; some have to occur twice.
        target: The head whose stripe is watched.
        sources: Earlier heads to zero, one at a time; by default all of them.
        progress: Called as `progress(sources done, sources in all)`. It may raise to cancel.

    Raises:
        AnalysisError: A head that does not exist, a source that is not in an earlier layer, or
            tokens of which none occurs twice.
    """
    require_heads(model.info, target)
    if target.layer == 0:
        raise AnalysisError(
            f"{target.label} is in the first layer, so nothing comes before it. Choose a later "
            "head."
        )
    if sources is None:
        earlier = tuple(head for head in all_heads(model.info) if head.layer < target.layer)
    else:
        earlier = require_heads(model.info, sources)
    for source in earlier:
        if source.layer >= target.layer:
            raise AnalysisError(
                f"{source.label} cannot reach {target.label}: choose sources in earlier layers."
            )
    mask = torch.from_numpy(targets("induction", tokens).copy())
    if not mask.any():
        raise AnalysisError(
            "No token occurs twice here, so there is no induction stripe. Use repeated tokens or "
            "a text that repeats itself."
        )

    name = f"blocks.{target.layer}.attn.hook_pattern"
    read = f"blocks.{target.layer}.hook_resid_post"  # nothing behind it changes the pattern

    def stripe(hooks: Sequence[tuple[str, Hook]]) -> float:
        kept = run_without_logits(model, tokens.tensor, [name], hooks, until=read)
        attention = (kept[name][:, target.head].cpu() * mask).sum(-1)
        repeated = mask.any(-1)
        counted = repeated.any(-1)
        by_sequence = attention.sum(-1)[counted] / repeated.sum(-1)[counted]
        return float(by_sequence.mean())

    ablated = np.empty(len(earlier), np.float32)
    for done, source in enumerate(earlier):
        if progress:
            progress(done, len(earlier))
        ablated[done] = stripe(silence([source]))
    if progress:
        progress(len(earlier), len(earlier))
    return TargetedAblation(target, earlier, clean=stripe([]), ablated=ablated)


def keep_only(model: HeadModel, tokens: Tokens, heads: Iterable[Head]) -> float:
    """The loss when every head but `heads` is zeroed, nats per token.

    All other heads' z are 0 in one forward pass; embeddings, biases and MLPs stay. The loss is
    averaged over `tokens.scored`. With every head kept it is the model's own loss, and with a
    circuit's heads kept it shows how much of the task they carry by themselves. No head at all is
    a valid choice. Source: ARENA, 2023 edition, complement ablation.

    Raises:
        AnalysisError: A head that does not exist.
    """
    kept = tuple(heads)
    if kept:
        require_heads(model.info, kept)
    dropped = [head for head in all_heads(model.info) if head not in kept]
    total = 0.0
    for ids in tokens.tensor.split(rows_at_once(tokens.length, model.d_vocab)):
        logits, _ = run(model, ids, hooks=silence(dropped))
        total -= float(next_token_log_probs(logits, ids)[:, tokens.scored].mean(-1).sum())
    return total / tokens.batch


def offset_ablation(
    model: HeadModel,
    tokens: Tokens,
    layer: int,
    kept: Sequence[Sequence[int]] = ((0,), (1,), (2,), (3,), (1, 2), (1, 2, 3)),
    progress: Progress | None = None,
) -> OffsetAblation:
    """Which distances a head needs: the loss when it may read only some of them.

    One head's z is rebuilt as z[dest] = sum over src of pattern[dest, src] * v~[src], where v~ is
    the head's value vector if dest - src is kept, else its mean over sequences at src, which says
    nothing about the prompt (of a single sequence, over windows of the reference text in
    `analysis.effects.replacements`). effect = loss with that z - loss as it is, over
    `tokens.scored`; near 0 means that the kept distances are all the head needs. Source: ARENA
    1.2, section 3.10.

    Args:
        model: The model. Its lock is taken for one forward pass at a time.
        tokens: Its tokens.
        layer: The layer whose heads are restricted, one at a time.
        kept: Sets of distances dest - src; 0 is the token itself, 1 the one before. An empty set
            leaves the head nothing but the mean.
        progress: Called as `progress(runs done, runs in all)`. It may raise to cancel.

    Raises:
        AnalysisError: A layer that does not exist, a distance below 0 or beyond the first token,
            or a model whose patterns cannot be seen as it goes on with them, or whose z is more
            than values averaged by these.
    """
    require_pattern_edits(model.info)
    require_seen_values(model.info)
    if not 0 <= layer < model.n_layers:
        raise AnalysisError(
            f"Layer {layer} was asked for; {model.name} has layers 0 to {model.n_layers - 1}."
        )
    wanted = tuple(tuple(offsets) for offsets in kept)
    for offset in (offset for offsets in wanted for offset in offsets):
        if not 0 <= offset < tokens.length:
            raise AnalysisError(
                f"Distance {offset} was asked for; these tokens allow 0 to {tokens.length - 1}."
            )
    point = f"blocks.{layer}.attn.hook_v"
    others = tokens.tensor if tokens.batch > 1 else reference_windows(model, tokens)
    means = mean_over(model, others, [point])[point]
    clean = _loss(model, tokens, [])
    values = np.empty((len(wanted), model.n_heads), np.float32)
    for row, offsets in enumerate(wanted):
        for head in range(model.n_heads):
            if progress:
                progress(row * model.n_heads + head, values.size)
            hooks = _restricted(model, layer, head, offsets, means)
            values[row, head] = _loss(model, tokens, hooks) - clean
    if progress:
        progress(values.size, values.size)
    return OffsetAblation(layer, wanted, values, clean_loss=clean)


def _loss(model: HeadModel, tokens: Tokens, hooks: Sequence[tuple[str, Hook]]) -> float:
    logits, _ = run(model, tokens.tensor, hooks=hooks)
    return -float(next_token_log_probs(logits, tokens.tensor)[:, tokens.scored].mean())


def _restricted(
    model: HeadModel,
    layer: int,
    head: int,
    offsets: Sequence[int],
    means: Float[Tensor, "pos kv_head d_head"],
) -> list[tuple[str, Hook]]:
    """Hooks that note the head's values and pattern on the way, then rebuild its z from them.

    `means` are the values in place of those at other distances.
    """
    seen: dict[str, Tensor] = {}

    def note_values(v: Float[Tensor, "batch pos kv_head d_head"], hook: object) -> None:
        # Of the head's group, where several heads share their values.
        shared = head * v.shape[2] // model.n_heads
        seen["v"], seen["mean"] = v[:, :, shared], means[:, shared]

    def note_pattern(pattern: Float[Tensor, "batch head dest src"], hook: object) -> None:
        seen["pattern"] = pattern[:, head]

    def rebuild(z: Float[Tensor, "batch pos head d_head"], hook: object) -> Tensor:
        pattern, v = seen["pattern"], seen["v"]
        position = torch.arange(z.shape[1], device=z.device)
        distance = position[:, None] - position
        real = torch.isin(distance, torch.tensor(list(offsets), device=z.device))
        edited = z.clone()
        edited[:, :, head] = (pattern * real) @ v + (pattern * ~real) @ seen["mean"]
        return edited

    return [
        (f"blocks.{layer}.attn.hook_v", note_values),
        (f"blocks.{layer}.attn.hook_pattern", note_pattern),
        (f"blocks.{layer}.attn.hook_z", rebuild),
    ]
