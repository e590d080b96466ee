"""Finding out what a loaded model is: on a few tokens, by what its modules do, not by its name."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from analysis.errors import AnalysisError
from analysis.models.info import ENCODER, Positions, Traits, Turn
from analysis.models.norms import norm_bias, norm_weight, weighted
from analysis.models.scoring import attention_of, averages_values
from analysis.models.trial import TOLERANCE, Run, agrees, by_head

# What every analysis looks at.
_PARTS = ("hook_resid_pre", "hook_resid_post", "hook_attn_out", "attn.hook_z", "attn.hook_pattern")


@dataclass(frozen=True, slots=True)
class Found:
    """What a bridge was found to be; `normalization` is LN, RMS or another word."""

    traits: Traits
    positions: Positions
    normalization: str | None
    has_mlp: bool
    scales: tuple[float, ...]  # of attention, by layer; NaN where no way to it is known
    turns: tuple[Turn, ...]  # of queries and keys, by layer; empty where none gives the patterns
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
        run = Run(bridge, kept)
        _require_parts(run)
        positions = _positions(run)
        norm = _norm(run)
        has_mlp = all(f"blocks.{layer}.hook_mlp_out" in run.cache for layer in run.layers)
        cap = float(getattr(bridge.cfg, "output_logits_soft_cap", 0) or 0)
        factors = _factors(run, ids, logits)
        scales, turns, scores = attention_of(run, positions)
        factor = factors["logit_factor"]
        readable = any(
            agrees(partial(_logits_of, run, factor, bent), lambda: logits) for bent in {0.0, cap}
        )
        traits = Traits(
            **factors,
            heads_write=_every(run, partial(_head_writes, factor=factors["write_factor"])),
            stream_adds_up=_stream_adds_up(run, positions, has_mlp),
            plain_logits=readable and _is_plain(bridge.ln_final, run, "ln_final", norm),
            readable_stream=readable,
            plain_reads=_every(run, _reads_plainly),
            turns_seen=bool(turns),
            values_seen=_every(run, averages_values),
            plain_embedding=agrees(
                lambda: _embedded(bridge, ids) * factors["embed_factor"],
                lambda: run["hook_embed"],
            ),
            position_table=positions == "learned"
            and agrees(
                lambda: bridge.W_pos[: ids.shape[1]].expand_as(run["hook_pos_embed"]),
                lambda: run["hook_pos_embed"],
            ),
            mlp_alone=has_mlp and _mlp_stands_alone(run, factors["mlp_factor"]),
            post_norm=any(getattr(block, "ln1_post", None) is not None for block in bridge.blocks),
            scores=scores,
            foldable_norms=norm in ("LN", "RMS")
            and all(
                hasattr(block, "ln1") and _is_plain(block.ln1, run, f"blocks.{i}.ln1", norm)
                for i, block in enumerate(bridge.blocks)
            ),
            norm_weights=norm_weight(bridge.ln_final) is not None,
            norm_biases=norm != "LN" or norm_bias(bridge.ln_final) is not None,
            pattern_edits=_reaches(edits, everything, "attn.hook_pattern"),
            neurons=has_mlp and _every(run, partial(_neurons_write, factor=factors["mlp_factor"])),
            rows_sum_to_1=_every(run, _rows_sum),
        )
        z_edits = _reaches(edits, everything, "attn.hook_z")
    return Found(traits, positions, norm, has_mlp, scales, turns, z_edits)


def find_out_encoder(bridge: Any, ids: Int[Tensor, "batch pos"]) -> Found:
    """The same of an encoder, of which no more is asked than patterns and z.

    Raises:
        AnalysisError: As `find_out`.
    """
    edits = _edits(len(bridge.blocks))
    with torch.inference_mode(), bridge.hooks(fwd_hooks=_editing_hooks(edits)):
        _, cache = bridge.run_with_cache(ids[:1].expand(1 + len(edits), -1))
    everything = dict(cache.cache_dict)
    run = Run(bridge, everything)
    needed = [f"blocks.{layer}.{name}" for layer in run.layers for name in _PARTS]
    _require_passed(run, needed)
    traits = replace(
        ENCODER,
        pattern_edits=_reaches(edits, everything, "attn.hook_pattern"),
        rows_sum_to_1=_every(run, _rows_sum),
    )
    z_edits = _reaches(edits, everything, "attn.hook_z")
    return Found(traits, "learned", "LN", True, (), (), z_edits)


def _has_rows(value: Any, edits: list[tuple[int, str, str]]) -> bool:
    # Positions and angles may come without a batch, or with one row for all.
    return isinstance(value, Tensor) and value.dim() > 0 and len(value) in (1, 1 + len(edits))


def _require_parts(run: Run) -> None:
    needed = [f"blocks.{layer}.{name}" for layer in run.layers for name in _PARTS]
    _require_passed(run, [*needed, "ln_final.hook_in"])


def _require_passed(run: Run, needed: list[str]) -> None:
    missing = [name for name in needed if name not in run.cache]
    if missing:
        raise AnalysisError(
            f"{len(missing)} of the places that are looked at in a model were not passed when it "
            f"ran, the first of them {missing[0]}. Choose another model."
        )
    expected = (run.bridge.cfg.n_heads, run.bridge.cfg.d_head)
    for layer in run.layers:
        # Latent attention has values of another width than keys; Gemma 4 two kinds of layers.
        pattern, z = (run.at(layer, f"attn.hook_{name}") for name in ("pattern", "z"))
        found = (pattern.shape[1], *z.shape[2:])
        if found != (expected[0], *expected):
            raise AnalysisError(
                f"In layer {layer} there are {found[0]} patterns, and z is {found[1]} heads of "
                f"{found[2]} numbers, where {expected[0]} heads of {expected[1]} in every layer "
                "are expected. Choose another model."
            )


def _every(run: Run, holds: Callable[[Run, int], bool]) -> bool:
    return all(holds(run, layer) for layer in run.layers)


def _head_writes(run: Run, layer: int, factor: float) -> bool:
    def written() -> Tensor:
        norm = getattr(run.bridge.blocks[layer], "ln1_post", None)
        total = _heads_sum(run, layer) * factor
        if norm is None:
            return total
        return weighted(norm, total / run.at(layer, "ln1_post.hook_scale"))

    return agrees(written, lambda: run.at(layer, "hook_attn_out"))


def _heads_sum(run: Run, layer: int) -> Tensor:
    attention = run.bridge.blocks[layer].attn
    total = torch.einsum("bphe,hem->bpm", run.at(layer, "attn.hook_z"), attention.W_O)
    return total if attention.b_O is None else total + attention.b_O


def _neurons_sum(run: Run, layer: int) -> Tensor:
    mlp = run.bridge.blocks[layer].mlp
    total: Tensor = run.at(layer, "mlp.hook_post") @ mlp.W_out
    bias = getattr(mlp, "b_out", None)
    return total if bias is None else total + bias


def _factors(run: Run, ids: Int[Tensor, "batch pos"], logits: Tensor) -> dict[str, float]:
    """Fixed factors that some architectures have, by the names of `Traits`; 1 where there is none.

    Those of heads and MLPs are the first layer's; whether they are all layers' shows elsewhere.
    """
    ways: dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor]]] = {
        "write_factor": (lambda: _heads_sum(run, 0), lambda: run.at(0, "hook_attn_out")),
        "mlp_factor": (lambda: _neurons_sum(run, 0), lambda: run.at(0, "hook_mlp_out")),
        "embed_factor": (lambda: _embedded(run.bridge, ids), lambda: run["hook_embed"]),
        "logit_factor": (lambda: _logits_of(run, 1.0, 0.0), lambda: logits),
    }
    return {name: _factor(*way) for name, way in ways.items()}


def _factor(one: Callable[[], Tensor], other: Callable[[], Tensor]) -> float:
    """What `one` has to be multiplied by to be `other`; 1 where no number does that."""
    if agrees(one, other):
        return 1.0

    def multiplied() -> Tensor:
        return one() * fitted()

    def fitted() -> Tensor:
        a, b = one(), other()
        return (a * b).sum() / (a * a).sum()

    return float(fitted()) if agrees(multiplied, other) else 1.0


def _stream_adds_up(run: Run, positions: Positions, has_mlp: bool) -> bool:
    def start() -> Tensor:
        embedded = run["hook_embed"]
        return embedded + run["hook_pos_embed"] if positions == "learned" else embedded

    def leaving(layer: int) -> Tensor:
        written = run.at(layer, "hook_resid_pre") + run.at(layer, "hook_attn_out")
        return written + run.at(layer, "hook_mlp_out") if has_mlp else written

    if not agrees(start, lambda: run.at(0, "hook_resid_pre")):
        return False
    for layer in run.layers:
        after = "ln_final.hook_in"
        if layer + 1 in run.layers:
            after = f"blocks.{layer + 1}.hook_resid_pre"
        for way in (partial(leaving, layer), partial(run.__getitem__, after)):
            if not agrees(way, partial(run.at, layer, "hook_resid_post")):
                return False
    return True


def _embedded(bridge: Any, ids: Int[Tensor, "batch pos"]) -> Tensor:
    """Rows of W_E, and what Gemma multiplies them by."""
    rows: Tensor = bridge.W_E[ids]
    scale = getattr(bridge.embed.original_component, "embed_scale", None)
    return rows if scale is None else rows * scale


def _logits_of(run: Run, factor: float, cap: float) -> Tensor:
    # The module inside the bridge's, as the lens does it.
    normed = run.bridge.ln_final.original_component(run["ln_final.hook_in"])
    logits = (normed @ run.bridge.W_U + run.bridge.b_U) * factor
    return cap * (logits / cap).tanh() if cap else logits


def _norm(run: Run) -> str | None:
    """The kind of the norm before the logits, by what it does to a stream."""
    for kind in ("LN", "RMS"):
        if _is_plain(run.bridge.ln_final, run, "ln_final", kind):
            return kind
    return str(run.bridge.cfg.normalization_type or "other")[:20]


def _is_plain(norm: Any, run: Run, name: str, kind: str | None) -> bool:
    """Whether a norm is (x - mean x) / sd * weight + bias, or x / rms * weight, and no other."""
    inner = norm.original_component

    def by_hand() -> Tensor:
        x = run[f"{name}.hook_in"]
        if kind == "LN":
            x = x - x.mean(-1, keepdim=True)
        names = ("eps", "variance_epsilon", "epsilon")
        # PyTorch's own, where a module keeps none (OLMo).
        epsilon = next((getattr(inner, key) for key in names if hasattr(inner, key)), 1e-5)
        normed = weighted(norm, x / (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt())
        bias = norm_bias(norm) if kind == "LN" else None
        return normed if bias is None else normed + bias

    return agrees(by_hand, lambda: inner(run[f"{name}.hook_in"]))


def _positions(run: Run) -> Positions:
    if "hook_pos_embed" in run.cache:
        return "learned"
    if run.bridge.cfg.positional_embedding_type == "alibi":
        return "alibi"
    turned = any("rot" in name or name.endswith("hook_cos") for name in run.cache)
    declared = run.bridge.cfg.positional_embedding_type == "rotary"
    return "rotary" if turned or declared else "none"


def _reads_plainly(run: Run, layer: int) -> bool:
    attention = run.bridge.blocks[layer].attn

    def expected(part: str) -> Tensor:
        read, bias = run.at(layer, "ln1.hook_out"), getattr(attention, f"b_{part}")
        projected = torch.einsum("bpm,hme->bphe", read, getattr(attention, f"W_{part}"))
        return projected if bias is None else projected + bias.view(-1, projected.shape[-1])

    return all(
        agrees(partial(expected, part), partial(by_head, run, layer, part.lower()))
        for part in "QKV"
    )


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
            if bool((seen[row] - seen[0]).abs().max() <= TOLERANCE * seen[0].abs().max()):
                return False
    return True


def _mlp_stands_alone(run: Run, factor: float) -> bool:
    """Not where MLP and heads share a norm, nor where it is given the stream besides (BLOOM)."""
    block = run.bridge.blocks[0]

    def by_itself() -> Tensor:
        after = getattr(block, "ln2_post", None)
        written = block.mlp(block.ln2(run.at(0, "ln2.hook_in")))
        return (written if after is None else after(written)) * factor

    return agrees(by_itself, lambda: run.at(0, "hook_mlp_out"))


def _neurons_write(run: Run, layer: int, factor: float) -> bool:
    def written() -> Tensor:
        return _neurons_sum(run, layer)

    # What leaves the module is the stream itself in some (BLOOM), and lacks a factor in others.
    return agrees(written, lambda: run.at(layer, "mlp.hook_out")) or agrees(
        lambda: written() * factor, lambda: run.at(layer, "hook_mlp_out")
    )


def _rows_sum(run: Run, layer: int) -> bool:
    def rows() -> Tensor:
        return run.at(layer, "attn.hook_pattern").sum(-1)

    return agrees(rows, lambda: torch.ones_like(rows()))
