"""OV and QK circuits of single heads: what attending to a token does, and what attends to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.circuits.ranking import TokenRanking, rank_tokens, require_token
from analysis.circuits.weights import Weights, circuit_weights
from analysis.errors import AnalysisError
from analysis.head import Head, require_heads
from analysis.models.capabilities import require_position_vectors
from analysis.models.loading import HeadModel
from analysis.runs.inputs import token_text

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
    weights = circuit_weights(model)
    index = torch.tensor(ids, device=weights.W_E.device)
    values = _ov_rows(weights, chosen, index)[:, index]
    return OVSample(
        chosen,
        np.array(ids, dtype=np.int64),
        tuple(token_text(model.tokenizer, i) for i in ids),
        to_numpy(values),
        weights.assumes,
    )


def ov_top_tokens(
    model: HeadModel, heads: Head | Sequence[Head], token_id: int, top: int = 10
) -> TokenOutputs:
    """The tokens whose logits rise and fall most when heads attend to `token_id`.

    value[u] = (W_E W_V W_O W_U)[token, u], in logits, over the whole vocabulary; several heads
    are added up. Source: ARENA 1.2, section 4.2.

    Raises:
        AnalysisError: A head or an id that does not exist.
    """
    chosen = require_heads(model.info, heads)
    require_token(model, token_id)
    weights = circuit_weights(model)
    values = _ov_rows(weights, chosen, torch.tensor([token_id], device=weights.W_E.device))[0]
    return TokenOutputs(
        chosen,
        token_id,
        raised=rank_tokens(model, values, top),
        lowered=rank_tokens(model, -values, top),
        rank=int((values > values[token_id]).sum()) + 1,
        assumes=weights.assumes,
    )


def previous_token_circuit(model: HeadModel, layer: int, head: int) -> Circuit:
    """Where a head would attend if it saw positions only: a previous-token head shows a diagonal.

    pattern = softmax over src <= dest of W_pos W_Q W_K^T W_pos^T / sqrt(d_head); `previous` is the
    mean of its -1 diagonal, 0..1. Only for learned position vectors, whether the stream holds them
    or only queries and keys see them; the biases of queries and keys are left out. Source: ARENA
    1.2, section 4.5.

    Raises:
        AnalysisError: A head that does not exist, or a model with rotary positions, which has no
            such circuit.
    """
    chosen = Head(layer, head)
    require_heads(model.info, chosen)
    require_position_vectors(model.info, "a positional pattern")
    weights = circuit_weights(model)
    assert weights.W_pos is not None  # not rotary, as was required
    queries = weights.W_pos @ weights.W_Q[layer, head]
    keys = weights.W_pos @ weights.W_K[layer, head]
    pattern = causal_softmax(queries @ keys.T / model.d_head**0.5)
    return Circuit(
        chosen, to_numpy(pattern), float(pattern.diagonal(-1).mean()), assumes=weights.assumes
    )


def qk_preferences(model: HeadModel, head: Head, token_id: int, top: int = 10) -> TokenPreferences:
    """Which keys a token looks for as a query, and which queries look for it as a key.

    score[q, k] = (W_E W_Q W_K^T W_E^T)[q, k] / sqrt(d_head), before softmax, from the embeddings
    alone (neither positions nor earlier heads), over the whole vocabulary. For a fixed query,
    differences between keys are what softmax sees; scores of different queries for one key
    compete with other keys of each query, so read that direction with care.
    Source: ARENA 1.2, section 4.0.

    Raises:
        AnalysisError: A head or an id that does not exist, or a model with rotary positions,
            where the score depends on the distance too.
    """
    require_heads(model.info, head)
    require_token(model, token_id)
    require_position_vectors(model.info, "a token-to-token score free of position")
    weights = circuit_weights(model)
    w_q, w_k = weights.W_Q[head.layer, head.head], weights.W_K[head.layer, head.head]
    embedding = weights.W_E[token_id]
    scale = model.d_head**0.5
    return TokenPreferences(
        head,
        token_id,
        keys=rank_tokens(model, weights.W_E @ (w_k @ (embedding @ w_q)) / scale, top),
        queries=rank_tokens(model, weights.W_E @ (w_q @ (embedding @ w_k)) / scale, top),
        assumes=weights.assumes,
    )


def causal_softmax(scores: Float[Tensor, "*batch dest src"]) -> Float[Tensor, "*batch dest src"]:
    """Softmax over the sources up to each destination; 0 for later ones."""
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
    return scores.masked_fill(later, -torch.inf).softmax(-1)


def _ov_rows(
    weights: Weights, heads: tuple[Head, ...], ids: Int[Tensor, " token"]
) -> Float[Tensor, "token d_vocab"]:
    written = torch.stack(
        [
            weights.W_E[ids] @ weights.W_V[h.layer, h.head] @ weights.W_O[h.layer, h.head]
            for h in heads
        ]
    ).sum(0)
    return written @ weights.W_U
