"""Queries, keys and attention scores split by the upstream component they come from."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.circuits.ov_qk import query_key_weights
from analysis.circuits.weights import circuit_weights
from analysis.errors import AnalysisError
from analysis.head import Head, require_heads
from analysis.limits import MAX_BYTES
from analysis.models.attention import angles_depend_on_length
from analysis.models.capabilities import require_foldable_norms, require_worked_out_scores
from analysis.models.loading import HeadModel
from analysis.runs.forward import run_without_logits
from analysis.runs.inputs import Tokens
from analysis.runs.queries import as_compared, comparison_points, norms_queries, score_cap
from analysis.runs.suffix import kv_heads
from analysis.runs.writes import bias_write, output_weights, write_points, written_z

RAW = "Raw weights: this model has no norms. Biases, where there are any, are a component."
SCALED = {
    "LN": "Folded weights: the linear part of LayerNorm (its weight, its bias and the subtraction "
    "of the mean) is multiplied into W_Q and W_K. Its scale is the one each position really had, "
    "held fixed. Biases are a component.",
    "RMS": "Folded weights: the weight of the RMS norm is multiplied into W_Q and W_K. Its scale "
    "is the one each position really had, held fixed. Biases, where there are any, are a "
    "component.",
}
NORMED = "So are the scales of the norms of each head's queries and keys."
TURNED = "Queries and keys are turned by their positions, as the scores compare them."
CAPPED = "The model then bends its scores to stay within ±{cap:g}; these are the ones before that."
# Share of the largest entry; float32 sums of a few dozen terms measured below 1e-6 of it.
TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Decomposition:
    """A head's queries and keys as sums over upstream components, and the scores of every pair.

    `labels` names the components: `Embedding`, `Positions` where they are vectors, every head of
    an earlier layer as `L0H3`, `MLP0` .., and `Biases` where they exist. Queries and keys are those
    that the scores compare: normed and turned by rotary positions where the model does so. Errors
    are the largest difference between the components' sum and the model's own activation, as a
    share of its largest entry (of 1 where that is 0). `scale` is what the model multiplies
    q . k by.
    """

    head: Head
    labels: tuple[str, ...]
    queries: Float[np.ndarray, "component batch pos d_head"]
    keys: Float[np.ndarray, "component batch pos d_head"]
    score_std: Float[np.ndarray, "component component"]  # [query side, key side]
    course_std: Float[np.ndarray, "component component"]  # positions ahead included
    stream_error: float
    query_error: float
    key_error: float
    assumes: str
    scale: float

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.queries):
            raise ValueError(f"{len(self.queries)} components but {len(self.labels)} labels")
        for name in ("stream_error", "query_error", "key_error"):
            if not getattr(self, name) < TOLERANCE:
                raise ValueError(f"{name} is {getattr(self, name):.2g}, not below {TOLERANCE}")
        freeze(self, "queries", "keys", "score_std", "course_std")

    @property
    def query_norms(self) -> Float[np.ndarray, "component pos"]:
        """Length of each component's part of the query, averaged over sequences."""
        return np.asarray(np.linalg.norm(self.queries, axis=-1).mean(1), dtype=np.float32)

    @property
    def key_norms(self) -> Float[np.ndarray, "component pos"]:
        """Length of each component's part of the key, averaged over sequences."""
        return np.asarray(np.linalg.norm(self.keys, axis=-1).mean(1), dtype=np.float32)

    def score_map(
        self, query_component: str, key_component: str, sequence: int = 0
    ) -> Float[np.ndarray, "dest src"]:
        """Scores (before softmax) between one component's queries and another's keys.

        map[dest, src] = q[dest] . k[src] * scale; NaN above the diagonal, where nothing is
        attended to. Summed over all pairs of components it is the head's own scores.

        Raises:
            AnalysisError: A component or a sequence that does not exist.
        """
        for label in (query_component, key_component):
            if label not in self.labels:
                raise AnalysisError(
                    f"There is no component {label!r}. Choose one of: {', '.join(self.labels)}."
                )
        _require_sequence(sequence, self.queries.shape[1])
        query = self.queries[self.labels.index(query_component), sequence]
        key = self.keys[self.labels.index(key_component), sequence]
        scores = query @ key.T * np.float32(self.scale)
        scores[~np.tri(len(scores), dtype=bool)] = np.nan
        return np.asarray(scores, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class ScoreSplit:
    """One attention score (before softmax) split by component, on either side and on both.

    `query_side`, `key_side` and `pairs` each sum to `score`.
    """

    head: Head
    dest: int
    src: int
    labels: tuple[str, ...]
    score: float
    query_side: Float[np.ndarray, " component"]
    key_side: Float[np.ndarray, " component"]
    pairs: Float[np.ndarray, "component component"]  # [query side, key side]
    assumes: str

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.pairs):
            raise ValueError(f"{len(self.pairs)} components but {len(self.labels)} labels")
        size = max(1.0, float(np.abs(self.pairs).max()))
        for part in (self.query_side, self.key_side, self.pairs):
            error = abs(float(part.sum()) - self.score)
            if not error < TOLERANCE * size:
                raise ValueError(f"the parts sum to the score within {error:.2g} only")
        freeze(self, "query_side", "key_side", "pairs")


@dataclass(frozen=True, eq=False)
class _Parts:
    labels: tuple[str, ...]
    queries: Float[Tensor, "component batch pos d_head"]
    keys: Float[Tensor, "component batch pos d_head"]
    stream: Float[Tensor, "batch pos d_model"]  # the components' sum
    true_stream: Float[Tensor, "batch pos d_model"]
    true_query: Float[Tensor, "batch pos d_head"]
    true_key: Float[Tensor, "batch pos d_head"]
    assumes: str


def k_composition(model: HeadModel, tokens: Tokens, layer: int, head: int) -> Decomposition:
    """Which earlier component a head's queries and keys come from.

    resid_pre = embedding + positions + every earlier head's and MLP's write (+ biases), so
    q = sum of write W_Q and k = sum of write W_K. With a norm each write is divided by the scale
    that the whole stream had, which keeps the split linear, and likewise with norms of the heads'
    sums, queries and keys. Positions that only queries and keys see are a part of those and not of
    the stream; rotary ones are no part, but turn every other by its place. `score_std[a, b]` is
    the standard deviation, over dest >= src, of q_a[dest] . k_b[src] * scale (the model's own
    scale, 1/sqrt(d_head) in most), averaged over sequences: the pairs of components that decide
    where the head attends. `course_std` also counts src > dest, as the course does. Norms are
    lengths, not squares. Source: ARENA 1.2, sections 4.6 and 4.7.

    Args:
        model: The model.
        tokens: Its tokens.
        layer: Layer of the head.
        head: Its number.

    Raises:
        AnalysisError: A head that does not exist, or an answer larger than
            `analysis.limits.MAX_BYTES`.
    """
    chosen = Head(layer, head)
    parts = _split(model, tokens.tensor, chosen)
    scale = model.attention_scale(layer)
    score_std, course_std = _pair_stds(parts.queries, parts.keys, scale)
    return Decomposition(
        chosen,
        parts.labels,
        to_numpy(parts.queries),
        to_numpy(parts.keys),
        score_std,
        course_std,
        stream_error=_error(parts.stream, parts.true_stream),
        query_error=_error(parts.queries.sum(0), parts.true_query),
        key_error=_error(parts.keys.sum(0), parts.true_key),
        assumes=parts.assumes,
        scale=scale,
    )


def score_split(
    model: HeadModel, tokens: Tokens, head: Head, dest: int, src: int, sequence: int = 0
) -> ScoreSplit:
    """Why a head scores `src` as it does from `dest`: one score by upstream component.

    query_side[a] = q_a[dest] . k[src] * scale, key_side[b] = q[dest] . k_b[src] * scale,
    pairs[a, b] = q_a[dest] . k_b[src] * scale, with the model's own scale (1/sqrt(d_head) in
    most); each sums to the score before softmax. Norms and rotary positions are dealt with as in
    `k_composition`: with the turn of both positions the split is exact. Source: ARENA 1.2,
    section 4.7.

    Raises:
        AnalysisError: A head, position or sequence that does not exist, or a source after the
            destination.
    """
    if not 0 <= src <= dest < tokens.length:
        raise AnalysisError(
            f"Destination {dest} and source {src} were asked for; positions go from 0 to "
            f"{tokens.length - 1}, and a source is never after its destination."
        )
    _require_sequence(sequence, tokens.batch)
    # Later positions cannot matter, so they are not run, but where angles depend on the length.
    stop = tokens.length if angles_depend_on_length(model.bridge) else dest + 1
    parts = _split(model, tokens.tensor[sequence : sequence + 1, :stop], head)
    scale = model.attention_scale(head.layer)
    queries, keys = parts.queries[:, 0, dest], parts.keys[:, 0, src]
    query, key = parts.true_query[0, dest], parts.true_key[0, src]
    return ScoreSplit(
        head,
        dest,
        src,
        parts.labels,
        score=float(query @ key) * scale,
        query_side=to_numpy(queries @ key * scale),
        key_side=to_numpy(keys @ query * scale),
        pairs=to_numpy(queries @ keys.T * scale),
        assumes=parts.assumes,
    )


def _split(model: HeadModel, ids: Tensor, head: Head) -> _Parts:
    require_heads(model.info, head)
    require_worked_out_scores(model.info)
    require_foldable_norms(model.info)
    components = 3 + head.layer * (model.n_heads + model.info.has_mlp)
    size = 4 * 2 * components * ids.numel() * model.d_head
    if size > MAX_BYTES:
        raise AnalysisError(
            f"These parts would take {size / 2**20:,.0f} MiB; the limit is "
            f"{MAX_BYTES / 2**20:,.0f}. Use fewer sequences or tokens."
        )
    block = f"blocks.{head.layer}"
    own = [f"{block}.hook_resid_pre", f"{block}.attn.hook_q", f"{block}.attn.hook_k"]
    scale_name = f"{block}.ln1.hook_scale"
    scales = [scale_name] if model.info.normalization else []
    earlier = ["hook_embed", *write_points(model, range(head.layer))]
    if model.info.positions == "learned":
        earlier.append("hook_pos_embed")
    if model.info.has_mlp:
        earlier += [f"blocks.{layer}.hook_mlp_out" for layer in range(head.layer)]
    compared = comparison_points(model, head.layer)
    kept = run_without_logits(model, ids, [*own, *earlier, *scales, *compared])

    weights = circuit_weights(model)
    w_q, w_k = weights.read("Q", head), weights.read("K", head)
    b_q, b_k = weights.bias("Q", head), weights.bias("K", head)
    true_stream = kept[own[0]]
    scale = kept[scale_name] if scales else torch.ones_like(true_stream[..., :1])
    labels, queries, keys = [], [], []
    stream = torch.zeros_like(true_stream)
    for label, write in _writes(model, kept, head.layer):
        stream += write
        labels.append(label)
        queries.append(write / scale @ w_q)
        keys.append(write / scale @ w_k)
    if model.info.positions == "shortformer":
        # Past the norm, where there is one: queries and keys see them, the stream does not.
        place = model.bridge.W_pos[: ids.shape[1]].expand_as(true_stream)
        own_q, own_k = query_key_weights(model, head)
        labels.insert(1, "Positions")
        queries.insert(1, place @ own_q)
        keys.insert(1, place @ own_k)
    constant = torch.zeros_like(true_stream)
    for layer in range(head.layer):
        if (bias := bias_write(model, kept, layer)) is not None:
            constant += bias
    stream += constant
    bias_queries, bias_keys = constant / scale @ w_q + b_q, constant / scale @ w_k + b_k
    if any(part.abs().max() > 0 for part in (constant, bias_queries, bias_keys)):
        labels.append("Biases")
        queries.append(bias_queries)
        keys.append(bias_keys)
    # Of the head's group, where several heads share their keys.
    shared = head.head * kv_heads(model) // model.n_heads

    def queries_compared(vectors: Tensor) -> Tensor:
        return as_compared(model, kept, head.layer, "q", head.head, vectors)

    def keys_compared(vectors: Tensor) -> Tensor:
        return as_compared(model, kept, head.layer, "k", shared, vectors)

    return _Parts(
        tuple(labels),
        queries_compared(torch.stack(queries)),
        keys_compared(torch.stack(keys)),
        stream,
        true_stream,
        queries_compared(kept[own[1]][:, :, head.head]),
        keys_compared(kept[own[2]][:, :, shared]),
        _assumptions(model, head.layer),
    )


def _assumptions(model: HeadModel, layer: int) -> str:
    norm, cap = model.info.normalization, score_cap(model, layer)
    said = [SCALED[norm] if norm else RAW]
    if norms_queries(model, layer):
        said.append(NORMED)
    if model.info.positions == "rotary":
        said.append(TURNED)
    if cap:
        said.append(CAPPED.format(cap=cap))
    return " ".join(said)


def _writes(
    model: HeadModel, kept: dict[str, Tensor], before: int
) -> Iterator[tuple[str, Float[Tensor, "batch pos d_model"]]]:
    """What each component before layer `before` wrote; an MLP's write includes its bias."""
    yield "Embedding", kept["hook_embed"]
    if "hook_pos_embed" in kept:
        yield "Positions", kept["hook_pos_embed"].expand_as(kept["hook_embed"])
    for layer in range(before):
        z, w_o = written_z(kept, layer), output_weights(model, layer)
        for head in range(model.n_heads):
            yield Head(layer, head).label, z[:, :, head] @ w_o[head]
        if model.info.has_mlp:
            yield f"MLP{layer}", kept[f"blocks.{layer}.hook_mlp_out"]


def _pair_stds(
    queries: Float[Tensor, "component batch pos d_head"],
    keys: Float[Tensor, "component batch pos d_head"],
    scale: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviation of every pair's scores, over dest >= src and over all positions.

    No map of scores is made: of a thousand components that is a million maps. A sum of squared
    scores is one of products: sum of (q . k)^2 = (sum of q q^T) . (sum of k k^T), entry by entry.
    In double precision, so that taking off the mean costs no digits.
    """
    n, batch, length, d_head = queries.shape
    causal, everywhere = queries.new_zeros(2, n, n, dtype=torch.float64)
    # Where those products cost as much as the few scores near the diagonal.
    block = max(1, round(d_head**0.5))
    for sequence in range(batch):
        query = queries[:, sequence].double() * scale
        key = keys[:, sequence].double()
        squares = torch.zeros_like(causal)
        before = torch.zeros_like(_products(key))  # of all keys before the block
        for at in range(0, length, block):
            end = min(at + block, length)
            squares += _products(query[:, at:end]) @ before.T
            for dest in range(at, end):
                for src in range(at, dest + 1):
                    squares += (query[:, dest] @ key[:, src].T).square()
            before += _products(key[:, at:end])
        reached = key.cumsum(1).flatten(1)
        causal += _std(query.flatten(1) @ reached.T, squares, length * (length + 1) // 2)
        total, squares = query.sum(1) @ key.sum(1).T, _products(query) @ before.T
        everywhere += _std(total, squares, length**2)
    return to_numpy(causal / batch), to_numpy(everywhere / batch)


def _products(vectors: Float[Tensor, "component pos d_head"]) -> Float[Tensor, "component entry"]:
    """Sum over positions of v v^T; entries off its diagonal, which come twice, stand once."""
    products = torch.einsum("cpe,cpf->cef", vectors, vectors)
    row, column = torch.triu_indices(*products.shape[1:], device=vectors.device)
    # Their product with others counts them twice.
    return products[:, row, column] * torch.where(row == column, 1.0, 2.0).double().sqrt()


def _std(
    total: Float[Tensor, "query key"], squares: Float[Tensor, "query key"], count: int
) -> Float[Tensor, "query key"]:
    """Standard deviation (n - 1) of `count` numbers by their sum and that of their squares."""
    if count < 2:  # of a single entry there is no spread
        return torch.full_like(total, torch.nan)
    return ((squares - total**2 / count).clamp(min=0) / (count - 1)).sqrt()


def _error(found: Tensor, expected: Tensor) -> float:
    # Of a vector that is 0 throughout (a head without weights) there is no share.
    size = float(expected.abs().max()) or 1.0
    return float((found - expected).abs().max()) / size


def _require_sequence(sequence: int, batch: int) -> None:
    if not 0 <= sequence < batch:
        raise AnalysisError(f"Sequence {sequence} was asked for; there are 0 to {batch - 1}.")
