"""The one place that runs a model: takes its lock, keeps only the activations asked for."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import Cache

from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.limits import positions_at_once
from analysis.models.capabilities import require_decoder
from analysis.models.loading import HeadModel

Hook = Callable[..., Tensor | None]


class _Done(Exception):
    """A run has come as far as it is read."""


def run(
    model: HeadModel,
    ids: Int[Tensor, "batch pos"],
    capture: Sequence[str] = (),
    hooks: Sequence[tuple[str, Hook]] = (),
    around: AbstractContextManager[object] | None = None,
    positions: Int[Tensor, " entry"] | None = None,
    keys: Cache | None = None,
    segments: Int[Tensor, "batch pos"] | None = None,
) -> tuple[Float[Tensor, "batch entry d_vocab"], dict[str, Tensor]]:
    """One forward pass under the model's lock.

    Args:
        model: The model; its lock must not be held by the caller.
        ids: Token ids.
        capture: Names of hook points whose activations are returned.
        hooks: Interventions `(hook point, function)`, as for `run_with_hooks`. They run before
            the captures, so a captured activation is the edited one.
        around: Entered once the lock is held, left before it is given back.
        positions: Those whose logits are wanted; of a large vocabulary all take far more than the
            rest of a run.
        keys: Keys and values of all tokens before `ids`, to which those of `ids` are added.
        segments: Those of an encoder's tokens; what has none is not defined for an encoder.

    Returns:
        Logits, and the captured activations by name. The tensors are this caller's own.

    Raises:
        AnalysisError: Tokens that this model cannot take, such as another model's, or logits that
            are no numbers.
    """
    _require_fitting(model, ids, segments)
    kept: dict[str, Tensor] = {}
    onward = _beside(model, keys, segments)
    with model.lock, torch.inference_mode(), around or nullcontext():
        logits = model.bridge.run_with_hooks(
            ids.to(model.bridge.cfg.device),
            return_type="logits",
            fwd_hooks=[*hooks, *_captures(capture, kept), *_only(positions)],
            **onward,
        )
    # A NaN makes every sum one; whatever is made of such logits would be no number either.
    if not torch.isfinite(logits.sum()) and not torch.isfinite(logits).all():
        raise AnalysisError(
            f"{model.name} was run on {ids.numel():,} tokens, and some of its logits are not "
            "finite (NaN or infinite). Try other tokens, or choose another model."
        )
    _require_fired(capture, kept)
    return logits, kept


def run_without_logits(
    model: HeadModel,
    ids: Int[Tensor, "batch pos"],
    capture: Sequence[str],
    hooks: Sequence[tuple[str, Hook]] = (),
    keys: Cache | None = None,
    until: str = "",
    segments: Int[Tensor, "batch pos"] | None = None,
) -> dict[str, Tensor]:
    """The same up to the unembedding, which of a small model is a fifth of the work or more.

    Of a vocabulary of 262,000 the logits are a MiB for each token besides. `until` is a hook point
    of the stream that the run ends at, by default the unembedding's or of an encoder its last
    layer's; keys and values of layers behind it are then not added.

    Raises:
        AnalysisError: As `run`.
    """
    _require_fitting(model, ids, segments)
    kept: dict[str, Tensor] = {}
    onward = _beside(model, keys, segments)
    last = f"blocks.{model.n_layers - 1}.hook_resid_post"
    until = until or (last if model.info.bidirectional else "unembed.hook_in")

    with model.lock, torch.inference_mode(), suppress(_Done):
        model.bridge.run_with_hooks(
            ids.to(model.bridge.cfg.device),
            return_type="logits",
            fwd_hooks=[*hooks, *_captures(capture, kept), (until, partial(_stop, model, ids))],
            **onward,
        )
    _require_fired(capture, kept)
    return kept


def _stop(model: HeadModel, ids: Int[Tensor, "batch pos"], stream: Tensor, hook: object) -> None:
    """A hook at which a run ends."""
    if not torch.isfinite(stream.sum()) and not torch.isfinite(stream).all():
        raise AnalysisError(
            f"{model.name} was run on {ids.numel():,} tokens, and some of its activations are "
            "not finite (NaN or infinite). Try other tokens, or choose another model."
        )
    raise _Done


def _beside(
    model: HeadModel, keys: Cache | None, segments: Int[Tensor, "batch pos"] | None
) -> dict[str, Any]:
    """What a model is called with beside the tokens."""
    onward: dict[str, Any] = {} if keys is None else {"past_key_values": keys, "use_cache": True}
    if segments is not None:
        onward["token_type_ids"] = segments.to(model.bridge.cfg.device)
    return onward


def _require_fitting(
    model: HeadModel,
    ids: Int[Tensor, "batch pos"],
    segments: Int[Tensor, "batch pos"] | None = None,
) -> None:
    if segments is None:
        require_decoder(model.info, "This analysis")
    if ids.shape[1] > model.n_ctx:
        raise AnalysisError(
            f"These are {ids.shape[1]} tokens; {model.name} takes {model.n_ctx}. Shorten them."
        )
    if int(ids.min()) < 0 or int(ids.max()) >= model.d_vocab:
        outside = int(ids.max()) if int(ids.max()) >= model.d_vocab else int(ids.min())
        raise AnalysisError(
            f"Token id {outside:,} was asked for; {model.name} has rows for ids 0 to "
            f"{model.d_vocab - 1:,}. Make the tokens with this model's own tokenizer."
        )


def _captures(names: Sequence[str], kept: dict[str, Tensor]) -> list[tuple[str, Hook]]:
    """Hooks that copy the activations at these points into `kept`."""
    # The name goes along: `hook.name` differs between raw and compatibility mode.
    return [(name, partial(_store, kept, name)) for name in names]


def _store(kept: dict[str, Tensor], name: str, activation: Tensor, hook: object) -> None:
    kept[name] = activation.detach().clone()


def _only(positions: Int[Tensor, " entry"] | None) -> list[tuple[str, Hook]]:
    """A hook that lets the unembedding see these positions only."""
    return [] if positions is None else [("unembed.hook_in", partial(_cut, positions))]


def _cut(positions: Int[Tensor, " entry"], stream: Tensor, hook: object) -> Tensor:
    return stream[:, positions.to(stream.device)]


def _require_fired(names: Sequence[str], kept: dict[str, Tensor]) -> None:
    if missing := set(names) - set(kept):
        # Some hook points exist on the bridge and never fire; an empty answer would be silent.
        raise RuntimeError(f"hook points that never fired: {sorted(missing)}")


def run_with_gradients(
    model: HeadModel,
    ids: Int[Tensor, "batch pos"],
    points: Sequence[str],
    metric: Callable[[Float[Tensor, "batch entry d_vocab"]], Tensor],
    positions: Int[Tensor, " entry"] | None = None,
    segments: Int[Tensor, "batch pos"] | None = None,
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """One forward and one backward pass under the model's lock.

    The gradient of a point is the total one: it includes what passes through later points.

    Args:
        model: The model; its lock must not be held by the caller.
        ids: Token ids.
        points: Names of hook points.
        metric: Maps the logits to the number that is differentiated.
        positions: Those whose logits it is given; all by default.
        segments: Those of an encoder's tokens.

    Returns:
        The metric, and the activation and its gradient at each point.

    Raises:
        AnalysisError: An encoder without segments: what has none is not defined for it.
        RuntimeError: A point that never fired, or that the metric does not depend on.
    """
    seen: dict[str, Tensor] = {}
    if segments is None:
        require_decoder(model.info, "This analysis")
    watches = [(name, partial(_watch, seen, name)) for name in points]
    with model.lock, torch.inference_mode(False), torch.enable_grad():
        logits = model.bridge.run_with_hooks(
            ids.to(model.bridge.cfg.device),
            return_type="logits",
            fwd_hooks=[*watches, *_only(positions)],
            **_beside(model, None, segments),
        )
        missing = set(points) - set(seen)
        if missing:
            raise RuntimeError(f"hook points that never fired: {sorted(missing)}")
        value = metric(logits)
        # Asked for by name: weights that take gradients elsewhere collect none here.
        gradients = torch.autograd.grad(value, [seen[name] for name in points])
    kept = {name: seen[name].detach().clone() for name in points}
    return value.detach(), kept, dict(zip(points, gradients, strict=True))


def _watch(seen: dict[str, Tensor], name: str, activation: Tensor, hook: object) -> Tensor:
    """A hook that keeps an activation in `seen`, from where gradients are taken."""
    if not activation.requires_grad:  # the first: all that comes before is a constant
        activation = activation.detach().clone().requires_grad_()
    # A view of its own, so that the gradient is of what this point passes on.
    seen[name] = activation.view_as(activation)
    return seen[name]


def norm_gradients(
    model: HeadModel,
    layer: int,
    stream: Float[Tensor, "batch pos d_model"],
    slopes: Float[Tensor, "reader batch pos d_model"],
) -> Float[Tensor, "reader batch pos d_model"]:
    """Gradients before the norm of a layer's attention, from gradients after it."""
    with model.lock, torch.inference_mode(False), torch.enable_grad():
        entering = stream.clone().expand(slopes.shape).flatten(0, 1).requires_grad_()
        normed = model.bridge.blocks[layer].ln1(entering)
        (gradient,) = torch.autograd.grad(normed, entering, slopes.flatten(0, 1))
    return gradient.view_as(slopes)


def mlp_output(
    model: HeadModel, layer: int, stream: Float[Tensor, "row d_model"]
) -> Float[Tensor, "row d_model"]:
    """What a layer's MLP would write on these vectors, with the norms before and after it."""
    block = model.bridge.blocks[layer]
    after = getattr(block, "ln2_post", None)
    with model.lock, torch.inference_mode():
        rows = stream[None]  # as one sequence: an MLP sees each position by itself
        if model.info.normalization is not None:
            rows = block.ln2(rows)
        rows = block.mlp(rows)
        written: Tensor = rows if after is None else after(rows)
    return written[0] * model.info.traits.mlp_factor


def silence(heads: Iterable[Head]) -> list[tuple[str, Hook]]:
    """Hooks, one a layer, that set z of these heads to 0: they write nothing but a bias."""
    by_layer: dict[int, list[int]] = {}
    for head in heads:
        by_layer.setdefault(head.layer, []).append(head.head)
    return [
        (f"blocks.{layer}.attn.hook_z", partial(_zero, silent))
        for layer, silent in by_layer.items()
    ]


def _zero(silent: list[int], z: Float[Tensor, "batch pos head d_head"], hook: object) -> Tensor:
    # On a clone: an edit in place would also reach whatever shares this memory.
    edited = z.clone()
    edited[:, :, silent] = 0
    return edited


def next_token_log_probs(
    logits: Float[Tensor, "batch pos d_vocab"], ids: Int[Tensor, "batch pos"]
) -> Float[Tensor, "batch pos-1"]:
    """Log-probability, in nats, that each position gives to the token that follows it."""
    following = ids[:, 1:, None].to(logits.device)
    at_once = positions_at_once(len(ids), logits.shape[-1])
    # Not logit - logsumexp: rounding of large logits would leave probabilities above 1.
    each = [
        some.log_softmax(-1).gather(-1, right)[..., 0]
        for some, right in zip(
            logits[:, :-1].split(at_once, 1), following.split(at_once, 1), strict=True
        )
    ]
    return torch.cat(each, 1)
