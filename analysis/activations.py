"""A model's activations: what there is, and one of them at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.circuits.ov_qk import causal_softmax
from analysis.errors import AnalysisError
from analysis.limits import MAX_BYTES
from analysis.models.capabilities import require_worked_out_scores, works_out_scores
from analysis.models.loading import HeadModel
from analysis.models.parameters import KV_HEAD
from analysis.runs.forward import run, run_without_logits
from analysis.runs.inputs import Tokens
from analysis.runs.queries import as_compared, comparison_points, score_cap

_SCORES = "attn.hook_attn_scores"
_Row = tuple[str, str, tuple[str, ...], str]  # name, short name, axes, meaning


@dataclass(frozen=True, slots=True)
class HookPoint:
    """One place where an activation can be read or edited.

    `name` is the hook's name, `short_name` the one that the activation cache takes (with the
    layer, where there is one); `axes` names its dimensions and `shape` gives their sizes, None for
    those that depend on the input.
    """

    name: str
    short_name: str
    layer: int | None
    axes: tuple[str, ...]
    shape: tuple[int | None, ...]
    meaning: str


@dataclass(frozen=True, eq=False)
class Activation:
    """The values that passed one hook point, with the names of their axes."""

    name: str
    axes: tuple[str, ...]
    values: Float[np.ndarray, "*axes"]

    def __post_init__(self) -> None:
        if self.values.ndim != len(self.axes):
            raise ValueError(f"{self.values.ndim} dimensions but axes {self.axes}")
        freeze(self, "values")


@dataclass(frozen=True, eq=False)
class PatternCheck:
    """A layer's pattern computed from its queries and keys, beside the one the model used."""

    layer: int
    computed: Float[np.ndarray, "batch head dest src"]
    cached: Float[np.ndarray, "batch head dest src"]

    def __post_init__(self) -> None:
        freeze(self, "computed", "cached")

    @property
    def difference(self) -> float:
        """Largest difference between the two; rounding only, if the formula is right."""
        return float(np.abs(self.computed - self.cached).max())


def hook_points(model: HeadModel) -> tuple[HookPoint, ...]:
    """Every activation that can be read, in the order of the forward pass.

    Left out are second names for the same tensor and points that exist on the bridge and never
    fire. `attn_scores` is there where the scores can be worked out from queries and keys: at that
    point some models hold the pattern.
    Source: ARENA 1.2, section 1.5; TransformerLens naming.
    """
    stream = ("batch", "pos", "d_model")
    by_head = ("batch", "pos", "head", "d_head")
    scale = ("batch", "pos", "scale")
    neurons = ("batch", "pos", "d_mlp")
    shared = model.info.n_kv_heads not in (0, model.n_heads)
    by_kv_head = ("batch", "pos", KV_HEAD, "d_head") if shared else by_head
    rows: list[tuple[str, str, int | None, tuple[str, ...], str]] = [
        ("hook_embed", "embed", None, stream, "Token embeddings")
    ]
    if model.info.positions == "learned":  # others add nothing to the stream
        rows.append(("hook_pos_embed", "pos_embed", None, stream, "Position vectors"))
    normed = model.info.normalization is not None
    for layer in range(model.n_layers):
        block = f"blocks.{layer}"
        layer_rows: list[_Row] = [
            ("hook_resid_pre", "resid_pre", stream, "Residual stream before the block")
        ]
        if normed:
            layer_rows += [
                ("ln1.hook_scale", "scale1", scale, "What the norm before attention divides by"),
                (
                    "ln1.hook_normalized",
                    "normalized1",
                    stream,
                    "Stream after the norm's scaling, before its weight and bias",
                ),
            ]
        layer_rows += [
            ("attn.hook_q", "q", by_head, "Queries: what each position looks for"),
            ("attn.hook_k", "k", by_kv_head, "Keys: what each position offers to be found by"),
            ("attn.hook_v", "v", by_kv_head, "Values: what is moved from an attended position"),
            *[
                (
                    _SCORES,
                    "attn_scores",
                    ("batch", "head", "dest", "src"),
                    "Scores before softmax: q·k, times the model's scale",
                )
            ]
            * works_out_scores(model.info),
            (
                "attn.hook_pattern",
                "pattern",
                ("batch", "head", "dest", "src"),
                "Attention pattern: rows are destinations and sum to 1",
            ),
            ("attn.hook_z", "z", by_head, "Values averaged by the pattern, before W_O"),
            ("hook_attn_out", "attn_out", stream, "What all heads together write"),
        ]
        if model.info.has_mlp:
            if not model.bridge.cfg.parallel_attn_mlp:  # else both read the same stream
                layer_rows.append(
                    ("hook_resid_mid", "resid_mid", stream, "Stream between attention and MLP")
                )
            if normed:
                layer_rows += [
                    ("ln2.hook_scale", "scale2", scale, "What the norm before the MLP divides by"),
                    (
                        "ln2.hook_normalized",
                        "normalized2",
                        stream,
                        "Stream after the norm's scaling, before its weight and bias",
                    ),
                ]
            layer_rows += [
                ("mlp.hook_pre", "pre", neurons, "Neurons before the activation function"),
                ("mlp.hook_post", "post", neurons, "Neurons after the activation function"),
                ("hook_mlp_out", "mlp_out", stream, "What the MLP writes"),
            ]
        layer_rows.append(("hook_resid_post", "resid_post", stream, "Stream after the block"))
        rows += [
            (f"{block}.{name}", short, layer, axes, meaning)
            for name, short, axes, meaning in layer_rows
        ]
    if normed:
        rows += [
            ("ln_final.hook_scale", "scale", None, scale, "What the final norm divides by"),
            (
                "ln_final.hook_normalized",
                "normalized",
                None,
                stream,
                "Stream after the final norm's scaling",
            ),
        ]
    rows.append(
        ("unembed.hook_out", "logits", None, ("batch", "pos", "d_vocab"), "Logits of every token")
    )
    sizes, passed = _sizes(model), _passed(model)
    points = (
        HookPoint(name, short, layer, axes, tuple(sizes.get(axis) for axis in axes), meaning)
        for name, short, layer, axes, meaning in rows
    )
    return tuple(each for each in points if _is_there(each, passed))


def _is_there(point: HookPoint, passed: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a model passes a point, with what is said of it: experts have other neurons."""
    if point.name.endswith(_SCORES):
        return True  # worked out, wherever it is said to be
    seen = passed.get(point.name, ())
    return len(seen) == len(point.shape) and all(
        size is None or size == there for size, there in zip(point.shape, seen, strict=True)
    )


# Keyed by the loaded model itself, which may be one of several of the same name.
_PASSED: WeakKeyDictionary[HeadModel, Mapping[str, tuple[int, ...]]] = WeakKeyDictionary()


def _passed(model: HeadModel) -> Mapping[str, tuple[int, ...]]:
    """The shapes of all that a model passes on two tokens, by name; tried once a model."""
    if model not in _PASSED:
        ids = torch.arange(2)[None].to(model.bridge.cfg.device)
        with model.lock, torch.inference_mode():
            _, cache = model.bridge.run_with_cache(ids)
        _PASSED[model] = {
            name: tuple(value.shape)
            for name, value in cache.cache_dict.items()
            if isinstance(value, Tensor)
        }
    return _PASSED[model]


def activation(model: HeadModel, tokens: Tokens, name: str) -> Activation:
    """The activation at one hook point; no other is kept.

    `attn_scores` is worked out from queries and keys, on every model alike:
    score[dest, src] = q[dest] . k[src] * scale, after norms and turns, bent where the model bends
    it; NaN for sources after the destination, which are masked.

    Args:
        model: The model.
        tokens: Its tokens.
        name: A `name` from `hook_points(model)`.

    Raises:
        AnalysisError: A name that is not among them, or values larger than
            `analysis.limits.MAX_BYTES`.
    """
    point = next((point for point in hook_points(model) if point.name == name), None)
    if point is None:
        raise AnalysisError(
            f"{model.name} has no activation {name!r}. Choose a name from its list of hook points."
        )
    # Of the input's axes, only `batch` is not a number of positions.
    by_input = [tokens.batch if axis == "batch" else tokens.length for axis in point.axes]
    sizes = [fixed or varying for fixed, varying in zip(point.shape, by_input, strict=True)]
    size = 4 * int(np.prod(sizes))
    if size > MAX_BYTES:
        raise AnalysisError(
            f"This activation would take {size / 2**20:,.0f} MiB; the limit is "
            f"{MAX_BYTES / 2**20:,.0f}. Use fewer sequences or tokens."
        )
    if name.endswith(_SCORES):
        assert point.layer is not None
        kept = run_without_logits(model, tokens.tensor, _compared_points(model, point.layer))
        scores = _scores(model, kept, point.layer)
        masked = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        return Activation(name, point.axes, to_numpy(scores.masked_fill(masked, torch.nan)))
    _, kept = run(model, tokens.tensor, capture=[name])
    return Activation(name, point.axes, to_numpy(kept[name]))


def verify_pattern(model: HeadModel, tokens: Tokens, layer: int) -> PatternCheck:
    """A layer's attention pattern worked out by hand, to compare with the model's.

    computed = softmax over src <= dest of q[dest] . k[src] * scale, with the model's own scale
    (1/sqrt(d_head) in most). Queries and keys are normed and turned by rotary positions where the
    model does so, and the scores bent where it bends them (Gemma 2). Should equal the pattern up
    to rounding, about 1e-6. Source: ARENA 1.2, section 1.6.

    Raises:
        AnalysisError: A layer that does not exist, or a model that does something else to its
            queries, keys or scores.
    """
    if not 0 <= layer < model.n_layers:
        raise AnalysisError(
            f"Layer {layer} was asked for; {model.name} has layers 0 to {model.n_layers - 1}."
        )
    require_worked_out_scores(model.info)
    pattern = f"blocks.{layer}.attn.hook_pattern"
    captured = [pattern, *_compared_points(model, layer)]
    kept = run_without_logits(model, tokens.tensor, captured)
    computed = causal_softmax(_scores(model, kept, layer))
    return PatternCheck(layer, to_numpy(computed), to_numpy(kept[pattern]))


def _compared_points(model: HeadModel, layer: int) -> list[str]:
    """What a layer's scores are worked out from."""
    names = [f"blocks.{layer}.attn.hook_{part}" for part in ("q", "k")]
    return [*names, *comparison_points(model, layer)]


def _scores(
    model: HeadModel, kept: Mapping[str, Tensor], layer: int
) -> Float[Tensor, "batch head dest src"]:
    """A layer's scores from its queries and keys; those of later sources too, unmasked."""
    q, k = (kept[f"blocks.{layer}.attn.hook_{part}"] for part in ("q", "k"))
    cap = score_cap(model, layer)
    by_head = []
    for head in range(model.n_heads):
        # Of the head's group, where several heads share their keys.
        shared = head * k.shape[2] // model.n_heads
        query = as_compared(model, kept, layer, "q", head, q[:, :, head])
        key = as_compared(model, kept, layer, "k", shared, k[:, :, shared])
        scores = query @ key.mT * model.attention_scale(layer)
        by_head.append(cap * (scores / cap).tanh() if cap else scores)
    return torch.stack(by_head, 1)


def _sizes(model: HeadModel) -> dict[str, int]:
    return {
        "d_vocab": model.d_vocab,
        "d_model": model.d_model,
        "d_head": model.d_head,
        "d_mlp": model.info.d_mlp,
        "head": model.n_heads,
        KV_HEAD: model.info.n_kv_heads,
        "scale": 1,
    }
