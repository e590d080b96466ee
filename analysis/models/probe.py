"""Finding out what a loaded model is: on a few tokens, by what its modules do, not by its name."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from analysis.errors import AnalysisError, out_of_memory
from analysis.models.attention import attention_scale
from analysis.models.info import ENCODER, Positions, ScoreRule, Traits
from analysis.models.norms import norm_weight

# What every analysis looks at.
_PARTS = ("hook_resid_pre", "hook_resid_post", "hook_attn_out", "attn.hook_z", "attn.hook_pattern")
# Of the largest entry: rounding is a thousandth of this, and another rule for a norm far more.
_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class _Run:
    """A bridge and the activations of one run of it, by TransformerLens's names."""

    bridge: Any
    cache: dict[str, Tensor]

    def __getitem__(self, name: str) -> Tensor:
        return self.cache[name]

    def at(self, layer: int, name: str) -> Tensor:
        """An activation of one block."""
        return self.cache[f"blocks.{layer}.{name}"]

    @property
    def layers(self) -> range:
        """The numbers of the blocks."""
        return range(len(self.bridge.blocks))


@dataclass(frozen=True, slots=True)
class Found:
    """What a bridge was found to be; `normalization` is LN, RMS or another word."""

    traits: Traits
    positions: Positions
    normalization: str | None
    has_mlp: bool
    scales: tuple[float, ...]  # of attention, by layer; NaN where no way to it is known
    z_edits: bool  # an edit of z reaches what follows


def find_out(bridge: Any, ids: Int[Tensor, "batch pos"]) -> Found:
    """Run a bridge on a few tokens and see what its parts do to each other.

    Raises:
        AnalysisError: A part that every analysis relies on is not where TransformerLens has it.
    """
    edits = _edits(len(bridge.blocks))
    with torch.inference_mode():
        # Reading weights takes the time, not the tokens: all trials are rows of one run.
        with bridge.hooks(fwd_hooks=_editing_hooks(edits)):
            logits, cache = bridge.run_with_cache(ids[:1].expand(1 + len(edits), -1))
        ids, logits, everything = ids[:1], logits[:1], dict(cache.cache_dict)
        kept = {name: value[:1] for name, value in everything.items() if _has_rows(value, edits)}
        run = _Run(bridge, kept)
        _require_parts(run)
        positions = _positions(run)
        norm = _norm(run)
        has_mlp = all(f"blocks.{layer}.hook_mlp_out" in run.cache for layer in run.layers)
        plain = _agrees(lambda: _logits_of(run, 0.0), lambda: logits)
        cap = float(getattr(bridge.cfg, "output_logits_soft_cap", 0) or 0)
        scales = tuple(_scale(run, layer, positions) for layer in run.layers)
        rules = [_score_rule(run, layer, positions, scales[layer]) for layer in run.layers]
        readable = plain or _agrees(lambda: _logits_of(run, cap), lambda: logits)
        traits = Traits(
            heads_write=_every(run, _head_writes),
            stream_adds_up=_stream_adds_up(run, positions, has_mlp),
            plain_logits=readable and _is_plain(bridge.ln_final, run, "ln_final", norm),
            readable_stream=readable,
            plain_reads=_every(run, _reads_plainly),
            turns_seen=_every(run, partial(_turns_seen, positions=positions)),
            plain_embedding=_agrees(lambda: _embedded(bridge, ids), lambda: run["hook_embed"]),
            position_table=positions == "learned"
            and _agrees(
                lambda: bridge.W_pos[: ids.shape[1]].expand_as(run["hook_pos_embed"]),
                lambda: run["hook_pos_embed"],
            ),
            mlp_alone=has_mlp and _mlp_stands_alone(bridge.blocks[0]),
            post_norm=any(getattr(block, "ln1_post", None) is not None for block in bridge.blocks),
            scores=next(filter(lambda rule: rule != "plain", rules), "plain"),
            foldable_norms=norm in ("LN", "RMS")
            and all(
                hasattr(block, "ln1") and _is_plain(block.ln1, run, f"blocks.{i}.ln1", norm)
                for i, block in enumerate(bridge.blocks)
            ),
            pattern_edits=_reaches(edits, everything, "attn.hook_pattern"),
            neurons=has_mlp and _every(run, _neurons_write),
            rows_sum_to_1=_every(run, _rows_sum),
        )
        z_edits = _reaches(edits, everything, "attn.hook_z")
    return Found(traits, positions, norm, has_mlp, scales, z_edits)


def find_out_encoder(bridge: Any, ids: Int[Tensor, "batch pos"]) -> Found:
    """The same of an encoder, of which no more is asked than patterns and z.

    Raises:
        AnalysisError: As `find_out`.
    """
    edits = _edits(len(bridge.blocks))
    with torch.inference_mode(), bridge.hooks(fwd_hooks=_editing_hooks(edits)):
        _, cache = bridge.run_with_cache(ids[:1].expand(1 + len(edits), -1))
    everything = dict(cache.cache_dict)
    run = _Run(bridge, everything)
    needed = [f"blocks.{layer}.{name}" for layer in run.layers for name in _PARTS]
    _require_passed(run, needed)
    traits = replace(
        ENCODER,
        pattern_edits=_reaches(edits, everything, "attn.hook_pattern"),
        rows_sum_to_1=_every(run, _rows_sum),
    )
    return Found(traits, "learned", "LN", True, (), _reaches(edits, everything, "attn.hook_z"))


def _has_rows(value: Any, edits: list[tuple[int, str, str]]) -> bool:
    # Positions and angles may come without a batch, or with one row for all.
    return isinstance(value, Tensor) and value.dim() > 0 and len(value) in (1, 1 + len(edits))


def _require_parts(run: _Run) -> None:
    needed = [f"blocks.{layer}.{name}" for layer in run.layers for name in _PARTS]
    _require_passed(run, [*needed, "ln_final.hook_in"])


def _require_passed(run: _Run, needed: list[str]) -> None:
    missing = [name for name in needed if name not in run.cache]
    if missing:
        raise AnalysisError(
            f"{len(missing)} of the places that are looked at in a model were not passed when it "
            f"ran, the first of them {missing[0]}. Choose another model."
        )


def _agrees(one: Callable[[], Tensor], other: Callable[[], Tensor]) -> bool:
    """Whether two ways to a tensor end in the same; a way that cannot be gone does not."""
    try:
        a, b = one(), other()
        if a.shape != b.shape:
            return False
        return bool((a - b).abs().max() <= _TOLERANCE * b.abs().max().clamp(min=1e-6))
    # Whatever a module of an architecture that nobody has seen here raises.
    except Exception as error:
        if out_of_memory(error):
            raise
        return False


def _every(run: _Run, holds: Callable[[_Run, int], bool]) -> bool:
    return all(holds(run, layer) for layer in run.layers)


def _head_writes(run: _Run, layer: int) -> bool:
    attention = run.bridge.blocks[layer].attn

    def written() -> Tensor:
        total = torch.einsum("bphe,hem->bpm", run.at(layer, "attn.hook_z"), attention.W_O)
        total = total if attention.b_O is None else total + attention.b_O
        norm = getattr(run.bridge.blocks[layer], "ln1_post", None)
        if norm is None:
            return total
        return total / run.at(layer, "ln1_post.hook_scale") * norm_weight(norm)

    return _agrees(written, lambda: run.at(layer, "hook_attn_out"))


def _stream_adds_up(run: _Run, positions: Positions, has_mlp: bool) -> bool:
    def start() -> Tensor:
        embedded = run["hook_embed"]
        return embedded + run["hook_pos_embed"] if positions == "learned" else embedded

    def leaving(layer: int) -> Tensor:
        written = run.at(layer, "hook_resid_pre") + run.at(layer, "hook_attn_out")
        return written + run.at(layer, "hook_mlp_out") if has_mlp else written

    if not _agrees(start, lambda: run.at(0, "hook_resid_pre")):
        return False
    for layer in run.layers:
        after = "ln_final.hook_in"
        if layer + 1 in run.layers:
            after = f"blocks.{layer + 1}.hook_resid_pre"
        for way in (partial(leaving, layer), partial(run.__getitem__, after)):
            if not _agrees(way, partial(run.at, layer, "hook_resid_post")):
                return False
    return True


def _embedded(bridge: Any, ids: Int[Tensor, "batch pos"]) -> Tensor:
    """Rows of W_E, and what Gemma multiplies them by."""
    rows: Tensor = bridge.W_E[ids]
    scale = getattr(bridge.embed.original_component, "embed_scale", None)
    return rows if scale is None else rows * scale


def _logits_of(run: _Run, cap: float) -> Tensor:
    # The module inside the bridge's, as the lens does it.
    normed = run.bridge.ln_final.original_component(run["ln_final.hook_in"])
    logits = normed @ run.bridge.W_U + run.bridge.b_U
    return cap * (logits / cap).tanh() if cap else logits


def _norm(run: _Run) -> str | None:
    """The kind of the norm before the logits, by what it does to a stream."""
    for kind in ("LN", "RMS"):
        if _is_plain(run.bridge.ln_final, run, "ln_final", kind):
            return kind
    return str(run.bridge.cfg.normalization_type or "other")[:20]


def _is_plain(norm: Any, run: _Run, name: str, kind: str | None) -> bool:
    """Whether a norm is (x - mean x) / sd * weight + bias, or x / rms * weight, and no other."""
    inner = norm.original_component

    def by_hand() -> Tensor:
        x = run[f"{name}.hook_in"]
        if kind == "LN":
            x = x - x.mean(-1, keepdim=True)
        epsilon = next(
            getattr(inner, key) for key in ("eps", "variance_epsilon") if hasattr(inner, key)
        )
        normed = x / (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt() * norm_weight(norm)
        return normed + inner.bias if kind == "LN" else normed

    return _agrees(by_hand, lambda: inner(run[f"{name}.hook_in"]))


def _positions(run: _Run) -> Positions:
    if "hook_pos_embed" in run.cache:
        return "learned"
    if run.bridge.cfg.positional_embedding_type == "alibi":
        return "alibi"
    turned = any("rot" in name or name.endswith("hook_cos") for name in run.cache)
    declared = run.bridge.cfg.positional_embedding_type == "rotary"
    return "rotary" if turned or declared else "none"


def _by_head(run: _Run, layer: int, part: str) -> Tensor:
    """Queries, keys or values as [batch, pos, head, d_head], as many heads as they have."""
    found = run.at(layer, f"attn.hook_{part}")
    return found if found.dim() == 4 else found.unflatten(-1, (-1, _head_width(run, layer)))


def _head_width(run: _Run, layer: int) -> int:
    return run.at(layer, "attn.hook_z").shape[-1]


def _reads_plainly(run: _Run, layer: int) -> bool:
    attention = run.bridge.blocks[layer].attn

    def expected(part: str) -> Tensor:
        read, bias = run.at(layer, "ln1.hook_out"), getattr(attention, f"b_{part}")
        projected = torch.einsum("bpm,hme->bphe", read, getattr(attention, f"W_{part}"))
        return projected if bias is None else projected + bias.view(-1, projected.shape[-1])

    return all(
        _agrees(partial(expected, part), partial(_by_head, run, layer, part.lower()))
        for part in "QKV"
    )


def _products(run: _Run, layer: int) -> Tensor:
    """The products q . k of every head, [batch, head, dest, src]."""
    query = _by_head(run, layer, "q").transpose(1, 2)
    key = _by_head(run, layer, "k").transpose(1, 2)
    return query @ key.repeat_interleave(query.shape[1] // key.shape[1], 1).mT


def _scale(run: _Run, layer: int, positions: Positions) -> float:
    try:
        return attention_scale(run.bridge, layer)
    except AnalysisError:
        if positions not in ("learned", "none"):
            return torch.nan
    try:
        products, pattern = _products(run, layer), run.at(layer, "attn.hook_pattern")
        # Where softmax is all that lies between: log p[dest, src] - log p[dest, 0] is the scale
        # times the same difference of q . k.
        seen = pattern.tril() > 1e-6
        rise = (products - products[..., :1])[seen]
        return float((pattern.log() - pattern[..., :1].log())[seen] @ rise / rise.square().sum())
    except Exception as error:  # as in `_agrees`
        if out_of_memory(error):
            raise
        return torch.nan


def _score_rule(run: _Run, layer: int, positions: Positions, scale: float) -> ScoreRule:
    """What lies between q . k and the pattern beside a scale, a rotation and a mask."""
    inner = run.bridge.blocks[layer].attn.original_component
    if getattr(inner, "attn_logit_softcapping", None):
        return "capped"
    if any("norm" in type(module).__name__.lower() for module in inner.modules()):
        return "normed"
    if getattr(getattr(inner, "config", None), "clip_qkv", None):
        return "other"
    if positions == "alibi":
        return "plain"  # apart from what the distance takes off, which `positions` says
    if positions in ("learned", "none"):

        def expected() -> Tensor:
            products = _products(run, layer) * scale
            later = torch.ones_like(products).triu(1).bool()
            return products.masked_fill(later, -torch.inf).softmax(-1)

        same = _agrees(expected, lambda: run.at(layer, "attn.hook_pattern"))
        return "plain" if same else "other"
    if f"blocks.{layer}.attn.hook_rot_q" in run.cache:
        # A rotation leaves lengths as they are; factors and norms do not.
        after = run.at(layer, "attn.hook_rot_q").norm(dim=-1)
        before = _by_head(run, layer, "q").norm(dim=-1)
        # Heads stand before or after positions, as the architecture has it.
        same = _agrees(lambda: before, lambda: after) or _agrees(lambda: before.mT, lambda: after)
        return "plain" if same else "other"
    return "plain"


def _turns_seen(run: _Run, layer: int, positions: Positions) -> bool:
    """Whether `analysis.runs.queries.as_compared` can go the way of queries and keys."""
    norms = [getattr(run.bridge.blocks[layer].attn, f"{side}_norm", None) for side in "qk"]
    width = _head_width(run, layer)
    by_head = all(norm is None or norm_weight(norm).numel() == width for norm in norms)
    return by_head and (positions != "rotary" or f"blocks.{layer}.attn.hook_cos" in run.cache)


def _edits(n_layers: int) -> list[tuple[int, str, str]]:
    """Layer and point of the edits that are tried, and the point that each has to change."""
    ways = (("attn.hook_z", "hook_attn_out"), ("attn.hook_pattern", "attn.hook_z"))
    return [(layer, *way) for layer in sorted({0, n_layers - 1}) for way in ways]


def _editing_hooks(edits: list[tuple[int, str, str]]) -> list[tuple[str, Any]]:
    """Hooks that make each edit in a row of the batch of its own, after the first."""

    def thin(row: int) -> Any:
        def edit(activation: Tensor, hook: object) -> Tensor:
            edited = activation.clone()
            # Not a factor: a norm that follows would take it out again.
            edited[row, ..., ::2] = 0
            return edited

        return edit

    return [
        (f"blocks.{layer}.{point}", thin(row)) for row, (layer, point, _) in enumerate(edits, 1)
    ]


def _reaches(edits: list[tuple[int, str, str]], cache: Any, point: str) -> bool:
    """Whether what a hook puts in the place of an activation is what the model goes on with."""
    for row, (layer, edited, changed) in enumerate(edits, 1):
        if edited == point:
            seen = cache[f"blocks.{layer}.{changed}"]
            if bool((seen[row] - seen[0]).abs().max() <= _TOLERANCE * seen[0].abs().max()):
                return False
    return True


def _mlp_stands_alone(block: Any) -> bool:
    """Not where MLP and heads share a norm, nor where the bridge has no module of the MLP."""
    return hasattr(block, "ln2") and getattr(block.mlp, "name", "") is not None


def _neurons_write(run: _Run, layer: int) -> bool:
    mlp = run.bridge.blocks[layer].mlp

    def written() -> Tensor:
        total = run.at(layer, "mlp.hook_post") @ mlp.W_out
        bias = getattr(mlp, "b_out", None)
        return total if bias is None else total + bias

    return _agrees(written, lambda: run.at(layer, "mlp.hook_out"))


def _rows_sum(run: _Run, layer: int) -> bool:
    def rows() -> Tensor:
        return run.at(layer, "attn.hook_pattern").sum(-1)

    return _agrees(rows, lambda: torch.ones_like(rows()))
