"""What an encoder's head for masked tokens is worth, and what it loses without a head."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.effects.replacements import Method, reference_ids
from analysis.errors import AnalysisError
from analysis.head import Head, all_heads, require_heads
from analysis.limits import MAX_MASKED
from analysis.models.capabilities import require_masked_head
from analysis.models.loading import HeadModel
from analysis.runs.forward import Hook, run, run_without_logits
from analysis.tokens import Tokens

Progress = Callable[[int, int], None]
# Best guesses that are kept for each token.
GUESSES = 10


@dataclass(frozen=True, eq=False)
class MaskedLoss:
    """What an encoder says of each token when that one alone is masked.

    `positions` are those that are asked about: all but the frame's tokens. `log_probs` are of the
    token that stands there, in nats, NaN at a [MASK] that was typed, whose token is not known.
    """

    positions: tuple[int, ...]
    log_probs: Float[np.ndarray, " entry"]
    top_ids: Int[np.ndarray, "entry guess"]
    top_probs: Float[np.ndarray, "entry guess"]

    def __post_init__(self) -> None:
        freeze(self, "log_probs", "top_ids", "top_probs")

    @property
    def loss(self) -> float:
        """Mean over the tokens that are known, nats per token; NaN where none is."""
        known = self.log_probs[~np.isnan(self.log_probs)]
        return -float(known.mean()) if len(known) else float("nan")


@dataclass(frozen=True, eq=False)
class MaskedAblation:
    """How much that loss rises without each head, nats per token."""

    values: Float[np.ndarray, "layer head"]
    clean_loss: float
    method: Method

    def __post_init__(self) -> None:
        freeze(self, "values")


def masked_loss(model: HeadModel, tokens: Tokens) -> MaskedLoss:
    """The loss of each token of a text when that token alone is masked.

    log_prob[p] = ln P(token p | the text with [MASK] at p), in nats; the loss is the mean of its
    negative over all tokens but the frame's. Source: Salazar et al. 2020, Masked Language Model
    Scoring.

    Args:
        model: An encoder with a head for masked tokens.
        tokens: Its text, one or a pair.

    Raises:
        AnalysisError: No such model, more tokens than `analysis.limits.MAX_MASKED`.
    """
    positions = _positions(model, tokens)
    log_probs = _log_probs(model, tokens, positions)
    true = torch.from_numpy(tokens.ids[0, list(positions)].copy())
    own = log_probs.gather(-1, true[:, None])[:, 0]
    own[true == model.tokenizer.mask_token_id] = torch.nan
    top = log_probs.topk(min(GUESSES, log_probs.shape[-1]), -1)
    return MaskedLoss(
        positions, to_numpy(own), top.indices.numpy().astype(np.int64), to_numpy(top.values.exp())
    )


def masked_ablation(
    model: HeadModel,
    tokens: Tokens,
    method: Method = "zero",
    heads: Sequence[Head] | None = None,
    progress: Progress | None = None,
) -> MaskedAblation:
    """How much the loss of masked tokens rises without each head.

    effect[layer, head] = loss of `masked_loss` with that head's z replaced at every position, less
    the loss as it is. NaN for heads that were not asked for.

    Args:
        model: An encoder with a head for masked tokens.
        tokens: Its text.
        method: "zero" replaces z by 0; "mean" by its mean, position by position, over stretches of
            the reference text in the frame of these tokens.
        heads: Those to ablate, one by one; all by default.
        progress: Called without the lock as `progress(heads done, heads)`. It may raise to cancel.

    Raises:
        AnalysisError: As `masked_loss`; no token that is known; another method; a head that the
            model lacks.
    """
    if method == "resample":
        raise AnalysisError(
            "What a head does in another text is not put into an encoder's. Choose zero or its "
            "mean."
        )
    positions = _positions(model, tokens)
    ids = tokens.ids[0]
    known = tuple(p for p in positions if ids[p] != model.tokenizer.mask_token_id)
    if not known:
        raise AnalysisError("Every token is [MASK], so none is known. Type a word.")
    true = torch.from_numpy(ids[list(known)].copy())

    def loss(hooks: Sequence[tuple[str, Hook]] = ()) -> float:
        found = _log_probs(model, tokens, known, hooks).gather(-1, true[:, None])
        return -float(found.mean())

    asked = all_heads(model.info) if heads is None else require_heads(model.info, heads)
    means = _mean_z(model, tokens) if method == "mean" else None
    clean = loss()
    values = np.full((model.n_layers, model.n_heads), np.nan, np.float32)
    for done, head in enumerate(asked):
        if progress:
            progress(done, len(asked))
        values[head.layer, head.head] = loss([_replaced(head, means)]) - clean
    return MaskedAblation(values, clean, method)


def _positions(model: HeadModel, tokens: Tokens) -> tuple[int, ...]:
    require_masked_head(model.info)
    if tokens.length > MAX_MASKED:
        raise AnalysisError(
            f"The text has {tokens.length} tokens, each of which is masked in a run of its own; "
            f"at most {MAX_MASKED} are. Shorten it."
        )
    positions = tuple(p for p in range(tokens.length) if p not in tokens.frames)
    if not positions:
        raise AnalysisError("Nothing but separators stands in this text. Type a word.")
    return positions


def _log_probs(
    model: HeadModel,
    tokens: Tokens,
    positions: Sequence[int],
    hooks: Sequence[tuple[str, Hook]] = (),
) -> Float[Tensor, "entry d_vocab"]:
    """At each of these positions, with that one masked, the log-probabilities of all tokens."""
    at = torch.tensor(positions)
    rows = tokens.tensor.repeat(len(positions), 1)
    rows[torch.arange(len(positions)), at] = model.tokenizer.mask_token_id

    # The logits of a row are wanted at one position: those of a large vocabulary are many.
    def only(stream: Tensor, hook: object) -> Tensor:
        own = at.to(stream.device)
        return stream[torch.arange(len(own), device=stream.device), own][:, None]

    segments = _segments(tokens, len(rows))
    logits, _ = run(model, rows, hooks=[*hooks, ("unembed.hook_in", only)], segments=segments)
    return logits[:, 0].log_softmax(-1).cpu()


def _segments(tokens: Tokens, rows: int) -> Int[Tensor, "row pos"]:
    segments = tokens.segment_tensor
    assert segments is not None  # an encoder's tokens have them
    return segments.expand(rows, -1)


def _replaced(
    head: Head, means: Sequence[Float[Tensor, "pos head d_head"]] | None
) -> tuple[str, Hook]:
    def edit(z: Float[Tensor, "row pos head d_head"], hook: object) -> Tensor:
        # On a clone: an edit in place would also reach whatever shares this memory.
        edited = z.clone()
        edited[:, :, head.head] = 0 if means is None else means[head.layer][:, head.head]
        return edited

    return f"blocks.{head.layer}.attn.hook_z", edit


def _mean_z(model: HeadModel, tokens: Tokens) -> list[Float[Tensor, "pos head d_head"]]:
    """By layer, the mean z over stretches of the reference text in the frame of these tokens."""
    windows = reference_ids(model, tokens.length)
    framed = list(tokens.frames)
    windows[:, framed] = tokens.tensor[0, framed]
    points = [f"blocks.{layer}.attn.hook_z" for layer in range(model.n_layers)]
    segments = _segments(tokens, len(windows))
    kept = run_without_logits(model, windows, points, segments=segments)
    return [kept[point].mean(0) for point in points]
