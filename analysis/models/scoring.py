"""How a loaded model comes from queries, keys and values to patterns and z: tried, not assumed."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from analysis.errors import AnalysisError, out_of_memory
from analysis.models.attention import attention_scale
from analysis.models.info import Positions, ScoreRule, Turn
from analysis.models.trial import Run, agrees, by_head
from analysis.models.turning import compared, score_cap

# Ways to turn queries and keys, the most usual first.
_TURNS = tuple(Turn(rule, last) for last in (False, True) for rule in ("halves", "pairs", "none"))


def _products(run: Run, layer: int) -> Tensor:
    """The products q . k of every head, [batch, head, dest, src]."""
    query = by_head(run, layer, "q").transpose(1, 2)
    key = by_head(run, layer, "k").transpose(1, 2)
    return query @ key.repeat_interleave(query.shape[1] // key.shape[1], 1).mT


def attention_of(
    run: Run, positions: Positions
) -> tuple[tuple[float, ...], tuple[Turn, ...], ScoreRule]:
    """Scales and turns by layer (none where a layer's is not known), and what else is done."""
    scales = tuple(_scale(run, layer, positions) for layer in run.layers)
    # What the distance takes off is none of the ways that are tried.
    tried = [
        None if positions == "alibi" else _turn(run, layer, scale)
        for layer, scale in enumerate(scales)
    ]
    rules = [
        _score_rule(run, layer, positions, scales[layer], turn) for layer, turn in enumerate(tried)
    ]
    turns = tuple(turn for turn in tried if turn is not None)
    known = turns if len(turns) == len(tried) else ()
    return scales, known, next(filter(lambda rule: rule != "plain", rules), "plain")


def _scale(run: Run, layer: int, positions: Positions) -> float:
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


def _turn(run: Run, layer: int, scale: float) -> Turn | None:
    """The way from queries and keys to the layer's pattern; None where it is none of `_TURNS`."""
    pattern = run.at(layer, "attn.hook_pattern")

    def expected(turn: Turn) -> Tensor:
        query, key = by_head(run, layer, "q"), by_head(run, layer, "k")
        heads = range(pattern.shape[1])
        meeting = [
            compared(run.bridge, run.cache, layer, "q", h, query[:, :, h], turn)
            @ compared(run.bridge, run.cache, layer, "k", at, key[:, :, at], turn).mT
            for h in heads
            for at in [h * key.shape[2] // len(heads)]
        ]
        scores = torch.stack(meeting, 1) * scale
        cap = score_cap(run.bridge, layer)
        return _causal_softmax(cap * (scores / cap).tanh() if cap else scores)

    ways = (t for t in _TURNS if agrees(partial(expected, t), lambda: pattern))
    return next(ways, None)


def _causal_softmax(scores: Tensor) -> Tensor:
    later = torch.ones_like(scores).triu(1).bool()
    return scores.masked_fill(later, -torch.inf).softmax(-1)


def _score_rule(
    run: Run, layer: int, positions: Positions, scale: float, turn: Turn | None
) -> ScoreRule:
    """What lies between q . k and the pattern beside a scale, a rotation and a mask."""
    inner = run.bridge.blocks[layer].attn.original_component
    if getattr(inner, "attn_logit_softcapping", None):
        return "capped"
    # Beside those there are norms of what comes in or goes out.
    if any("norm" in type(each).__name__.lower() for each in _of_queries_or_keys(inner)):
        return "normed"
    if turn is not None:
        return "plain"
    clips = (inner, getattr(inner, "config", None))
    if any(getattr(each, "clip_qkv", None) for each in clips):
        return "other"
    if positions == "alibi":
        return "plain"  # apart from what the distance takes off, which `positions` says
    if positions in ("learned", "none"):
        same = agrees(
            lambda: _causal_softmax(_products(run, layer) * scale),
            lambda: run.at(layer, "attn.hook_pattern"),
        )
        return "plain" if same else "other"
    if f"blocks.{layer}.attn.hook_rot_q" in run.cache:
        # A rotation leaves lengths as they are; factors and norms do not.
        after = run.at(layer, "attn.hook_rot_q").norm(dim=-1)
        before = by_head(run, layer, "q").norm(dim=-1)
        # Heads stand before or after positions, as the architecture has it.
        same = agrees(lambda: before, lambda: after) or agrees(lambda: before.mT, lambda: after)
        return "plain" if same else "other"
    return "plain"


def _of_queries_or_keys(inner: Any) -> list[Any]:
    return [module for name, module in inner.named_modules() if name[:1] in ("q", "k")]


def averages_values(run: Run, layer: int) -> bool:
    """Whether nothing but the pattern lies between values and z: no clip, no norm."""
    pattern = run.at(layer, "attn.hook_pattern")

    def averaged() -> Tensor:
        value = by_head(run, layer, "v").transpose(1, 2)
        return (pattern @ value.repeat_interleave(pattern.shape[1] // value.shape[1], 1)).mT

    return agrees(averaged, lambda: run.at(layer, "attn.hook_z").permute(0, 2, 3, 1))
