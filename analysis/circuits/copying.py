"""Does a circuit send every token to itself? Accuracy over the whole vocabulary."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from analysis.arrays import freeze
from analysis.circuits.embeddings import (
    THROUGH_NORM,
    Embedding,
    embedding_note,
    joined,
    resolve_embedding,
    through_norm,
    token_vectors,
)
from analysis.circuits.ov_qk import query_key_weights, value_weights
from analysis.circuits.weights import circuit_weights, unembed
from analysis.errors import AnalysisError
from analysis.head import Head, require_heads
from analysis.models.capabilities import require_fixed_qk
from analysis.models.loading import HeadModel
from analysis.models.reasons import rotary_note

Progress = Callable[[int, int], None]
# One block of logits: 16 MiB of float32, small enough to be compared while it is still in cache.
# Measured: wider blocks are slower, and so is one slab of whole rows.
ROWS, COLUMNS = 2048, 2048


@dataclass(frozen=True, eq=False)
class Copying:
    """Share of source tokens that are among the k tokens which the heads' OV raises most.

    `hits[i, token]` says whether that token is among its own top `k[i]`. Every id of the
    vocabulary counts, special ones too.
    """

    heads: tuple[Head, ...]
    k: tuple[int, ...]
    hits: Bool[np.ndarray, "k d_vocab"]
    assumes: str

    def __post_init__(self) -> None:
        _check_hits(self.k, self.hits)
        freeze(self, "hits")

    @property
    def accuracy(self) -> Mapping[int, float]:
        """Share of tokens, 0..1, by k."""
        return _share(self.k, self.hits)


@dataclass(frozen=True, eq=False)
class KeyQueryMatch:
    """How often a query token and its own key token pick each other in a K-composition circuit.

    Two different questions with different answers: `best_key` goes along a row (for each query,
    is the same token among the k keys it scores highest?), `best_query` along a column (for each
    key, is the same token among the k queries that score it highest?). Softmax runs over keys, so
    the first is the one that attention depends on.
    """

    writer: Head
    reader: Head
    k: tuple[int, ...]
    best_key_hits: Bool[np.ndarray, "k query"]
    best_query_hits: Bool[np.ndarray, "k key"]
    assumes: str

    def __post_init__(self) -> None:
        _check_hits(self.k, self.best_key_hits)
        _check_hits(self.k, self.best_query_hits)
        freeze(self, "best_key_hits", "best_query_hits")

    @property
    def best_key(self) -> Mapping[int, float]:
        """Best key for each query: share of query tokens, 0..1, by k."""
        return _share(self.k, self.best_key_hits)

    @property
    def best_query(self) -> Mapping[int, float]:
        """Best query for each key: share of key tokens, 0..1, by k."""
        return _share(self.k, self.best_query_hits)


def ov_copying(
    model: HeadModel,
    heads: Head | Sequence[Head],
    k: Sequence[int] = (1, 5),
    progress: Progress | None = None,
    *,
    embedding: Embedding | None = None,
) -> Copying:
    """How well heads copy: whether attending to a token raises that same token most.

    accuracy_k = share of the tokens t with fewer than k others u for which
    M[t, u] >= M[t, t], M = W_E W_V W_O W_U, W_E as heads of that layer can read it. A tie counts
    against the head, so that one that writes nothing scores 0. Range 0..1, chance k / d_vocab.
    Several heads count jointly, as when all of them attend to the same token: their W_V and W_O
    are concatenated along d_head. M is never held: it is computed in blocks of 16 MiB, and a row
    is dropped once k tokens beat its own. Source: ARENA 1.2, sections 4.3 and 4.4.

    Args:
        model: The model.
        heads: One head or several.
        k: How far down the ranking still counts.
        progress: Called as `progress(tokens done, tokens in all)`. It may raise to cancel.
        embedding: What is read of a token: "raw" W_E, or "effective", as the first MLP leaves it;
            by default `default_embedding(model)`.

    Raises:
        AnalysisError: A head or an embedding that does not exist, or k outside 1..d_vocab.
    """
    chosen = require_heads(model.info, heads)
    read = resolve_embedding(model, embedding)
    weights = circuit_weights(model)
    # All layers after the first read the same.
    tokens = {i: token_vectors(model, i, read) for i in {min(h.layer, 1) for h in chosen}}
    values = [tokens[min(h.layer, 1)] @ weights.read("V", h) for h in chosen]
    left = torch.cat(values, dim=1)
    right = torch.cat([unembed(model, weights.write(h)) for h in chosen], dim=0)
    assumes = joined(weights.assumes, embedding_note(model, read))
    return Copying(chosen, tuple(k), diagonal_hits(left, right, k, progress), assumes)


def k_composition_circuit(
    model: HeadModel,
    writer: Head,
    reader: Head,
    k: Sequence[int] = (1, 5),
    progress: Progress | None = None,
    *,
    embedding: Embedding | None = None,
) -> KeyQueryMatch:
    """Whether a token's query finds the key that an earlier head wrote about the same token.

    C = (n(W_E) W_Q[reader]) (n(W_E) W_V[writer] W_O[writer] W_K[reader])^T, rows are query tokens
    and columns key tokens; n is the model's own norm before each head that reads embeddings, since
    how long a token's vector is decides whom it beats (the scale of the reader's norm where the
    writer has written is not known, and counts as 1). For an induction head that reads a
    previous-token head, C[t, t] is high: the query "t" finds the position whose previous token was
    "t". Ties count against it, chance is k / d_vocab. Source: ARENA 1.2, section 4.8 (whose code
    takes the best query for each key while its text speaks of the best key).

    Args:
        model: The model.
        writer: The earlier head, whose output is read as keys.
        reader: The later head.
        k: How far down the ranking still counts.
        progress: Called as `progress(tokens done, tokens in all)`, counting both directions.
        embedding: As in `ov_copying`.

    Raises:
        AnalysisError: A head or an embedding that does not exist, a writer that is not in an
            earlier layer, k outside 1..d_vocab, or queries and keys that are normalised.
    """
    require_heads(model.info, writer)
    require_heads(model.info, reader)
    if writer.layer >= reader.layer:
        raise AnalysisError(
            f"{reader.label} cannot read {writer.label}: the writer must be in an earlier layer."
        )
    require_fixed_qk(model.info)
    read = resolve_embedding(model, embedding)
    weights = circuit_weights(model)
    read_last = token_vectors(model, reader.layer, read)
    # All layers after the first read the same.
    read_first = read_last if writer.layer else token_vectors(model, 0, read)
    w_q, _ = query_key_weights(model, reader)
    queries = through_norm(model, reader.layer, read_last) @ w_q
    written = weights.write(writer) @ weights.read("K", reader)
    keys = through_norm(model, writer.layer, read_first) @ value_weights(model, writer) @ written
    total = 2 * model.d_vocab

    def shifted(start: int) -> Progress | None:
        return None if progress is None else lambda done, _: progress(start + done, total)

    return KeyQueryMatch(
        writer,
        reader,
        tuple(k),
        best_key_hits=diagonal_hits(queries, keys.T, k, shifted(0)),
        best_query_hits=diagonal_hits(keys, queries.T, k, shifted(model.d_vocab)),
        assumes=joined(
            weights.assumes,
            THROUGH_NORM if model.info.normalization else "",
            embedding_note(model, read),
            rotary_note(model.info),
        ),
    )


def diagonal_hits(
    left: Float[Tensor, "n inner"],
    right: Float[Tensor, "inner n"],
    k: Sequence[int],
    progress: Progress | None = None,
) -> Bool[np.ndarray, "k n"]:
    """For each row of left @ right, whether its diagonal entry is among the row's k largest.

    hits[i, row] = (number of other columns with an entry >= the diagonal one) < k[i].

    Raises:
        AnalysisError: k is empty or outside 1..n.
    """
    n = len(left)
    if not k or min(k) < 1 or max(k) > n:
        raise AnalysisError(f"k is {tuple(k)}; it must be one or more numbers from 1 to {n}.")
    own = (left * right.T).sum(-1)
    beaten_by = torch.zeros(n, dtype=torch.long, device=left.device)
    for start in range(0, n, ROWS):
        if progress:
            progress(start, n)
        open_rows = torch.arange(start, min(start + ROWS, n), device=left.device)
        for column in range(0, n, COLUMNS):
            block = left[open_rows] @ right[:, column : column + COLUMNS]
            # The entry itself is no rival, whichever way its two computations round.
            diagonal = open_rows - column
            inside = (diagonal >= 0) & (diagonal < block.shape[1])
            block[inside, diagonal[inside]] = -torch.inf
            # The maximum is 10 times cheaper than a count and settles most rows of a good copier.
            beaten = block.amax(1) >= own[open_rows]
            rows = open_rows[beaten]
            beaten_by[rows] += (block[beaten] >= own[rows, None]).sum(1)
            open_rows = open_rows[beaten_by[open_rows] < max(k)]
            if not len(open_rows):
                break
    if progress:
        progress(n, n)
    counts = beaten_by.cpu().numpy()
    return np.stack([counts < limit for limit in k])


def _check_hits(k: tuple[int, ...], hits: Bool[np.ndarray, "k n"]) -> None:
    if len(k) != len(hits):
        raise ValueError(f"{len(k)} values of k but {len(hits)} rows of hits")


def _share(k: tuple[int, ...], hits: Bool[np.ndarray, "k n"]) -> Mapping[int, float]:
    return MappingProxyType({limit: float(row.mean()) for limit, row in zip(k, hits, strict=True)})
