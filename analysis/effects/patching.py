"""Patching: which activations of a clean prompt, put into a corrupt one, restore its answer."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from analysis.arrays import freeze
from analysis.errors import AnalysisError
from analysis.head import Head, require_heads
from analysis.models.capabilities import (
    require_head_writes,
    require_masked_head,
    require_pattern_edits,
)
from analysis.models.loading import HeadModel
from analysis.runs.forward import run, run_with_gradients
from analysis.runs.inputs import Tokens
from analysis.runs.pieces import pieces
from analysis.runs.suffix import (
    Case,
    Edit,
    Index,
    Recording,
    activation_after,
    kv_heads,
    record,
    rerun,
)
from analysis.runs.writes import output_weights, write_points, written_z

PatchKind = Literal["resid_pre", "attn_out", "mlp_out", "z", "q", "k", "v", "pattern"]
PATCH_KINDS: tuple[PatchKind, ...] = get_args(PatchKind)
Input = Literal["q", "k", "v"]
Axis = Literal["position", "head", "kv_head"]
Progress = Callable[[int, int], None]

_POINTS: dict[str, str] = {
    "resid_pre": "hook_resid_pre",
    "attn_out": "hook_attn_out",
    "mlp_out": "hook_mlp_out",
    **{kind: f"attn.hook_{kind}" for kind in ("z", "q", "k", "v", "pattern")},
}
# Below it the two prompts call for the same answer, and nothing can be restored.
LEAST_DIFFERENCE = 1e-3
# Below it a share of the difference is mostly the noise of everything else: the odds of answer and
# foil then differ by less than a tenth between the prompts.
LEAST_SHARED = 0.1


@dataclass(frozen=True, eq=False)
class PromptPair:
    """A prompt with the wanted answer, and one of the same length that lacks the reason for it."""

    clean: Tokens
    corrupt: Tokens
    answer: int
    foil: int
    # Whose prediction counts: the last, or of an encoder that of the masked token.
    position: int

    @property
    def differing(self) -> Bool[np.ndarray, " pos"]:
        """Positions at which the two differ, in any sequence."""
        return (self.clean.ids != self.corrupt.ids).any(0)

    @property
    def end(self) -> Int[Tensor, " 1"]:
        """`position`, as a run takes those whose logits are wanted."""
        return torch.tensor([self.position])


class _Restored:
    """What patches restore: `values` as shares, `effects` in logits."""

    clean: float
    corrupt: float

    def __post_init__(self) -> None:
        freeze(self, "values", "effects")

    @property
    def no_share(self) -> str:
        """Why shares of the logit difference would mislead here; empty where they say something."""
        return _no_share(self.clean, self.corrupt)


@dataclass(frozen=True, eq=False)
class PatchMap(_Restored):
    """Share of the answer's logit difference that each patch restores: 0 none, 1 all of it.

    Columns are positions, query heads or, for k and v, key/value heads (fewer than query heads
    where a group shares them). NaN: not computed, or no share (`no_share` then says why); `effects`
    are the same patches in logits. `exact` is False for first-order estimates.
    """

    kind: PatchKind
    axis: Axis
    values: Float[np.ndarray, "layer column"]
    clean: float  # logit difference answer - foil at the pair's position
    corrupt: float
    exact: bool
    # Logit difference with the patch minus that of the corrupt prompt.
    effects: Float[np.ndarray, "layer column"]


@dataclass(frozen=True, eq=False)
class PathMap(_Restored):
    """Share of the logit difference restored through one edge, by the head that writes it.

    NaN for heads that are not in an earlier layer than the reader, and where there is no share
    (`no_share` then says why); `effects` are the same patches in logits. `reader` counts key/value
    heads if `input` is k or v.
    """

    reader: Head
    input: Input
    values: Float[np.ndarray, "layer head"]
    clean: float
    corrupt: float
    # Logit difference with the patch minus that of the corrupt prompt.
    effects: Float[np.ndarray, "layer head"]


def prompt_pair(
    model: HeadModel, clean: Tokens, corrupt: Tokens, answer: int, foil: int
) -> PromptPair:
    """Check that two prompts can be patched into each other.

    Args:
        model: The model.
        clean: The prompt whose answer is wanted: after its last token, or of an encoder in the
            place of its one masked token.
        corrupt: The same with something else in place of what the answer follows from.
        answer: Token id that the clean prompt calls for.
        foil: Token id that it is compared with.

    Raises:
        AnalysisError: Prompts of different length, or equal; equal tokens; an unknown id; an
            encoder without a head for masked tokens, or not one in each prompt at the same place.
    """
    if clean.ids.shape != corrupt.ids.shape:
        raise AnalysisError(
            f"The clean prompt has {clean.length} tokens and the corrupt one {corrupt.length}. "
            "Patching needs the same number, so that positions correspond: exchange a word for one "
            "of as many tokens."
        )
    if np.array_equal(clean.ids, corrupt.ids):
        raise AnalysisError("Both prompts have the same tokens. Change one of them.")
    position = _masked_position(model, clean, corrupt) if model.info.bidirectional else -1
    if answer == foil:
        raise AnalysisError("Answer and foil are the same token. Choose two.")
    for token in (answer, foil):
        if not 0 <= token < model.d_vocab:
            raise AnalysisError(
                f"Token id {token} is unknown; {model.name} has 0 to {model.d_vocab - 1}."
            )
    return PromptPair(clean, corrupt, answer, foil, position % clean.length)


def _masked_position(model: HeadModel, clean: Tokens, corrupt: Tokens) -> int:
    require_masked_head(model.info)
    mask = model.tokenizer.mask_token_id
    places = [np.flatnonzero(tokens.ids[0] == mask).tolist() for tokens in (clean, corrupt)]
    if len(places[0]) != 1 or places[0] != places[1]:
        said = [", ".join(map(str, each)) or "none" for each in places]
        raise AnalysisError(
            f"The answer of an encoder stands in the place of one {model.tokenizer.mask_token}. It "
            f"is at position {said[0]} of the clean prompt and at {said[1]} of the corrupt one: "
            "both need exactly one, at the same position."
        )
    return int(places[0][0])


def activation_patching(
    model: HeadModel,
    pair: PromptPair,
    kind: PatchKind,
    cells: Sequence[tuple[int, int]] | None = None,
    progress: Progress | None = None,
    on_value: Callable[[tuple[int, int], float], None] | None = None,
) -> PatchMap:
    """Put one clean activation into the corrupt run and see how much of the answer comes back.

    value = (m - m_corrupt) / (m_clean - m_corrupt), m = logit[answer] - logit[foil] at the last
    position, of an encoder at the masked one, mean over sequences. A share of a difference that is
    small or of the wrong sign (the corrupt prompt calls for the answer more) is NaN; `effects`
    holds m - m_corrupt in any case. Source: Meng et al. 2022; Wang et al. 2022.

    Args:
        model: The model. Its lock is taken for a few patches at a time.
        pair: The two prompts.
        kind: What is patched: by layer and position the stream that enters a layer (resid_pre),
            its attention's output or its MLP's; by head and at all positions z, q, k, v or the
            attention pattern.
        cells: `(layer, column)` to compute; by default all, first layer first.
        progress: Called as `progress(patches done, patches in all)`. It may raise to cancel.
        on_value: Called as `on_value(cell, value)` when a patch is done, NaN where there is no
            share. It may raise to cancel.

    Raises:
        AnalysisError: MLP outputs of a model without MLPs, patterns of one that goes on with its
            own, a cell that does not exist, or prompts between which the logit difference does not
            change.
    """
    shape = _shape(model, pair, kind)
    if cells is None:
        cells = [(layer, column) for layer in range(shape[0]) for column in range(shape[1])]
    for layer, column in cells:
        if not (0 <= layer < shape[0] and 0 <= column < shape[1]):
            raise AnalysisError(
                f"Layer {layer}, column {column} was asked for; there are {shape[0]} layers of "
                f"{shape[1]}."
            )
    point = _point(model, kind)
    points = [f"blocks.{layer}.{point}" for layer in range(model.n_layers)]
    logits, kept = _run_clean(model, pair, points)
    runs = _Runs(model, pair, clean=float(logit_difference(pair, logits).mean()))
    effects = np.full(shape, np.nan, np.float32)
    cases = [_edit(kind, layer, point, column, kept[points[layer]]) for layer, column in cells]
    for done, effect in enumerate(runs.restored(cases, progress)):
        effects[cells[done]] = effect
        if on_value:
            on_value(cells[done], _share(effect, runs.clean, runs.corrupt))
    values = _share(effects, runs.clean, runs.corrupt)
    return PatchMap(kind, _axis(kind), values, runs.clean, runs.corrupt, True, effects)


def attribution_patching(
    model: HeadModel, pair: PromptPair, kinds: Sequence[PatchKind] | None = None
) -> dict[PatchKind, PatchMap]:
    """Estimate every patch of every kind from one forward and one backward pass.

    value = sum of (clean - corrupt activation) · d m / d activation in the corrupt run, divided by
    m_clean - m_corrupt: `activation_patching` to first order. The clean activations take one more
    forward pass. Source: Nanda 2023.

    Args:
        model: The model; its lock is taken for each pass.
        pair: The two prompts.
        kinds: What is patched; by default all that can be in this model.

    Raises:
        AnalysisError: As `activation_patching`.
    """
    if kinds is None:
        kinds = [kind for kind in PATCH_KINDS if _is_possible(model, kind)]
    shapes = {kind: _shape(model, pair, kind) for kind in kinds}
    names = {
        (kind, layer): f"blocks.{layer}.{_point(model, kind)}"
        for kind in kinds
        for layer in range(model.n_layers)
    }
    points = list(names.values())
    clean_logits, kept = _run_clean(model, pair, points)
    corrupt, activations, slopes = run_with_gradients(
        model,
        pair.corrupt.tensor,
        points,
        lambda logits: logit_difference(pair, logits).mean(),
        pair.end,
        pair.corrupt.segment_tensor,
    )
    clean = float(logit_difference(pair, clean_logits).mean())
    require_difference(clean, float(corrupt))
    maps: dict[PatchKind, PatchMap] = {}
    for kind in kinds:
        # Everything but the dimension of the columns is summed over.
        column = {"position": 1, "head": 2, "kv_head": 2}[_axis(kind)]
        column = 1 if kind == "pattern" else column
        effects = np.empty(shapes[kind], np.float32)
        for layer in range(model.n_layers):
            name = names[kind, layer]
            effect = (kept[name] - activations[name]) * slopes[name]
            effects[layer] = effect.movedim(column, 0).flatten(1).sum(1).cpu().numpy()
        values = _share(effects, clean, float(corrupt))
        maps[kind] = PatchMap(kind, _axis(kind), values, clean, float(corrupt), False, effects)
    return maps


def path_patching(
    model: HeadModel,
    pair: PromptPair,
    reader: Head,
    input: Input = "k",
    progress: Progress | None = None,
) -> PathMap:
    """Patch the path from each earlier head to one input of one head, and no other path.

    The reader's query, key or value is worked out anew from the corrupt stream with the writer's
    corrupt output z W_O exchanged for its clean one (where a norm follows the heads' sum, each
    under the scale of its own run); everything else sees the corrupt run until the reader has
    attended. Exact, norms included. Source: Wang et al. 2022; Goldowsky-Dill 2023.

    Args:
        model: The model. Its lock is taken for a few patches at a time.
        pair: The two prompts.
        reader: The head that reads: for k and v the key/value head, counted from 0 in its layer.
        input: Which of its inputs is patched.
        progress: Called as `progress(patches done, patches in all)`. It may raise to cancel.

    Raises:
        AnalysisError: A reader that does not exist or is in the first layer, or prompts between
            which the logit difference does not change.
    """
    require_head_writes(model.info)
    if input == "q":
        require_heads(model.info, reader)
    elif reader.layer >= model.n_layers or reader.head >= kv_heads(model):
        raise AnalysisError(
            f"Key/value head {reader.head} of layer {reader.layer} was asked for; {model.name} has "
            f"layers 0 to {model.n_layers - 1} and key/value heads 0 to {kv_heads(model) - 1}."
        )
    if reader.layer == 0:
        raise AnalysisError("Nothing writes before the first layer. Choose a later head.")
    before = range(reader.layer)
    points = write_points(model, before)
    logits, kept = _run_clean(model, pair, points)
    runs = _Runs(model, pair, clean=float(logit_difference(pair, logits).mean()))
    exchanged = [written_z(kept, w) - written_z(runs.recording.kept, w) for w in before]
    weights = [output_weights(model, layer) for layer in before]
    writers = [(layer, h) for layer in range(reader.layer) for h in range(model.n_heads)]
    point, part = f"attn.hook_{input}", (slice(None), reader.head)
    cases: list[Case] = []
    for some in pieces(model.info, pair.corrupt.ids.size, [reader.layer] * len(writers)):
        changes = [
            exchanged[layer][:, :, head] @ weights[layer][head] for layer, head in writers[some]
        ]
        streams = runs.recording.stream[reader.layer] + torch.stack(changes)
        read = activation_after(model, runs.recording, reader.layer, streams, point)
        # Copies: a view of one head would keep all heads of every case until the end.
        own = read[..., reader.head, :].clone()
        cases += [(Edit(reader.layer, point, part, values),) for values in own]
    effects = np.full((model.n_layers, model.n_heads), np.nan, np.float32)
    for writer, effect in zip(writers, runs.restored(cases, progress), strict=True):
        effects[writer] = effect
    values = _share(effects, runs.clean, runs.corrupt)
    return PathMap(reader, input, values, runs.clean, runs.corrupt, effects)


class _Runs:
    """The corrupt run, and what edits of it do to the logit difference."""

    def __init__(self, model: HeadModel, pair: PromptPair, clean: float) -> None:
        self._model, self._pair, self.clean = model, pair, clean
        points = write_points(model, range(model.n_layers))
        segments = pair.corrupt.segment_tensor
        self.recording: Recording = record(model, pair.corrupt.tensor, points, segments=segments)
        logits = self.recording.logits[:, pair.position]
        self.corrupt = float(logit_difference(pair, logits).mean())
        require_difference(clean, self.corrupt)

    def restored(self, cases: Sequence[Case], progress: Progress | None) -> Iterator[float]:
        """What each case adds to it; the model's lock is free in between."""
        layers = [min(edit.layer for edit in case) for case in cases]
        done = 0
        if progress:
            progress(0, len(cases))
        for some in pieces(self._model.info, self.recording.ids.numel(), layers):
            found = rerun(
                self._model,
                self.recording,
                cases[some],
                self._pair.end,
                lambda logits, at: logit_difference(self._pair, logits),
            )
            for difference in found.mean((1, 2)).tolist():
                yield difference - self.corrupt
                done += 1
                if progress:
                    progress(done, len(cases))


def _run_clean(
    model: HeadModel, pair: PromptPair, points: Sequence[str]
) -> tuple[Float[Tensor, "batch 1 d_vocab"], dict[str, Tensor]]:
    """What is patched from, and the logits where the answer stands."""
    clean = pair.clean
    return run(model, clean.tensor, points, positions=pair.end, segments=clean.segment_tensor)


def logit_difference(pair: PromptPair, logits: Float[Tensor, "*shape d_vocab"]) -> Tensor:
    """How much the answer is preferred to the foil: its logit minus that of the foil."""
    return logits[..., pair.answer] - logits[..., pair.foil]


def require_difference(clean: float, corrupt: float) -> None:
    """AnalysisError if the two prompts call for the same answer."""
    if abs(clean - corrupt) < LEAST_DIFFERENCE:
        raise AnalysisError(
            f"The logit difference is {clean:+.3f} for the clean prompt and {corrupt:+.3f} for the "
            "corrupt one: there is nothing to restore. Choose another answer, foil or prompt."
        )


def _no_share(clean: float, corrupt: float) -> str:
    if clean - corrupt >= LEAST_SHARED:
        return ""
    between = f"The logit difference is {clean:+.3f} for the clean prompt and {corrupt:+.3f} for "
    if clean < corrupt:
        between += "the corrupt one, which calls for the answer more: no share can be restored."
    else:
        between += f"the corrupt one. A share of less than {LEAST_SHARED:g} logits would be noise."
    return f"{between} Choose another answer, foil or prompt."


def _share(effects: Any, clean: float, corrupt: float) -> Any:
    """Effects as shares of the difference between the prompts; NaN where that would mislead."""
    return effects / (clean - corrupt) if not _no_share(clean, corrupt) else effects * np.nan


def _axis(kind: PatchKind) -> Axis:
    if kind in ("resid_pre", "attn_out", "mlp_out"):
        return "position"
    return "kv_head" if kind in ("k", "v") else "head"


def _shape(model: HeadModel, pair: PromptPair, kind: PatchKind) -> tuple[int, int]:
    if kind == "pattern":
        require_pattern_edits(model.info)
    if kind == "mlp_out" and not model.info.has_mlp:
        raise AnalysisError(f"{model.name} has no MLPs. Patch another activation.")
    columns = {"position": pair.clean.length, "head": model.n_heads, "kv_head": kv_heads(model)}
    return model.n_layers, columns[_axis(kind)]


def _is_possible(model: HeadModel, kind: PatchKind) -> bool:
    info = model.info
    return (kind != "mlp_out" or info.has_mlp) and (kind != "pattern" or info.traits.pattern_edits)


def _point(model: HeadModel, kind: PatchKind) -> str:
    """The hook point within a block."""
    if kind == "attn_out" and model.info.bidirectional:
        # TransformerLens's `hook_attn_out` of these is behind the sum with the stream and its norm.
        return "attn.o.hook_out"
    return _POINTS[kind]


def _edit(kind: PatchKind, layer: int, point: str, column: int, clean: Tensor) -> Case:
    index: Index = (column,) if kind == "pattern" else (slice(None), column)
    if _axis(kind) == "position":
        index = (column,)
    return (Edit(layer, point, index, clean[(slice(None), *index)]),)
