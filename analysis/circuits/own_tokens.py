"""How far up its own ranking a token stands when a head attends to it, and what follows it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.arrays import freeze, to_numpy
from analysis.circuits.embeddings import default_embedding, token_vectors
from analysis.circuits.weights import circuit_weights
from analysis.models.loading import HeadModel
from analysis.runs.forward import run_without_logits

Progress = Callable[[int, int], None]
# Columns of the vocabulary that are compared at once, and tokens of the first look, which settles
# most rows: own tokens that several of a sample beat are not among the first of all.
COLUMNS, SAMPLE = 4096, 2048


@dataclass(frozen=True, eq=False)
class OwnRanks:
    """Of each token and head, how many other tokens OV raises, or lowers, at least as much.

    Counted up to `limit`, which stands for that many or more.
    """

    raised: Int[np.ndarray, "layer head token"]
    lowered: Int[np.ndarray, "layer head token"]
    limit: int

    def __post_init__(self) -> None:
        freeze(self, "raised", "lowered")


def own_ranks(
    model: HeadModel, ids: Sequence[int], limit: int = 10, progress: Progress | None = None
) -> OwnRanks:
    """Where tokens stand in what heads write on attending to them.

    rank[layer, head, t] = number of tokens u other than t with M[t, u] >= M[t, t] (raised) or
    <= (lowered), M[t] = x[t] W_V W_O W_U over the whole vocabulary. x[t] is what enters block 1
    where the token stands alone behind BOS, as its MLP and heads leave it; W_E for heads of layer 0
    and without MLPs. Norms count as in the OV circuit. A tie counts against the token, so that a
    head that writes nothing has no rank. The copying of Wang et al. 2022 is the share of names
    with a rank below 5.

    Args:
        model: The model.
        ids: The tokens that are attended to.
        limit: Where counting stops.
        progress: Called as `progress(layers done, layers in all)`. It may raise to cancel.

    Raises:
        AnalysisError: Norms that cannot be folded, or heads without a write of their own.
    """
    weights = circuit_weights(model)
    read = _read(model, ids)
    w_u = weights.W_U
    own = w_u[:, torch.tensor(ids, device=w_u.device)]
    some = torch.from_numpy(np.random.default_rng(0).permutation(model.d_vocab)[:SAMPLE])
    sample = w_u[:, some.to(own.device)]
    shape = (model.n_layers, model.n_heads, len(ids))
    found = np.full((2, *shape), limit, np.int64)
    for layer in range(model.n_layers):
        if progress:
            progress(layer, model.n_layers)
        w_v, w_o = weights.reads("V", layer), weights.writes(layer)
        values = read[min(layer, 1)] @ w_v  # [head, token, d_head]
        rows = (values @ w_o).flatten(0, 1)
        of_itself = (rows.unflatten(0, (-1, len(ids))) * own.T).sum(-1).flatten()
        # Through d_head numbers, not d_model: the sample is looked at for every token and head.
        first_look = (values @ (w_o @ sample)).flatten(0, 1)
        for side, sign in enumerate((1, -1)):
            # By more than rounding: the own token may be in the sample too.
            beyond = sign * (first_look - of_itself[:, None]) > 1e-4 * of_itself.abs()[:, None]
            left = (beyond.sum(1) < limit).nonzero()[:, 0]
            ranks = _ranks(sign * rows, sign * of_itself, left, ids, w_u, limit)
            found[side, layer] = ranks.reshape(shape[1:])
    return OwnRanks(found[0], found[1], limit)


def successor_shares(
    model: HeadModel, lists: Sequence[Sequence[int]]
) -> tuple[Float[np.ndarray, "layer head"], float]:
    """Share of list members whose next member a head raises most of the list, and chance.

    share[layer, head] = mean, over the members t of every list but its last, of whether the argmax
    over members u of M[t, u] is the one after t; M as in `own_ranks`. Chance: mean of 1 / length.
    Source: Gould et al. 2023, with argmax over the list.

    Raises:
        AnalysisError: As `own_ranks`.
    """
    weights = circuit_weights(model)
    w_u = weights.W_U
    right = torch.zeros(model.n_layers, model.n_heads)
    chances = [1 / len(members) for members in lists for _ in members[:-1]]
    for members in lists:
        out = w_u[:, torch.tensor(members, device=w_u.device)]
        following = torch.arange(1, len(members))
        read = _read(model, members[:-1])
        for layer in range(model.n_layers):
            written = torch.einsum("tm,hme->hte", read[min(layer, 1)], weights.reads("V", layer))
            moved = written @ weights.writes(layer) @ out
            right[layer] += (moved.argmax(-1).cpu() == following).sum(-1)
    return to_numpy(right / len(chances)), float(np.mean(chances))


def _read(
    model: HeadModel, ids: Sequence[int]
) -> tuple[Float[Tensor, "token d_model"], Float[Tensor, "token d_model"]]:
    """What heads of layer 0 read of tokens, and what later ones do."""
    raw = token_vectors(model, 0, "raw", ids)
    if default_embedding(model) == "raw":
        return raw, raw
    rows = torch.tensor([[model.bos_id, token] for token in ids])
    kept = run_without_logits(model, rows, ["blocks.1.hook_resid_pre"])
    return raw, kept["blocks.1.hook_resid_pre"][:, 1]


def _ranks(
    rows: Float[Tensor, "row d_model"],
    own: Float[Tensor, " row"],
    left: Int[Tensor, " some"],
    ids: Sequence[int],
    w_u: Float[Tensor, "d_model d_vocab"],
    limit: int,
) -> Int[np.ndarray, " row"]:
    """How many other tokens each row raises at least as much as its own, up to `limit`.

    Rows that are not among those `left` have that many for sure.
    """
    ranks = torch.full((len(rows),), limit, device=rows.device)
    columns = torch.tensor(ids, device=rows.device).repeat(len(rows) // len(ids))
    counts = torch.zeros_like(left)
    for start in range(0, w_u.shape[1], COLUMNS):
        if not len(left):
            break
        block = rows[left] @ w_u[:, start : start + COLUMNS]
        # A token does not beat itself, however its two computations round.
        at = columns[left] - start
        inside = ((at >= 0) & (at < block.shape[1])).nonzero()[:, 0]
        block[inside, at[inside]] = -torch.inf
        counts += (block >= own[left, None]).sum(1)
        kept = counts < limit
        left, counts = left[kept], counts[kept]
    ranks[left] = counts
    return ranks.cpu().numpy()
