"""OV and QK circuits of single heads: what attending to a token does, and what attends to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.circuits.embeddings import (
    THROUGH_NORM,
    Embedding,
    embedding_note,
    joined,
    resolve_embedding,
    through_norm,
    token_vectors,
)
from analysis.circuits.ranking import TokenRanking, rank_of, rank_tokens, require_token
from analysis.circuits.weights import RAW, Weights, circuit_weights, unembed
from analysis.errors import AnalysisError
from analysis.head import Head, require_heads
from analysis.models.capabilities import require_position_vectors
from analysis.models.loading import HeadModel
from analysis.runs.inputs import token_texts

MAX_SAMPLE = 1000


@dataclass(frozen=True, eq=False)
class OVSample:
    """A part of the OV circuit on the same tokens both ways: rows are sources, columns outputs."""

    heads: tuple[Head, ...]
    ids: Int[np.ndarray, " token"]
    labels: tuple[str, ...]
    values: Float[np.ndarray, "token token"]
    assumes: str

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.ids):
            raise ValueError(f"{len(self.ids)} ids but {len(self.labels)} labels")
        freeze(self, "ids", "values")


@dataclass(frozen=True, eq=False)
class Circuit:
    """A head's attention pattern from positions alone; rows sum to 1, 0 above the diagonal.

    `previous` is the mean over dest >= 1 of values[dest, dest-1].
    """

    head: Head
    values: Float[np.ndarray, "dest src"]
    previous: float
    assumes: str

    def __post_init__(self) -> None:
        worst = float(np.abs(self.values.sum(-1) - 1).max())
        if not worst < 1e-4:
            raise ValueError(f"pattern rows sum to 1 within {worst:.2g}, not within 1e-4")
        freeze(self, "values")


@dataclass(frozen=True, eq=False)
class TokenPreferences:
    """What one token prefers as a query, and what prefers it as a key; scores before softmax."""

    head: Head
    token_id: int
    keys: TokenRanking  # the keys that this token, as the query, scores highest
    queries: TokenRanking  # the queries that score this token, as the key, highest
    assumes: str


@dataclass(frozen=True, eq=False)
class TokenOutputs:
    """What attending to one token does to every token's logit: the most raised and most lowered.

    `lowered` is sorted by how far down, so its values are the amounts, positive.
    """

    heads: tuple[Head, ...]
    token_id: int
    raised: TokenRanking
    lowered: TokenRanking
    rank: int  # of the token itself among all outputs, counted from 1: 1 means it copies
    assumes: str


def ov_sample(
    model: HeadModel,
    heads: Head | Sequence[Head],
    ids: Sequence[int] | None = None,
    size: int = 200,
    seed: int = 0,
    *,
    embedding: Embedding | None = None,
) -> OVSample:
    """The OV circuit on a few tokens, as a heatmap whose diagonal shows copying.

    value[t, u] = (W_E W_V W_O W_U)[t, u]: what attending fully to token t adds to the logit of u.
    Several heads are added up. Units: logits. Source: ARENA 1.2, section 4.2.

    Args:
        model: The model.
        heads: One head or several, jointly.
        ids: Token ids for both axes. By default `size` of them drawn without replacement.
        size: How many to draw, at most `MAX_SAMPLE` and the vocabulary.
        seed: Seed of the draw.
        embedding: What is read of a token: "raw" W_E, or "effective", as the first MLP leaves it;
            by default `default_embedding(model)`.

    Raises:
        AnalysisError: A head or an id that does not exist, or too many or too few tokens.
    """
    chosen = require_heads(model.info, heads)
    count = size if ids is None else len(ids)
    most = min(MAX_SAMPLE, model.d_vocab)
    if not 1 <= count <= most:
        raise AnalysisError(f"{count} tokens were asked for; 1 to {most} can be shown.")
    if ids is None:
        ids = np.random.default_rng(seed).choice(model.d_vocab, size, replace=False).tolist()
    for token_id in ids:
        require_token(model, token_id)
    read = resolve_embedding(model, embedding)
    weights = circuit_weights(model)
    values = _ov_rows(model, weights, chosen, ids, read, ids)
    return OVSample(
        chosen,
        np.array(ids, dtype=np.int64),
        token_texts(model.tokenizer, ids),
        to_numpy(values),
        joined(weights.assumes, embedding_note(model, read)),
    )


def ov_top_tokens(
    model: HeadModel,
    heads: Head | Sequence[Head],
    token_id: int,
    top: int = 10,
    *,
    embedding: Embedding | None = None,
) -> TokenOutputs:
    """The tokens whose logits rise and fall most when heads attend to `token_id`.

    value[u] = (W_E W_V W_O W_U)[token, u], in logits, over the whole vocabulary; several heads
    are added up. The token's own rank counts ties against it, as `ov_copying` does, so that heads
    which write nothing copy nothing. Source: ARENA 1.2, section 4.2. `embedding` as in `ov_sample`.

    Raises:
        AnalysisError: A head, an id or an embedding that does not exist.
    """
    chosen = require_heads(model.info, heads)
    require_token(model, token_id)
    read = resolve_embedding(model, embedding)
    weights = circuit_weights(model)
    values = _ov_rows(model, weights, chosen, [token_id], read)[0]
    return TokenOutputs(
        chosen,
        token_id,
        raised=rank_tokens(model, values, top),
        lowered=rank_tokens(model, -values, top),
        rank=rank_of(values, token_id),
        assumes=joined(weights.assumes, embedding_note(model, read)),
    )


def previous_token_circuit(model: HeadModel, layer: int, head: int) -> Circuit:
    """Where a head would attend if it saw positions only: a previous-token head shows a diagonal.

    pattern = softmax over src <= dest of n(W_pos) W_Q W_K^T n(W_pos)^T * scale, with the model's
    own norm n before the head where it has one (a softmax takes its scale for sharpness) and its
    own scale of attention; `previous` is the mean of the -1 diagonal, 0..1. Only for learned
    position vectors, whether the stream holds them or only queries and keys see them (past the
    norm); the biases of queries and keys are left out. Positions that training never reached look
    at random. Source: ARENA 1.2, section 4.5.

    Raises:
        AnalysisError: A head that does not exist, or a model with rotary positions, which has no
            such circuit.
    """
    chosen = Head(layer, head)
    require_heads(model.info, chosen)
    require_position_vectors(model.info, "a positional pattern")
    places = model.bridge.W_pos
    if model.info.positions == "learned":
        places = through_norm(model, layer, places)
    w_q, w_k = query_key_weights(model, chosen)
    scores = (places @ w_q) @ (places @ w_k).T * model.attention_scale(layer)
    pattern = causal_softmax(scores)
    return Circuit(
        chosen,
        to_numpy(pattern),
        float(pattern.diagonal(-1).mean()),
        assumes=THROUGH_NORM if model.info.normalization else RAW,
    )


def qk_preferences(
    model: HeadModel,
    head: Head,
    token_id: int,
    top: int = 10,
    *,
    embedding: Embedding | None = None,
) -> TokenPreferences:
    """Which keys a token looks for as a query, and which queries look for it as a key.

    score[q, k] = (n(W_E) W_Q W_K^T n(W_E)^T)[q, k] * scale, before softmax, from the embeddings
    alone (neither positions nor earlier heads), over the whole vocabulary, with the model's own
    norm n before the head and its own scale of attention. For a fixed query, differences between
    keys are what softmax sees; scores of different queries for one key compete with other keys of
    each query, so read that direction with care. Source: ARENA 1.2, section 4.0. `embedding` as in
    `ov_sample`.

    Raises:
        AnalysisError: A head, an id or an embedding that does not exist, or a model with rotary
            positions, where the score depends on the distance too.
    """
    require_heads(model.info, head)
    require_token(model, token_id)
    require_position_vectors(model.info, "a token-to-token score free of position")
    read = resolve_embedding(model, embedding)
    tokens = through_norm(model, head.layer, token_vectors(model, head.layer, read))
    w_q, w_k = query_key_weights(model, head)
    scale, own = model.attention_scale(head.layer), tokens[token_id]
    norm = THROUGH_NORM if model.info.normalization else RAW
    return TokenPreferences(
        head,
        token_id,
        keys=rank_tokens(model, tokens @ (w_k @ (own @ w_q)) * scale, top),
        queries=rank_tokens(model, tokens @ (w_q @ (own @ w_k)) * scale, top),
        assumes=joined(norm, embedding_note(model, read)),
    )


def query_key_weights(
    model: HeadModel, head: Head
) -> tuple[Float[Tensor, "d_model d_head"], Float[Tensor, "d_model d_head"]]:
    """W_Q and W_K of a head as they are, for vectors that have passed its norm."""
    attention = model.bridge.blocks[head.layer].attn
    # Of the head's group, where several heads share their keys.
    shared = head.head * len(attention.W_K) // model.n_heads
    return attention.W_Q[head.head], attention.W_K[shared]


def value_weights(model: HeadModel, head: Head) -> Float[Tensor, "d_model d_head"]:
    """W_V of a head as it is, for vectors that have passed its norm."""
    attention = model.bridge.blocks[head.layer].attn
    w_v: Tensor = attention.W_V[head.head * len(attention.W_V) // model.n_heads]
    return w_v


def causal_softmax(scores: Float[Tensor, "*batch dest src"]) -> Float[Tensor, "*batch dest src"]:
    """Softmax over the sources up to each destination; 0 for later ones."""
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
    return scores.masked_fill(later, -torch.inf).softmax(-1)


def _ov_rows(
    model: HeadModel,
    weights: Weights,
    heads: tuple[Head, ...],
    ids: Sequence[int],
    embedding: Embedding,
    outputs: Sequence[int] | None = None,
) -> Float[Tensor, "token output"]:
    read = {h.layer: token_vectors(model, h.layer, embedding, ids) for h in heads}
    written = torch.stack(
        [read[h.layer] @ weights.read("V", h) @ weights.write(h) for h in heads]
    ).sum(0)
    return unembed(model, written, outputs)
