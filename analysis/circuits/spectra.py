"""Eigenvalues and singular directions of OV circuits, and what keeping them factored saves."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.circuits.embeddings import (
    Embedding,
    embedding_note,
    joined,
    resolve_embedding,
    token_vectors,
)
from analysis.circuits.ranking import TokenRanking, rank_tokens
from analysis.circuits.weights import circuit_weights, unembed
from analysis.errors import AnalysisError
from analysis.head import Head, require_heads
from analysis.models.device import wait_for
from analysis.models.loading import HeadModel


@dataclass(frozen=True, eq=False)
class Eigenvalues:
    """Eigenvalues of every head's OV circuit and the copying score they give, -1..1.

    `values` are the d_head eigenvalues of W_OV that can differ from 0, `score` their copying
    score. `vocabulary_values` and `vocabulary_score` are the same for W_E W_OV W_U, token to
    token: the one to trust where embedding and unembedding are not tied.
    """

    values: Complex[np.ndarray, "layer head d_head"]
    score: Float[np.ndarray, "layer head"]
    vocabulary_values: Complex[np.ndarray, "layer head d_head"]
    vocabulary_score: Float[np.ndarray, "layer head"]
    assumes: str

    def __post_init__(self) -> None:
        for name in ("score", "vocabulary_score"):
            if (np.abs(getattr(self, name)) > 1 + 1e-4).any():
                raise ValueError(f"an eigenvalue {name} lies outside -1..1")
        freeze(self, "values", "score", "vocabulary_values", "vocabulary_score")


@dataclass(frozen=True, eq=False)
class SingularDirection:
    """One rank-1 part of an OV circuit: reads along one direction, writes along another.

    The sign of such a pair is arbitrary: tokens in `read` have the tokens in `written` raised,
    and likewise `opposite_read` raises `opposite_written`. Values of the tokens that are read are
    projections of their embeddings on the unit direction; those of the written ones are logits
    for each unit that is written.
    """

    singular_value: float
    read: TokenRanking
    written: TokenRanking
    opposite_read: TokenRanking
    opposite_written: TokenRanking


@dataclass(frozen=True, eq=False)
class OVDecomposition:
    """The singular values of W_OV, largest first, and its strongest directions as tokens."""

    head: Head
    singular_values: Float[np.ndarray, " d_head"]
    directions: tuple[SingularDirection, ...]
    assumes: str

    def __post_init__(self) -> None:
        freeze(self, "singular_values")


@dataclass(frozen=True)
class FactoredFacts:
    """What the token-to-token OV circuit of one head takes, written out and as two factors.

    Factors: W_E W_V [d_vocab, d_head] and W_O W_U [d_head, d_vocab]. Written out: the whole
    [d_vocab, d_vocab] matrix, multiplied from left to right through W_OV [d_model, d_model].
    Bytes are of float32, flops count a multiplication and an addition as 2.
    """

    d_vocab: int
    d_model: int
    d_head: int

    @property
    def full_bytes(self) -> int:
        """Memory of the matrix written out."""
        return 4 * self.d_vocab**2

    @property
    def factored_bytes(self) -> int:
        """Memory of the two factors."""
        return 4 * 2 * self.d_vocab * self.d_head

    @property
    def full_flops(self) -> int:
        """Work to write the matrix out."""
        through = self.d_model**2 * (self.d_head + self.d_vocab)
        return 2 * (through + self.d_vocab**2 * self.d_model)

    @property
    def factored_flops(self) -> int:
        """Work to make the two factors; everything else is computed from them."""
        return 2 * 2 * self.d_vocab * self.d_model * self.d_head

    @property
    def row_flops(self) -> int:
        """Work for the logits of one source token, from the factors."""
        return 2 * self.d_head * self.d_vocab


@dataclass(frozen=True)
class FactoredTiming:
    """Measured on this machine: the same rows of W_E W_OV W_U computed both ways.

    Seconds are those of the fastest repeat: whatever else the machine does can only add to them.
    `difference` is the largest between the two results, in logits.
    """

    rows: int
    repeats: int
    full_seconds: float
    factored_seconds: float
    difference: float


def ov_eigenvalues(model: HeadModel, *, embedding: Embedding | None = None) -> Eigenvalues:
    """Whether a head's OV circuit copies (+1), inverts (-1) or neither, from its eigenvalues.

    score = sum of Re(lambda) / sum of |lambda| over the eigenvalues of W_OV = W_V W_O, which are
    those of the small W_O W_V; the vocabulary score takes W_E W_OV W_U instead, whose eigenvalues
    are those of W_O W_U W_E W_V. Range -1..1; NaN where all eigenvalues are 0, as for a head that
    writes nothing. Directions that a head maps onto themselves have a positive eigenvalue. Source:
    Elhage et al. 2021; ARENA 1.2.

    Args:
        model: The model.
        embedding: The W_E of the vocabulary score: "raw", or "effective", as the first MLP leaves
            it; by default `default_embedding(model)`.

    Raises:
        AnalysisError: An unknown embedding, or one that the model does not have.
    """
    read = resolve_embedding(model, embedding)
    weights = circuit_weights(model)
    first = later = _around(model, token_vectors(model, 0, read))
    if read == "effective" and model.n_layers > 1:  # later layers read behind the first MLP
        later = _around(model, token_vectors(model, 1, read))
    small, through = [], []  # a layer at a time: all of their weights are most of a model
    for layer in range(model.n_layers):
        w_v, w_o = weights.reads("V", layer), weights.writes(layer)
        small.append(w_o @ w_v)
        through.append(w_o @ (later if layer else first) @ w_v)
    values = torch.linalg.eigvals(torch.stack(small))
    vocabulary_values = torch.linalg.eigvals(torch.stack(through))
    return Eigenvalues(
        values.cpu().numpy(),
        _copying_score(values),
        vocabulary_values.cpu().numpy(),
        _copying_score(vocabulary_values),
        joined(weights.assumes, embedding_note(model, read)),
    )


def ov_svd(
    model: HeadModel,
    head: Head,
    n: int = 5,
    top: int = 10,
    *,
    embedding: Embedding | None = None,
) -> OVDecomposition:
    """The strongest directions through which a head moves information, as tokens.

    W_OV = sum over i of S[i] u[i] v[i]^T. A token is read by direction i as far as its embedding
    points along u[i] (W_E u[i]), and direction i writes W_U^T v[i]. Each pair's sign is chosen so
    that the token read most strongly of all is read with a positive sign.
    Source: ARENA 1.2, section 4.1.

    Args:
        model: The model.
        head: The head.
        n: How many directions, at most d_head.
        top: How many tokens for each end.
        embedding: As in `ov_eigenvalues`.

    Raises:
        AnalysisError: A head that does not exist, n outside 1..d_head, an embedding that the model
            does not have, or a head that writes nothing.
    """
    require_heads(model.info, head)
    if not 1 <= n <= model.d_head:
        raise AnalysisError(f"{n} directions were asked for; 1 to {model.d_head} exist.")
    read_as = resolve_embedding(model, embedding)
    weights = circuit_weights(model)
    # W_V = Q R and W_O^T = Q' R', so only the d_head x d_head matrix R R'^T needs a full SVD.
    q_read, r_read = torch.linalg.qr(weights.read("V", head))
    q_write, r_write = torch.linalg.qr(weights.write(head).T)
    u, singular_values, v_t = torch.linalg.svd(r_read @ r_write.T)
    if not singular_values[0] > 0:
        raise AnalysisError(
            f"The directions of {head.label} were asked for, and its W_V W_O is 0: it writes "
            "nothing. Choose another head."
        )
    reads = token_vectors(model, head.layer, read_as) @ (q_read @ u[:, :n])
    writes = unembed(model, v_t[:n] @ q_write.T)
    directions = []
    for value, read, written in zip(singular_values[:n], reads.T, writes, strict=True):
        if read[read.abs().argmax()] < 0:
            read, written = -read, -written
        directions.append(
            SingularDirection(
                float(value),
                read=rank_tokens(model, read, top),
                written=rank_tokens(model, written, top),
                opposite_read=rank_tokens(model, -read, top),
                opposite_written=rank_tokens(model, -written, top),
            )
        )
    assumes = joined(weights.assumes, embedding_note(model, read_as))
    return OVDecomposition(head, to_numpy(singular_values), tuple(directions), assumes)


def factored_matrix_facts(model: HeadModel) -> FactoredFacts:
    """Sizes, memory and work of W_E W_OV W_U for one head of `model`, written out or factored.

    Source: ARENA 1.2, section 4.1.
    """
    return FactoredFacts(model.d_vocab, model.d_model, model.d_head)


def time_factored(model: HeadModel, head: Head, rows: int = 64, repeats: int = 3) -> FactoredTiming:
    """Compute the first rows of W_E W_OV W_U both ways and time them.

    Full: (W_E[rows] W_OV) W_U with W_OV [d_model, d_model] at hand. Factored:
    (W_E[rows] W_V) (W_O W_U) with W_O W_U at hand. Wall time.

    Raises:
        AnalysisError: A head that does not exist, or rows or repeats below 1 or out of bounds.
    """
    require_heads(model.info, head)
    if not 1 <= rows <= model.d_vocab or not 1 <= repeats <= 20:
        raise AnalysisError(
            f"{rows} rows and {repeats} repeats were asked for; 1 to {model.d_vocab} rows and 1 to "
            "20 repeats are possible."
        )
    weights = circuit_weights(model)
    w_v, w_o = weights.read("V", head), weights.write(head)
    w_u = weights.W_U
    embeddings, w_ov, output = weights.W_E[:rows], w_v @ w_o, w_o @ w_u
    seconds: dict[str, list[float]] = {"full": [], "factored": []}
    for _ in range(repeats):
        wait_for(w_u.device)
        start = time.perf_counter()
        full = embeddings @ w_ov @ w_u
        wait_for(w_u.device)
        between = time.perf_counter()
        factored = (embeddings @ w_v) @ output
        wait_for(w_u.device)
        seconds["full"].append(between - start)
        seconds["factored"].append(time.perf_counter() - between)
    return FactoredTiming(
        rows,
        repeats,
        full_seconds=min(seconds["full"]),
        factored_seconds=min(seconds["factored"]),
        difference=float((full - factored).abs().max()),
    )


def _around(
    model: HeadModel, tokens: Float[Tensor, "d_vocab d_model"]
) -> Float[Tensor, "d_model d_model"]:
    """W_U W_E: from what is written through the vocabulary to what is read."""
    return unembed(model, torch.eye(model.d_model, device=tokens.device)) @ tokens


def _copying_score(values: Complex[Tensor, "layer head d_head"]) -> np.ndarray:
    size = values.abs().sum(-1)
    return to_numpy(torch.where(size > 0, values.real.sum(-1) / size, torch.nan))
