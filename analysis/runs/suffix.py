"""Interventions that run only the layers above them, many at once as rows of one batch."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional
from transformer_lens.model_bridge.sources.native import NativeAttention

from analysis.errors import out_of_memory
from analysis.limits import positions_at_once
from analysis.models.encoders import masked_head
from analysis.models.loading import HeadModel
from analysis.runs.forward import Hook, run

# Rounding between two ways of batching, in nats; measured 1e-6 on tiny models, 2e-5 on deep ones.
TOLERANCE = 1e-4

Index = tuple[int | slice, ...]
# Maps logits [case, batch, entry, d_vocab] at some positions to one number each.
Read = Callable[[Float[Tensor, "case batch entry d_vocab"], Int[Tensor, " entry"]], Tensor]


@dataclass(frozen=True, eq=False)
class Edit:
    """Part of one activation, and what is put there in its place.

    `point` is TransformerLens's name within the block, such as `attn.hook_z`; `index` follows the
    batch dimension; `values` has the shape of that part, or one that expands to it.
    """

    layer: int
    point: str
    index: Index
    values: Tensor

    @property
    def name(self) -> str:
        """Full name of the hook point."""
        return f"blocks.{self.layer}.{self.point}"


# Edits that are made in the same run, such as a set of heads ablated together.
Case = tuple[Edit, ...]


@dataclass(frozen=True, eq=False)
class Recording:
    """One run as it is: what every block was given, and the activations that were asked for."""

    ids: Int[Tensor, "batch pos"]
    logits: Float[Tensor, "batch pos d_vocab"]
    # What enters each block, and last what leaves the final one.
    stream: tuple[Float[Tensor, "batch pos d_model"], ...]
    arguments: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...]
    kept: dict[str, Tensor]
    # Of an encoder's tokens.
    segments: Int[Tensor, "batch pos"] | None = None

    def z(self, layer: int) -> Float[Tensor, "batch pos head d_head"]:
        """The layer's z, which has to be among the activations asked for."""
        return self.kept[f"blocks.{layer}.attn.hook_z"]


def z_points(model: HeadModel) -> list[str]:
    """The hook points of every layer's z."""
    return [f"blocks.{layer}.attn.hook_z" for layer in range(model.n_layers)]


def record(
    model: HeadModel,
    ids: Int[Tensor, "batch pos"],
    capture: Sequence[str] = (),
    hooks: Sequence[tuple[str, Hook]] = (),
    segments: Int[Tensor, "batch pos"] | None = None,
) -> Recording:
    """Run the model once, with its lock, and keep what later suffix runs start from.

    With `hooks` it is a run that they have changed; a suffix has to make their changes of its own
    layers again.
    """
    received: dict[int, tuple[tuple[Any, ...], dict[str, Any]]] = {}
    last = f"blocks.{model.n_layers - 1}.hook_resid_post"
    names = [f"blocks.{layer}.hook_resid_pre" for layer in range(model.n_layers)]

    def note(layer: int, block: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        rest = {name: value for name, value in kwargs.items() if name != "hidden_states"}
        received[layer] = (
            tuple(_without_cache(value) for value in args[1:]),
            {name: _without_cache(value) for name, value in rest.items()},
        )

    @contextmanager
    def noting() -> Iterator[None]:
        with ExitStack() as stack:
            for layer, block in enumerate(model.bridge.blocks):
                handle = block.register_forward_pre_hook(partial(note, layer), with_kwargs=True)
                stack.callback(handle.remove)
            yield

    captured = [*names, last, *capture]
    logits, kept = run(model, ids, captured, hooks, noting(), segments=segments)
    return Recording(
        ids=ids,
        logits=logits,
        stream=tuple(kept[name] for name in [*names, last]),
        arguments=tuple(received[layer] for layer in range(model.n_layers)),
        kept={name: kept[name] for name in capture},
        segments=segments,
    )


def rerun(
    model: HeadModel,
    recording: Recording,
    cases: Sequence[Case],
    positions: Int[Tensor, " entry"],
    read: Read,
) -> Float[Tensor, "case batch entry"]:
    """The recorded run with each case's edits, from the first layer that they change.

    The cases are rows of one batch, each of which joins at its own first layer; only `positions`
    are unembedded. Where this has not been seen to be exact for the model, every case is a forward
    pass of its own. The model's lock is held throughout, so give a few cases at a time
    (`analysis.runs.pieces`).

    Args:
        model: The model.
        recording: A run of it, with every z kept.
        cases: Edits by case; none of them empty.
        positions: Positions whose logits are read.
        read: What is wanted of them.
    """
    if not runs_suffixes(model):
        return torch.cat([_whole(model, recording, case, positions, read) for case in cases])
    return _suffixes(model, recording, cases, positions, read)


def activation_after(
    model: HeadModel,
    recording: Recording,
    layer: int,
    streams: Float[Tensor, "case batch pos d_model"],
    point: str,
) -> Float[Tensor, "case batch ..."]:
    """An activation of one block when other streams enter it than in the recorded run."""
    kept: list[Tensor] = []

    def keep(activation: Tensor, hook: object) -> None:
        kept.append(activation.clone())

    n_cases, batch = streams.shape[:2]
    args, kwargs = _arguments(recording, layer, n_cases)
    with (
        model.lock,
        torch.inference_mode(),
        model.bridge.hooks(fwd_hooks=[(f"blocks.{layer}.{point}", keep)]),
    ):
        model.bridge.blocks[layer](streams.flatten(0, 1), *args, **kwargs)
    return kept[0].unflatten(0, (n_cases, batch))


def kv_heads(model: HeadModel) -> int:
    """Key/value heads per layer: fewer than query heads where a group of them shares one."""
    return model.bridge.cfg.n_key_value_heads or model.n_heads


def runs_suffixes(model: HeadModel) -> bool:
    """Whether suffix runs of this model have been seen to equal whole ones; tried once a model."""
    if model not in _EXACT:
        _EXACT[model] = _seen_exact(model)
    return _EXACT[model]


def hooks_of(case: Case) -> list[tuple[str, Hook]]:
    """The same edits as hooks of a whole run."""
    return _hooks([(slice(None), edit) for edit in case])


# Keyed by the loaded model itself, which may be one of several of the same name.
_EXACT: WeakKeyDictionary[HeadModel, bool] = WeakKeyDictionary()


def _seen_exact(model: HeadModel) -> bool:
    ids = (torch.arange(12) * 7 % model.d_vocab).reshape(2, 6)
    positions = torch.arange(5)
    zero = torch.zeros(())
    cases: list[Case] = [
        (Edit(layer, "attn.hook_z", (slice(None), head), zero),)
        for layer in {0, model.n_layers // 2, model.n_layers - 1}
        for head in {0, model.n_heads - 1}
    ]
    cases.append((Edit(0, "hook_resid_pre", (3,), zero), *cases[0], *cases[-1]))

    def log_probs(logits: Tensor, at: Tensor) -> Tensor:
        return logits.log_softmax(-1)[..., 1]

    segments = torch.zeros_like(ids) if model.info.bidirectional else None
    recording = record(model, ids, z_points(model), segments=segments)
    try:
        quick = _suffixes(model, recording, cases, positions, log_probs)
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        if out_of_memory(error):
            raise  # the next try may find it, and whole runs would be slow for good
        # A block that cannot be called by itself: the slow road is as right.
        warnings.warn(f"{model.name} takes whole runs: {error}", stacklevel=2)
        return False
    slow = torch.cat([_whole(model, recording, case, positions, log_probs) for case in cases])
    return bool((quick - slow).abs().max() < TOLERANCE)


def _whole(
    model: HeadModel, recording: Recording, case: Case, positions: Tensor, read: Read
) -> Tensor:
    logits, _ = run(model, recording.ids, hooks=hooks_of(case), segments=recording.segments)
    return read(logits[None, :, positions], positions)


def _suffixes(
    model: HeadModel,
    recording: Recording,
    cases: Sequence[Case],
    positions: Tensor,
    read: Read,
) -> Tensor:
    starts = [_start(model, recording, case) for case in cases]
    order = sorted(range(len(cases)), key=lambda i: starts[i][0])
    linear = [i for i in order if starts[i][0] == model.n_layers and _unembeds_linearly(model)]
    through = order[: len(order) - len(linear)]
    found: dict[int, Tensor] = {}
    with model.lock, torch.inference_mode():
        if through:
            some = [cases[i] for i in through]
            stream = _run_blocks(model, recording, some, [starts[i] for i in through], positions)
            found |= dict(zip(through, _unembed(model, stream, positions, read), strict=True))
        parts: dict[int, list[Tensor]] = {i: [] for i in linear}
        at_once = positions_at_once(len(recording.ids), model.d_vocab)
        for at in positions.split(at_once) if linear else ():
            clean = recording.logits[:, at]
            for i in linear:
                logits = _linear_logits(model, recording, clean, cases[i], at)
                parts[i].append(read(logits[None], at)[0])
        found |= {i: torch.cat(parts[i], -1) for i in linear}
    return torch.stack([found[i] for i in range(len(cases))])


def _start(model: HeadModel, recording: Recording, case: Case) -> tuple[int, Tensor]:
    """The first block that a case has to run, and the stream that enters it."""
    layer = min(edit.layer for edit in case)
    first = [edit for edit in case if edit.layer == layer]
    if _adds_attention_last(model) and all(_is_head(edit) for edit in first):
        with torch.inference_mode():
            writes = [_write_change(model, recording, edit) for edit in first]
            return layer + 1, recording.stream[layer + 1] + sum(writes)
    return layer, recording.stream[layer]


def _is_head(edit: Edit) -> bool:
    """Whether all of one head's output is replaced."""
    return edit.point == "attn.hook_z" and edit.index[0] == slice(None)


def _adds_attention_last(model: HeadModel) -> bool:
    """Whether what heads write reaches the block's end unchanged: no MLP reads it there."""
    return not model.info.has_mlp or bool(getattr(model.bridge.cfg, "parallel_attn_mlp", False))


def _unembeds_linearly(model: HeadModel) -> bool:
    plain = model.info.normalization is None and model.info.traits.logit_factor == 1
    return plain and model.bridge.cfg.output_logits_soft_cap <= 0


def _z_change(recording: Recording, edit: Edit) -> Float[Tensor, "batch pos d_head"]:
    own = recording.z(edit.layer)[(slice(None), *edit.index)]
    return edit.values.to(own.device) - own


def _head_weights(model: HeadModel, edit: Edit) -> Float[Tensor, "d_head d_model"]:
    return model.bridge.blocks[edit.layer].attn.W_O[edit.index[1]]


def _write_change(
    model: HeadModel, recording: Recording, edit: Edit
) -> Float[Tensor, "batch pos d_model"]:
    written = _z_change(recording, edit) @ _head_weights(model, edit)
    return written * model.info.traits.write_factor


def _linear_logits(
    model: HeadModel,
    recording: Recording,
    clean: Float[Tensor, "batch entry d_vocab"],
    case: Case,
    positions: Tensor,
) -> Float[Tensor, "batch entry d_vocab"]:
    """Logits without a block run: z W_O W_U goes through d_head numbers, not d_model."""
    logits = clean.flatten(0, 1)
    for edit in case:
        circuit = _head_weights(model, edit) @ model.bridge.unembed.W_U
        change = _z_change(recording, edit)[:, positions]
        logits = torch.addmm(logits, change.flatten(0, 1), circuit)
    return logits.view_as(clean)


def _run_blocks(
    model: HeadModel,
    recording: Recording,
    cases: Sequence[Case],
    starts: Sequence[tuple[int, Tensor]],
    positions: Tensor,
) -> Float[Tensor, "case batch entry d_model"]:
    """The last block's output; the cases are in the order of the blocks that they start at."""
    batch = len(recording.ids)
    # An edit before the block that a case starts at is already in the stream it starts from.
    edits = [
        (slice(row * batch, (row + 1) * batch), edit)
        for row, case in enumerate(cases)
        for edit in case
        if edit.layer >= starts[row][0]
    ]
    last = model.n_layers - 1
    only_positions = _ends_in_plain_attention(model) and all(edit.layer < last for _, edit in edits)
    stream = recording.stream[0][:0]
    joined = 0
    with model.bridge.hooks(fwd_hooks=_hooks(edits)):
        for layer in range(starts[0][0], model.n_layers):
            new = [entering for start, entering in starts if start == layer]
            stream = torch.cat([stream, *new]) if new else stream
            joined += len(new)
            if layer == last and only_positions:
                break
            args, kwargs = _arguments(recording, layer, joined)
            stream = model.bridge.blocks[layer](stream, *args, **kwargs)
            stream = stream[0] if isinstance(stream, tuple) else stream
    at = _plain_attention(model, stream, positions) if only_positions else stream[:, positions]
    at = torch.cat([at, *(left[:, positions] for start, left in starts if start > last)])
    return at.unflatten(0, (len(cases), batch))


def _ends_in_plain_attention(model: HeadModel) -> bool:
    """Whether the last block is nothing but a norm and the attention of `_plain_attention`."""
    attention = model.bridge.blocks[-1].attn.original_component
    return (
        type(attention) is NativeAttention  # shortformer's own kind sees positions besides
        and not model.info.has_mlp
        and attention.rotary is None
        and attention.causal
        and attention.attn_scores_soft_cap <= 0
    )


def _plain_attention(
    model: HeadModel, stream: Float[Tensor, "row pos d_model"], positions: Tensor
) -> Float[Tensor, "row entry d_model"]:
    """The last block's output where it is read: no query and no output elsewhere."""
    block = model.bridge.blocks[-1]
    attention = block.attn.original_component
    reached = int(positions.max()) + 1
    normed = block.ln1(stream[:, :reached])

    def by_head(project: Callable[[Tensor], Tensor], of: Tensor) -> Tensor:
        return project(of).unflatten(-1, (-1, model.d_head)).transpose(1, 2)

    z = functional.scaled_dot_product_attention(
        by_head(attention.q, normed[:, positions]),
        by_head(attention.k, normed),
        by_head(attention.v, normed),
        attn_mask=positions[:, None].to(stream.device) >= torch.arange(reached).to(stream.device),
        scale=1 / attention.scale,
        enable_gqa=attention.kv_repeats > 1,
    )
    return stream[:, positions] + attention.o(z.transpose(1, 2).flatten(2))


def _hooks(edits: Sequence[tuple[slice, Edit]]) -> list[tuple[str, Hook]]:
    """One hook a point, which makes each edit in its own rows of the batch."""
    by_point: dict[str, list[tuple[slice, Edit]]] = {}
    for rows, edit in edits:
        by_point.setdefault(edit.name, []).append((rows, edit))
    return [(name, partial(_edit_rows, edits)) for name, edits in by_point.items()]


def _edit_rows(edits: list[tuple[slice, Edit]], activation: Tensor, hook: object) -> Tensor:
    # On a clone: an edit in place would also reach whatever shares this memory.
    edited = activation.clone()
    for rows, edit in edits:
        edited[(rows, *edit.index)] = edit.values.to(edited.device)
    return edited


def _unembed(
    model: HeadModel,
    stream: Float[Tensor, "case batch entry d_model"],
    positions: Tensor,
    read: Read,
) -> Float[Tensor, "case batch entry"]:
    batch = stream.shape[1]
    at_once = positions_at_once(batch, model.d_vocab)
    found = []
    for some in stream.split(max(1, at_once // len(positions))):
        parts = []
        for part, at in zip(some.split(at_once, 2), positions.split(at_once), strict=True):
            logits = _logits(model, part.flatten(0, 1))
            parts.append(read(logits.unflatten(0, (len(some), batch)), at))
        found.append(torch.cat(parts, -1))
    return torch.cat(found)


def _logits(
    model: HeadModel, stream: Float[Tensor, "row entry d_model"]
) -> Float[Tensor, "row entry d_vocab"]:
    bridge = model.bridge
    if model.info.bidirectional:
        masked: Tensor = masked_head(bridge.original_model)(stream)
        return masked
    logits: Tensor = bridge.unembed(bridge.ln_final(stream)) * model.info.traits.logit_factor
    cap = bridge.cfg.output_logits_soft_cap
    return cap * (logits / cap).tanh() if cap > 0 else logits  # Gemma 2 bends its logits


def _without_cache(value: Any) -> Any:
    # A key-value cache of the recorded run would grow with every suffix run.
    return None if type(value).__name__.endswith("Cache") else value


def _arguments(recording: Recording, layer: int, times: int) -> tuple[list[Any], dict[str, Any]]:
    """What a block was called with in the recorded run, for `times` copies of its batch."""
    batch, (args, kwargs) = len(recording.ids), recording.arguments[layer]
    named = {name: _tiled(value, times, batch) for name, value in kwargs.items()}
    if isinstance(alibi := kwargs.get("alibi"), Tensor):  # its rows are those of every head
        named["alibi"] = alibi.repeat(times, *[1] * (alibi.dim() - 1))
    return [_tiled(value, times, batch) for value in args], named


def _tiled(value: Any, times: int, batch: int) -> Any:
    """An argument of the recorded run for `times` copies of its batch."""
    if isinstance(value, tuple):
        return tuple(_tiled(part, times, batch) for part in value)
    # One row, or none (a vector over positions), fits any batch as it is, but that XGLM's layers
    # want a mask for each.
    if isinstance(value, Tensor) and value.dim() == 4 and value.shape[0] == batch == 1:
        return value.expand(times, -1, -1, -1)
    if isinstance(value, Tensor) and value.dim() > 1 and value.shape[0] == batch > 1:
        return value.repeat(times, *[1] * (value.dim() - 1))
    return value


def continued(
    model: HeadModel, recording: Recording, layer: int, hooks: Sequence[tuple[str, Hook]]
) -> Float[Tensor, "batch pos d_vocab"]:
    """The logits of the recorded run with hooks, from the first layer that they change.

    Where suffix runs have not been seen to be exact for the model, all layers are run.
    """
    if not runs_suffixes(model):
        return run(model, recording.ids, hooks=hooks, segments=recording.segments)[0]
    stream = recording.stream[layer]
    with model.lock, torch.inference_mode(), model.bridge.hooks(fwd_hooks=list(hooks)):
        for each in range(layer, model.n_layers):
            args, kwargs = _arguments(recording, each, 1)
            stream = model.bridge.blocks[each](stream, *args, **kwargs)
            stream = stream[0] if isinstance(stream, tuple) else stream
        return _logits(model, stream)
