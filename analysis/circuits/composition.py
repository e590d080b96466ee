"""Composition scores: how much of what one head writes a later head reads, from weights alone."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.circuits.embeddings import joined
from analysis.circuits.weights import Part, Weights, circuit_weights
from analysis.errors import AnalysisError
from analysis.head import Head
from analysis.models.capabilities import require_fixed_qk, require_two_layers
from analysis.models.loading import HeadModel
from analysis.models.reasons import rotary_note

Kind = Literal["Q", "K", "V"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DRAWS = 300
# 4 matrices of 768 x 64 float32 for each of these is 38 MiB.
_DRAWS_AT_ONCE = 50


@dataclass(frozen=True, eq=False)
class Baseline:
    """The composition score of random pairs of heads of the same shape.

    `closed_form` is 1/sqrt(d_model), the root mean square for isotropic random matrices.
    """

    mean: float
    std: float
    closed_form: float
    sample: Float[np.ndarray, " draw"]

    def __post_init__(self) -> None:
        freeze(self, "sample")


@dataclass(frozen=True, eq=False)
class Composition:
    """Score of every pair: `values[writer layer, writer head, reader layer, reader head]`.

    0..1. NaN where the writer is not in an earlier layer, since the reader cannot read it, and
    where one of the two matrices is 0.
    """

    kind: Kind
    values: Float[np.ndarray, "layer head layer head"]
    baseline: Baseline
    assumes: str

    def __post_init__(self) -> None:
        known = self.values[~np.isnan(self.values)]
        if ((known < 0) | (known > 1 + 1e-4)).any():
            raise ValueError("a composition score lies outside 0..1")
        freeze(self, "values")

    @property
    def deviations(self) -> Float[np.ndarray, "layer head layer head"]:
        """Distance above the random mean, in standard deviations of random pairs."""
        return (self.values - np.float32(self.baseline.mean)) / np.float32(self.baseline.std)

    def strongest(self, n: int) -> list[tuple[Head, Head, float]]:
        """The n pairs `(writer, reader, score)` with the highest scores."""
        pairs = [tuple(int(i) for i in pair) for pair in np.argwhere(~np.isnan(self.values))]
        ranked = sorted(pairs, key=lambda pair: -self.values[pair])[:n]
        return [(Head(a, b), Head(c, d), float(self.values[a, b, c, d])) for a, b, c, d in ranked]


def composition_scores(
    model: HeadModel, kind: Kind = "K", draws: int = DRAWS, seed: int = 0
) -> Composition:
    """How much every later head's queries, keys or values read what every earlier head writes.

    score = |W_A W_B| / (|W_A| |W_B|), Frobenius norms; W_A = W_V W_O of the writer, and W_B of the
    reader is W_Q W_K^T for Q, its transpose W_K W_Q^T for K, W_V W_O for V. Range 0..1: 0 when the
    subspaces are orthogonal, 1/sqrt(d_model) for random pairs. It measures overlap of subspaces,
    not use: a pair may compose in the weights and never do so on a text.
    Source: Elhage et al. 2021; ARENA 1.2, sections 4.9 to 4.13.

    Norms are taken of small triangular factors (W = Q R with Q orthogonal does not change them),
    so no d_model x d_model matrix is formed.

    Args:
        model: The model.
        kind: Which input of the later head.
        draws: How many random pairs the baseline rests on, at least 2.
        seed: Seed of those.

    Raises:
        AnalysisError: An unknown kind, fewer than 2 draws, a model with one layer only, or one
            whose architecture has no such matrices (see `analysis.models.capabilities`).
    """
    if kind not in KINDS:
        raise AnalysisError(f"Kind {kind!r} is unknown. Choose one of: {', '.join(KINDS)}.")
    if draws < 2:
        raise AnalysisError(f"{draws} draws give no standard deviation. Use at least 2.")
    require_two_layers(model.info)
    if kind != "V":
        require_fixed_qk(model.info)
    weights = circuit_weights(model)
    return Composition(
        kind,
        to_numpy(_all_pairs(weights, kind)),
        random_baseline(model.d_model, model.d_head, draws, seed),
        joined(weights.assumes, "" if kind == "V" else rotary_note(model.info)),
    )


@lru_cache(maxsize=16)
def random_baseline(d_model: int, d_head: int, draws: int = DRAWS, seed: int = 0) -> Baseline:
    """Scores of random pairs: `draws` times four normal matrices [d_model, d_head].

    W_A = A1 A2^T and W_B = B1 B2^T. The scale of the entries cancels. Mean and standard deviation
    (over draws, n - 1) in score units. Source: ARENA 1.2, section 4.10.
    """
    generator = torch.Generator().manual_seed(seed)
    scores = []
    for start in range(0, draws, _DRAWS_AT_ONCE):
        count = min(_DRAWS_AT_ONCE, draws - start)
        a1, a2, b1, b2 = torch.randn(4, count, d_model, d_head, generator=generator)
        size_a, size_b = _triangle(a1) @ _triangle(a2).mT, _triangle(b1) @ _triangle(b2).mT
        product = _triangle(a1) @ (a2.mT @ b1) @ _triangle(b2).mT
        scores.append(_norm(product) / (_norm(size_a) * _norm(size_b)))
    sample = torch.cat(scores)
    return Baseline(
        float(sample.mean()),
        float(sample.std()),
        closed_form=d_model**-0.5,
        sample=to_numpy(sample),
    )


def _all_pairs(weights: Weights, kind: Kind) -> Float[Tensor, "layer head layer head"]:
    # The reader's W_B = left @ right^T. A layer at a time: those of all are most of a model.
    sides: dict[Kind, tuple[Part, Part | None]] = {
        "Q": ("Q", "K"),
        "K": ("K", "Q"),
        "V": ("V", None),
    }
    left, right = sides[kind]
    layers = range(weights.n_layers)
    r_value = [_triangle(weights.reads("V", layer)) for layer in layers]
    r_output = [_triangle(weights.writes(layer).mT) for layer in layers]
    writer_norm = [_norm(r_value[i] @ r_output[i].mT) for i in layers]
    n_heads = len(r_value[0])
    scores = torch.full((len(layers), n_heads, len(layers), n_heads), torch.nan)
    for later in layers[1:]:
        own = weights.reads(left, later)
        r_right = r_output[later] if right is None else _triangle(weights.reads(right, later))
        reader_norm = _norm(_triangle(own) @ r_right.mT)
        for layer in range(later):
            written = r_value[layer] @ weights.writes(layer)
            product = torch.einsum("aem,bmf->abef", written, own) @ r_right.mT
            size = writer_norm[layer][:, None] * reader_norm
            scores[layer, :, later] = (_norm(product) / size).to(scores.device)
    return scores


def _triangle(matrix: Float[Tensor, "*batch rows d_head"]) -> Float[Tensor, "*batch d_head d_head"]:
    return torch.linalg.qr(matrix, mode="r").R


def _norm(matrix: Float[Tensor, "*batch rows columns"]) -> Float[Tensor, "*batch"]:
    return torch.linalg.matrix_norm(matrix)
